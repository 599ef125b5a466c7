//! What the jobs of a run are for.

use super::job::words;

words! {
    /// What a job is for.
    #[derive(Default)]
    JobKind {
        /// The author's own job.
        #[default]
        Job = "job",
        /// Computes values of another job: its environment, variables, concurrency group or matrix.
        Init = "init",
        /// Runs a generator of jobs.
        Dynamic = "dynamic",
        /// Prepares the source archive.
        Build = "build",
        /// Brings up an agent on a host.
        Bringup = "bringup",
    }
}

impl JobKind {
    /// Whether its result changes its run.
    pub fn evaluates(self) -> bool {
        matches!(self, Self::Init | Self::Dynamic)
    }
}
