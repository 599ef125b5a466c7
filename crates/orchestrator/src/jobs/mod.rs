//! Jobs: how they end and what follows from that.
//!
//! `decide` says which state a job takes (pure), `finish` writes it together with everything that follows: skipped
//! and released dependants (`follow`), the run's own state. `facts` gathers what agents report and writes it in
//! batches. Whoever ends a job comes through `finish`: agents, deadlines, cancels and the reconciler. `lost` decides
//! about jobs whose agents are gone, `stop` tells agents to stop jobs.

pub(crate) mod apply;
mod decide;
mod evaluated;
mod facts;
mod finish;
mod follow;
#[cfg(test)]
mod graphs;
pub(crate) mod lost;
pub(crate) mod stop;

pub(crate) use decide::Ending;
pub(crate) use facts::{Fact, Facts, Work};
pub(crate) use finish::{Finish, Settled, finish};
