//! How large a lock file may be. Generous for authors, fatal for hostile files.

/// Bytes of the file.
pub const MAX_LOCK_BYTES: usize = 5 * 1024 * 1024;
/// Workflows of one file.
pub const MAX_WORKFLOWS: usize = 1_000;
/// Job entries of one workflow.
pub const MAX_JOBS: usize = 10_000;
/// Step entries of one job, children of groups counted too.
pub const MAX_STEPS: usize = 10_000;
/// Triggers of one workflow.
pub const MAX_TRIGGERS: usize = 1_000;
/// Label matchers of one selector.
pub const MAX_MATCHERS: usize = 256;
