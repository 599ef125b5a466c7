//! The words in which scenarios are written down.

/// One push, or a few in a row, and the runs that each makes.
#[derive(Debug)]
pub(in crate::chaos) struct Scenario {
    pub(in crate::chaos) branch: &'static str,
    /// How often it comes up, beside the others.
    pub(super) weight: u64,
    /// Pushes in a row: runs that get in each other's way have to meet.
    pub(in crate::chaos) burst: u64,
    /// Most of its runs that may be open.
    pub(in crate::chaos) most_open: u64,
    pub(in crate::chaos) runs: &'static [Run],
}

/// One run, when nothing hurts it.
#[derive(Debug)]
pub(in crate::chaos) struct Run {
    pub(in crate::chaos) workflow: &'static str,
    pub(in crate::chaos) jobs: &'static [Job],
    /// Fan-outs of which only so many children work at once: the name that the children share, and how many.
    pub(in crate::chaos) windows: &'static [(&'static str, usize)],
    pub(in crate::chaos) group: Option<&'static Group>,
    /// Its timeout, ms, which it exceeds.
    pub(in crate::chaos) limit_ms: Option<u64>,
    /// Somebody has to approve first.
    pub(in crate::chaos) asks: bool,
}

/// A concurrency group of runs.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::chaos) struct Group {
    pub(in crate::chaos) name: &'static str,
    /// How many of its runs may work at once.
    pub(in crate::chaos) most: usize,
    /// A newer run cancels older ones.
    pub(in crate::chaos) supersedes: bool,
}

/// One job, when nothing hurts it.
#[derive(Debug)]
pub(in crate::chaos) struct Job {
    pub(in crate::chaos) name: &'static str,
    /// How it ends; several where chance decides.
    pub(in crate::chaos) states: &'static [&'static str],
    /// The steps that it must have executed from start to end, unless it is skipped.
    pub(in crate::chaos) steps: &'static [&'static str],
    /// The jobs that it needs.
    pub(in crate::chaos) needs: &'static [&'static str],
    /// Jobs that it does not need, but that have their turn before it.
    pub(in crate::chaos) behind: &'static [&'static str],
    pub(in crate::chaos) there: There,
    /// Its own group, in which it is alone.
    pub(in crate::chaos) alone_in: Option<&'static str>,
    /// Somebody has to approve first.
    pub(in crate::chaos) asks: bool,
}

/// Whether a job is there at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::chaos) enum There {
    Always,
    /// This job makes it, when it succeeds.
    If(&'static str),
    /// It stands for those that this job makes, until that succeeds.
    Unless(&'static str),
}

/// A scenario of single pushes.
pub(super) const fn scenario(branch: &'static str, weight: u64, runs: &'static [Run]) -> Scenario {
    Scenario { branch, weight, burst: 1, most_open: u64::MAX, runs }
}

pub(super) const fn run(workflow: &'static str, jobs: &'static [Job]) -> Run {
    Run { workflow, jobs, windows: &[], group: None, limit_ms: None, asks: false }
}

pub(super) const fn ok(name: &'static str, steps: &'static [&'static str]) -> Job {
    Job {
        name,
        states: &["success"],
        steps,
        needs: &[],
        behind: &[],
        there: There::Always,
        alone_in: None,
        asks: false,
    }
}

pub(super) const fn fails(name: &'static str, steps: &'static [&'static str]) -> Job {
    Job { states: &["failed"], ..ok(name, steps) }
}

pub(super) const fn skipped(name: &'static str) -> Job {
    Job { states: &["skipped"], ..ok(name, &[]) }
}

impl Scenario {
    /// So many pushes in a row.
    pub(super) const fn burst(mut self, pushes: u64) -> Self {
        self.burst = pushes;
        self
    }

    /// Never more open runs than this.
    pub(super) const fn most_open(mut self, runs: u64) -> Self {
        self.most_open = runs;
        self
    }
}

impl Run {
    /// Only so many children of these fan-outs work at once.
    pub(super) const fn windows(mut self, windows: &'static [(&'static str, usize)]) -> Self {
        self.windows = windows;
        self
    }

    pub(super) const fn in_group(mut self, group: &'static Group) -> Self {
        self.group = Some(group);
        self
    }

    /// It is cancelled after this time.
    pub(super) const fn limited_to(mut self, ms: u64) -> Self {
        self.limit_ms = Some(ms);
        self
    }

    /// Somebody has to approve before it begins.
    pub(super) const fn asks(mut self) -> Self {
        self.asks = true;
        self
    }
}

impl Job {
    /// It needs these.
    pub(super) const fn after(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }

    /// It has its turn after these.
    pub(super) const fn behind(mut self, others: &'static [&'static str]) -> Self {
        self.behind = others;
        self
    }

    /// It may never have its turn.
    pub(super) const fn or_skipped(mut self) -> Self {
        self.states = &["success", "skipped"];
        self
    }

    /// It does not come to its end.
    pub(super) const fn stopped(mut self) -> Self {
        self.states = &["cancelled"];
        self
    }

    /// It is there when this job has succeeded.
    pub(super) const fn made_by(mut self, evaluator: &'static str) -> Self {
        self.there = There::If(evaluator);
        self
    }

    /// It is there until this job has succeeded.
    pub(super) const fn until(mut self, evaluator: &'static str) -> Self {
        self.there = There::Unless(evaluator);
        self
    }

    /// Of all jobs of this group, one works at a time.
    pub(super) const fn alone_in(mut self, group: &'static str) -> Self {
        self.alone_in = Some(group);
        self
    }

    /// Somebody has to approve before it begins.
    pub(super) const fn asks(mut self) -> Self {
        self.asks = true;
        self
    }
}
