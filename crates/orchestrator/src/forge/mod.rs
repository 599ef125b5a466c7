//! Forges: what a delivery means, the lock file at a commit, changed files, and where to clone from.
//!
//! (Contract as `inbox::process` and `dispatch::send` call it; owner fills it in.)

use std::sync::Arc;

use kici_model::event::Event;
use kici_store::Store;
use kici_store::delivery::Claimed;

use crate::config::Config;

/// Access to all forges.
pub(crate) struct Forge;

/// What a delivery is about, in the words of triggers.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The normalised event, with the payload.
    pub(crate) event: Event,
    /// Repository, `owner/name`. `None`: a plain generic event, no lock file of its own.
    pub(crate) repo: Option<String>,
    /// The ref as shown on the run.
    pub(crate) git_ref: String,
    /// The commit that jobs check out: a full SHA, or `HEAD`.
    pub(crate) sha: String,
    /// The commit or branch that the lock file is read from (base branch for untrusted pull requests).
    pub(crate) lock_ref: String,
    /// `trusted`, `known`, `unknown`.
    pub(crate) trust_tier: Option<String>,
    /// `head` or `base`.
    pub(crate) lock_file_source: Option<String>,
}

/// A lock file as fetched. Cached by the caller when `lock_ref` is a full SHA.
#[derive(Debug, Clone)]
pub(crate) enum LockFetch {
    /// Its bytes.
    Found(Arc<[u8]>),
    /// There is none at this commit.
    Missing,
    /// It is there but cannot be a lock file (too large, a directory, empty).
    Corrupt(String),
}

/// Changed files, for path filters.
#[derive(Debug, Clone)]
pub(crate) struct ChangedFiles {
    pub(crate) files: Vec<String>,
    /// Unknown or cut: path filters match then.
    pub(crate) incomplete: bool,
}

/// Where an agent clones from (`job.dispatch`).
#[derive(Debug, Clone)]
pub(crate) struct CloneSource {
    pub(crate) url: String,
    /// HTTPS basic password.
    pub(crate) token: Option<String>,
    /// `sourceAuth` of the dispatch, when it is not just a token.
    pub(crate) auth: Option<serde_json::Value>,
}

/// Why a forge did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgeError {
    /// Trying again may help.
    #[error("{0}")]
    Retry(String),
    /// It will not.
    #[error("{0}")]
    Permanent(String),
}

impl Forge {
    pub(crate) fn new(_config: &Config, _store: &Store) -> anyhow::Result<Forge> {
        Ok(Forge)
    }

    /// What happened; `None` when there is nothing to evaluate (unknown event, deleted branch, no source).
    pub(crate) async fn normalise(&self, _delivery: &Claimed) -> Result<Option<Change>, ForgeError> {
        Ok(None)
    }

    /// The lock file that decides about this change.
    pub(crate) async fn lock_file(
        &self,
        _delivery: &Claimed,
        _change: &Change,
    ) -> Result<LockFetch, ForgeError> {
        Ok(LockFetch::Missing)
    }

    /// Called at most once for a delivery, and only when some trigger filters by path.
    pub(crate) async fn changed_files(
        &self,
        _delivery: &Claimed,
        _change: &Change,
    ) -> Result<ChangedFiles, ForgeError> {
        Ok(ChangedFiles { files: Vec::new(), incomplete: true })
    }

    /// Where a job of this repository clones from, at the time it is sent.
    pub(crate) async fn clone_source(
        &self,
        _routing_key: &str,
        _repo: &str,
    ) -> Result<CloneSource, ForgeError> {
        Err(ForgeError::Permanent("no forge".into()))
    }

    /// The payload of a delivery, parsed as `normalise` does.
    pub(crate) fn payload(&self, _delivery: &Claimed) -> serde_json::Value {
        serde_json::Value::Null
    }
}
