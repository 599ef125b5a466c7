//! Gets one commit into a repository, with as little history as the other side allows.

use std::path::Path;

use super::CheckoutError;
use super::git::Git;
use super::source::Source;

/// History that is fetched when the commit cannot be had by its id.
const SOME: &str = "50";
/// All of it, in git's own words.
const ALL: &str = "2147483647";

/// One commit to fetch.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    pub(super) git: &'a Git,
    pub(super) source: &'a Source,
    /// The repository that gets it.
    pub(super) into: &'a Path,
}

impl Fetch<'_> {
    /// Fetches; returns the full id.
    pub(super) async fn commit(&self) -> Result<String, CheckoutError> {
        if self.source.sha.is_empty() {
            self.fetch("1", self.source.ref_to_fetch()).await?;
            return self.resolve("FETCH_HEAD").await;
        }
        if let Some(sha) = self.source.full_sha() {
            match self.fetch("1", sha).await {
                Ok(()) => return Ok(sha.to_owned()),
                // Many servers give out only what a branch or tag points to.
                Err(CheckoutError::Git { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        for depth in [SOME, ALL] {
            self.fetch(depth, self.source.ref_to_fetch()).await?;
            match self.resolve(&self.source.sha).await {
                Ok(sha) => return Ok(sha),
                Err(CheckoutError::Git { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(CheckoutError::NoCommit {
            sha: self.source.sha.clone(),
            url: self.source.url.clone(),
            reference: self.source.reference.clone(),
        })
    }

    async fn fetch(&self, depth: &str, what: &str) -> Result<(), CheckoutError> {
        let args =
            ["fetch", "--quiet", "--no-tags", "--depth", depth, "--", &self.source.url, what];
        self.git.run(self.into, &args).await.map(|_| ())
    }

    async fn resolve(&self, name: &str) -> Result<String, CheckoutError> {
        let commit = format!("{name}^{{commit}}");
        let found = self.git.run(self.into, &["rev-parse", "--verify", "--quiet", &commit]).await?;
        Ok(found.trim().to_owned())
    }
}
