//! Which fault happens when: a pure function of the seed.
//!
//! `faults` makes them happen. A thing has one fault at a time; different things may suffer together.

use std::collections::BTreeMap;
use std::time::Duration;

use super::random::Random;

/// How many there are of each kind.
pub(super) const ORCHESTRATORS: usize = 2;
pub(super) const AGENTS: usize = 4;

/// The first fault comes when there is work to hurt.
const CALM_AT_FIRST: u64 = 1500;

/// Milliseconds between the beginnings of two faults.
const PAUSE: std::ops::Range<u64> = 150..1400;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Orchestrator(usize),
    Agent(usize),
    Postgres,
}

/// A way that bytes take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// From an agent to whichever orchestrator it reaches.
    Agent(usize),
    /// From senders of deliveries to an orchestrator.
    Deliveries(usize),
}

/// What a line does instead of passing bytes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Connections break and new ones are refused.
    Cut,
    /// Bytes are swallowed, and the connection looks alive. One that is `forgotten` stays so when the line is well
    /// again, until its ends notice; otherwise it is reset then.
    Silent { up: bool, down: bool, forgotten: bool },
    /// Bytes wait.
    Stall,
    /// Bytes are late.
    Slow { delay: Duration },
    /// Few bytes a second.
    Narrow { bytes_per_s: u64 },
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// kill -9, started again afterwards.
    Kill(Who),
    /// SIGTERM, started again afterwards.
    Terminate(Who),
    /// SIGSTOP, SIGCONT afterwards.
    Freeze(Who),
    /// kill -9 of a process in which an agent runs a job.
    KillJob { agent: usize, pick: usize },
    /// kill -9 of one session of PostgreSQL, after which it restarts itself.
    KillSession { pick: usize },
    /// A line misbehaves.
    Line(Line, Trouble),
}

/// A fault with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// Since the load began.
    pub(super) at: Duration,
    /// Until it is undone.
    pub(super) lasts: Duration,
    pub(super) fault: Fault,
}

/// All faults of a round, in order.
pub(super) fn schedule(seed: u64, length: Duration) -> Vec<Event> {
    let mut random = Random::new(seed, 1);
    let mut busy: BTreeMap<String, u64> = BTreeMap::new();
    let mut events = Vec::new();
    let end = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut at = CALM_AT_FIRST;
    while at < end {
        let (fault, lasts) = fault(&mut random);
        let thing = fault.thing();
        if busy.get(&thing).is_none_or(|until| *until <= at) {
            // Whatever was just undone gets a moment.
            busy.insert(thing, at + lasts + 500);
            events.push(Event {
                at: Duration::from_millis(at),
                lasts: Duration::from_millis(lasts),
                fault,
            });
        }
        at += random.below(PAUSE);
    }
    events
}

fn fault(random: &mut Random) -> (Fault, u64) {
    let orchestrator = Who::Orchestrator(random.place(ORCHESTRATORS));
    let agent = random.place(AGENTS);
    match random.below(0..100) {
        0..10 => (Fault::Kill(orchestrator), random.below(100..4000)),
        10..17 => (Fault::Terminate(orchestrator), random.below(100..3000)),
        17..25 => (Fault::Freeze(orchestrator), random.below(200..7000)),
        25..33 => (Fault::Kill(Who::Agent(agent)), random.below(100..5000)),
        33..38 => (Fault::Terminate(Who::Agent(agent)), random.below(100..3000)),
        38..46 => (Fault::Freeze(Who::Agent(agent)), random.below(200..6000)),
        46..52 => (Fault::KillJob { agent, pick: random.place(8) }, 0),
        52..56 => (Fault::Kill(Who::Postgres), random.below(50..3000)),
        56..58 => (Fault::Freeze(Who::Postgres), random.below(200..5000)),
        58..60 => (Fault::KillSession { pick: random.place(64) }, 0),
        60..90 => (Fault::Line(Line::Agent(agent), trouble(random)), random.below(200..7000)),
        _ => {
            let line = Line::Deliveries(random.place(ORCHESTRATORS));
            (Fault::Line(line, trouble(random)), random.below(200..5000))
        }
    }
}

fn trouble(random: &mut Random) -> Trouble {
    match random.below(0..100) {
        0..35 => Trouble::Cut,
        35..70 => {
            let way = random.below(0..3);
            Trouble::Silent { up: way != 0, down: way != 1, forgotten: random.percent(25) }
        }
        70..80 => Trouble::Stall,
        80..90 => Trouble::Slow { delay: random.time(20..800) },
        _ => Trouble::Narrow { bytes_per_s: random.below(500..20_000) },
    }
}

impl Fault {
    /// What it happens to: one fault at a time.
    fn thing(&self) -> String {
        match self {
            Self::Kill(who) | Self::Terminate(who) | Self::Freeze(who) => format!("{who:?}"),
            Self::KillJob { agent, .. } => format!("{:?}", Who::Agent(*agent)),
            Self::KillSession { .. } => format!("{:?}", Who::Postgres),
            Self::Line(line, _) => format!("{line:?}"),
        }
    }

    /// Its kind, for counting.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Kill(Who::Orchestrator(_)) => "kill_orchestrator",
            Self::Kill(Who::Agent(_)) => "kill_agent",
            Self::Kill(Who::Postgres) => "kill_postgres",
            Self::Terminate(Who::Orchestrator(_)) => "terminate_orchestrator",
            Self::Terminate(_) => "terminate_agent",
            Self::Freeze(Who::Orchestrator(_)) => "freeze_orchestrator",
            Self::Freeze(Who::Postgres) => "freeze_postgres",
            Self::Freeze(_) => "freeze_agent",
            Self::KillJob { .. } => "kill_job_process",
            Self::KillSession { .. } => "kill_postgres_session",
            Self::Line(_, Trouble::Cut) => "cut_line",
            Self::Line(_, Trouble::Silent { .. }) => "half_open_line",
            Self::Line(_, Trouble::Stall) => "stalled_line",
            Self::Line(_, Trouble::Slow { .. }) => "slow_line",
            Self::Line(_, Trouble::Narrow { .. }) => "narrow_line",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(600);

    #[test]
    fn a_seed_gives_one_schedule_and_another_seed_another() {
        assert_eq!(schedule(1, LENGTH), schedule(1, LENGTH));
        assert_ne!(schedule(1, LENGTH), schedule(2, LENGTH));
    }

    #[test]
    fn a_longer_round_begins_like_a_shorter_one() {
        let short = schedule(3, Duration::from_secs(30));
        assert!(short.len() > 10, "{} faults", short.len());
        assert_eq!(schedule(3, LENGTH)[..short.len()], short);
    }

    #[test]
    fn a_thing_has_one_fault_at_a_time() {
        for seed in 0..50 {
            let mut until: BTreeMap<String, Duration> = BTreeMap::new();
            for event in schedule(seed, LENGTH) {
                let thing = event.fault.thing();
                assert!(until.get(&thing).is_none_or(|end| *end < event.at), "{event:?}");
                until.insert(thing, event.at + event.lasts);
            }
        }
    }

    #[test]
    fn every_kind_comes_up() {
        let kinds: BTreeSet<&str> =
            schedule(5, LENGTH).iter().map(|event| event.fault.kind()).collect();
        assert_eq!(kinds.len(), 15, "{kinds:?}");
    }
}
