//! Forges: what a delivery means, the lock file at a commit, changed files, and where to clone from.
//!
//! `inbox::process` and `dispatch::send` ask; the answers come from the source that took the delivery
//! (`crate::sources`). `local` knows repositories on this machine, `generic` knows none.

mod body;
mod generic;
mod git;
mod local;
mod repository;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use kici_model::event::Event;
use kici_model::ids::SourceId;
use kici_store::delivery::Claimed;

use crate::sources::{Kind, Source, Sources};
pub(crate) use repository::check_name;

/// Access to all forges.
pub(crate) struct Forge {
    sources: Arc<Sources>,
}

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
    pub(crate) fn new(sources: Arc<Sources>) -> Forge {
        Forge { sources }
    }

    /// What happened; `None` when there is nothing to evaluate (deleted branch).
    pub(crate) async fn normalise(&self, delivery: &Claimed) -> Result<Option<Change>, ForgeError> {
        let source = self.source(delivery)?;
        let payload = body::parse(delivery)?;
        match &source.kind {
            Kind::Local { base, .. } => local::normalise(base, &delivery.event, payload).await,
            Kind::Generic => Ok(Some(generic::normalise(&source, &delivery.event, payload))),
        }
    }

    /// The lock file that decides about this change.
    pub(crate) async fn lock_file(
        &self,
        delivery: &Claimed,
        change: &Change,
    ) -> Result<LockFetch, ForgeError> {
        match (&self.source(delivery)?.kind, &change.repo) {
            (Kind::Local { base, .. }, Some(repo)) => {
                local::lock_file(base, repo, &change.lock_ref).await
            }
            (Kind::Local { .. } | Kind::Generic, _) => Ok(LockFetch::Missing),
        }
    }

    /// Called at most once for a delivery, and only when some trigger filters by path.
    pub(crate) async fn changed_files(
        &self,
        delivery: &Claimed,
        change: &Change,
    ) -> Result<ChangedFiles, ForgeError> {
        match (&self.source(delivery)?.kind, &change.repo) {
            (Kind::Local { base, .. }, Some(repo)) => {
                local::changed_files(base, repo, change).await
            }
            (Kind::Local { .. } | Kind::Generic, _) => {
                Ok(ChangedFiles { files: Vec::new(), incomplete: false })
            }
        }
    }

    /// Where a job of this repository clones from, at the time it is sent.
    pub(crate) async fn clone_source(
        &self,
        routing_key: &str,
        repo: &str,
    ) -> Result<CloneSource, ForgeError> {
        let source =
            self.sources.by_routing_key(routing_key).ok_or_else(|| removed(routing_key))?;
        match &source.kind {
            Kind::Local { base, clone_url_base } => {
                let url = local::clone_url(base, clone_url_base.as_deref(), repo)?;
                Ok(CloneSource { url, token: None, auth: None })
            }
            Kind::Generic => Err(ForgeError::Permanent(format!(
                "source {} is a plain webhook: it has no repositories to clone",
                source.name
            ))),
        }
    }

    /// The payload of a delivery, parsed as `normalise` does; `null` when it was not kept.
    pub(crate) fn payload(&self, delivery: &Claimed) -> serde_json::Value {
        body::parse(delivery).unwrap_or(serde_json::Value::Null)
    }

    fn source(&self, delivery: &Claimed) -> Result<Arc<Source>, ForgeError> {
        delivery
            .source_id
            .and_then(|id| self.sources.by_id(SourceId(id)))
            .ok_or_else(|| removed(&delivery.routing_key))
    }
}

/// Permanent: a removed source does not come back under its key.
fn removed(routing_key: &str) -> ForgeError {
    ForgeError::Permanent(format!("the source with routing key {routing_key} has been removed"))
}
