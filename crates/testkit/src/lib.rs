//! What the tests of several crates need: databases, repositories, programs, waiting.
//!
//! Fakes of one area live in that area's own tests; this crate depends on no other of ours but
//! `kici-devdb`, so that every crate can use it in its tests. A helper that fails panics with what
//! it was doing: a test cannot go on without it.

mod git;
mod net;
pub mod pg;
mod process;
mod wait;

pub use git::Repo;
pub use net::free_port;
pub use process::Process;
pub use wait::wait_until;
