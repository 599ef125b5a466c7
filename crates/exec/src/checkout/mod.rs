//! Brings the files of one commit into the workspace.
//!
//! `source` says what is wanted and with which credential, `git` runs the program, `fetch` gets the commit
//! into a repository (a `mirror` that outlives the job, or the workspace itself), and `worktree` makes
//! the workspace a normal repository at that commit.

mod fetch;
mod git;
mod mirror;
mod redact;
mod source;
mod worktree;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::spec::{Checkout, GitAuth};
use fetch::Fetch;
use git::Git;
use mirror::Mirror;
pub(crate) use redact::url as redact_url;
use source::Source;

/// For everything that git does.
const LIMIT: Duration = Duration::from_secs(120);

/// Why there are no files. The text holds no credential.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckoutError {
    /// git said no.
    #[error("git {what} failed: {said}")]
    Git { what: String, said: String },
    /// There is no such commit.
    #[error("commit {sha} is not in {url}, or not reachable from {reference:?}")]
    NoCommit { sha: String, url: String, reference: String },
    /// The branch moved on, and something else was checked out.
    #[error("checked out {found} instead of {wanted}")]
    WrongCommit { found: String, wanted: String },
    /// It took too long.
    #[error("git {what} did not finish within {} s", LIMIT.as_secs())]
    TimedOut { what: String },
    /// The job was stopped meanwhile.
    #[error("stopped while git {what} ran")]
    Stopped { what: String },
    /// git cannot be run.
    #[error("could not run git; is it installed and on the PATH?")]
    NoGit(#[source] std::io::Error),
    /// The credential is of no use.
    #[error("the clone credential cannot be used: {0}")]
    Credential(String),
    /// A file operation failed.
    #[error("could not {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl CheckoutError {
    fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

/// Where a checkout happens.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    /// Becomes the repository.
    pub(crate) workspace: &'a Path,
    /// Holds mirrors, if they are kept.
    pub(crate) mirrors: Option<&'a Path>,
    /// For keys and settings; private to the job and removed after it.
    pub(crate) temp: &'a Path,
    /// Whether `reference` is a tag (or anything else that HEAD cannot be on).
    pub(crate) detached: bool,
}

/// Keeps the mirror from being replaced while the workspace borrows its objects.
#[derive(Debug, Default)]
pub(crate) struct Borrowed {
    _mirror: Option<std::fs::File>,
}

/// Checks out. Returns what has to be kept until the job is over.
pub(crate) async fn checkout(
    wanted: &Checkout,
    places: &Places<'_>,
    stop: CancellationToken,
) -> Result<Borrowed, CheckoutError> {
    match wanted {
        Checkout::InPlace { .. } => Ok(Borrowed::default()),
        Checkout::Git { url, reference, sha, auth } => {
            let (source, git) = prepare(url, reference, sha, auth.as_ref(), places, stop)?;
            full(&source, &git, places).await
        }
        Checkout::None { url, sha, auth } => {
            let (source, git) = prepare(url, "", sha, auth.as_ref(), places, stop)?;
            kici_only(&source, &git, places).await
        }
    }
}

fn prepare(
    url: &str,
    reference: &str,
    sha: &str,
    auth: Option<&GitAuth>,
    places: &Places<'_>,
    stop: CancellationToken,
) -> Result<(Source, Git), CheckoutError> {
    let source = Source::new(url, reference, sha, auth);
    let git = Git::new(&source, places.temp, stop)?;
    Ok((source, git))
}

async fn full(source: &Source, git: &Git, places: &Places<'_>) -> Result<Borrowed, CheckoutError> {
    let tree = worktree::Worktree::new(places.workspace, source, places.detached);
    if let Some(mirrors) = places.mirrors {
        let mirror = Mirror::open(mirrors, source).await?;
        if fill_from(&mirror, &tree, source, git).await? {
            return Ok(Borrowed { _mirror: Some(mirror.keep()) });
        }
    }
    tree.init(None)?;
    let sha = Fetch { git, source, into: &tree.git_dir() }.commit().await?;
    tree.set_head(&sha)?;
    tree.fill(&sha, git).await?;
    source.verify(&sha)?;
    Ok(Borrowed::default())
}

/// Fills the work tree with objects of the mirror. False: something is missing there, for which the job
/// need not suffer.
async fn fill_from(
    mirror: &Mirror,
    tree: &worktree::Worktree<'_>,
    source: &Source,
    git: &Git,
) -> Result<bool, CheckoutError> {
    // Looking first would cost a process of its own; filling fails soon enough.
    if let Some(sha) = source.full_sha().filter(|sha| mirror.may_have(sha)) {
        match borrow(mirror, tree, sha, git).await {
            Ok(()) => return Ok(true),
            Err(CheckoutError::Git { .. }) => mirror.distrust(sha),
            Err(other) => return Err(other),
        }
    }
    let sha = mirror.bring(source, git).await?;
    source.verify(&sha)?;
    match borrow(mirror, tree, &sha, git).await {
        Ok(()) => Ok(true),
        Err(CheckoutError::Git { said, .. }) => {
            tracing::warn!("the mirror of {} is not complete: {said}", source.url);
            mirror.distrust(&sha);
            Ok(false)
        }
        Err(other) => Err(other),
    }
}

async fn borrow(
    mirror: &Mirror,
    tree: &worktree::Worktree<'_>,
    sha: &str,
    git: &Git,
) -> Result<(), CheckoutError> {
    tree.init(Some(mirror.objects()))?;
    tree.set_head(sha)?;
    tree.fill(sha, git).await
}

/// Only `.kici`, and no repository around it.
async fn kici_only(
    source: &Source,
    git: &Git,
    places: &Places<'_>,
) -> Result<Borrowed, CheckoutError> {
    let dir = places.temp.join("kici-source");
    let tree = worktree::Worktree::new(&dir, source, true);
    std::fs::create_dir_all(&dir).map_err(CheckoutError::file("create", &dir))?;
    tree.init(None)?;
    let sha = Fetch { git, source, into: &tree.git_dir() }.commit().await?;
    source.verify(&sha)?;
    tree.set_head(&sha)?;
    tree.fill_path(&sha, ".kici", places.workspace, git).await?;
    Ok(Borrowed::default())
}

#[cfg(test)]
mod tests;
