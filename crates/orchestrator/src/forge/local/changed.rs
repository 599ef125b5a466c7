//! Which files a push or pull request changes, as git tells it.

use std::path::Path;

use serde_json::Value;

use super::super::repository::resolve;
use super::super::{Change, ChangedFiles, ForgeError, git};
use super::{is_zero, text};

/// A longer list of changed files counts as unknown.
const LONGEST_LIST: usize = 8 * 1024 * 1024;
/// Longer than any name of a branch.
const LONGEST_NAME: usize = 4096;
/// The tree without files, which git always knows.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// The files that differ, under their old and their new names.
pub(in crate::forge) async fn changed_files(
    base: &Path,
    repo: &str,
    change: &Change,
) -> Result<ChangedFiles, ForgeError> {
    const UNKNOWN: ChangedFiles = ChangedFiles { files: Vec::new(), incomplete: true };
    let repository = resolve(base, repo)?;
    let payload = &change.event.payload;
    let from = match change.event.kind.as_str() {
        "push" | "tag" => match text(payload, "/before") {
            None => return Ok(UNKNOWN),
            Some(before) if is_zero(before) => {
                let default = default_branch(&repository, payload).await?;
                match merge_base(&repository, &default, &change.sha).await? {
                    // A branch that starts where the default branch is: what it brings is not known.
                    Some(same) if same == change.sha => match change.git_ref == default {
                        true => EMPTY_TREE.to_owned(),
                        false => return Ok(UNKNOWN),
                    },
                    Some(base) => base,
                    None => return Ok(UNKNOWN),
                }
            }
            Some(before) => before.to_owned(),
        },
        "pull_request" => {
            let branch = change.event.base_branch.as_deref();
            let onto = text(payload, "/pull_request/base/sha").or(branch);
            match onto {
                None => return Ok(UNKNOWN),
                Some(onto) => match merge_base(&repository, onto, &change.sha).await? {
                    Some(base) => base,
                    None => return Ok(UNKNOWN),
                },
            }
        }
        _ => return Ok(ChangedFiles { files: Vec::new(), incomplete: false }),
    };
    if from.starts_with('-') || change.sha.starts_with('-') {
        return Ok(UNKNOWN);
    }
    let args = ["diff-tree", "-r", "--name-only", "--no-renames", "-z", &from, &change.sha];
    let answer = git::run(&repository, &args, b"", LONGEST_LIST).await?;
    if !answer.success || answer.cut {
        return Ok(UNKNOWN);
    }
    let files = answer.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(ChangedFiles {
        files: files.map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
        incomplete: false,
    })
}

/// The branch that others start from. In a working tree, HEAD is whatever is being worked on.
async fn default_branch(repository: &Path, payload: &Value) -> Result<String, ForgeError> {
    if let Some(branch) = text(payload, "/repository/default_branch") {
        return Ok(branch.to_owned());
    }
    let ask = async |args: &[&str]| {
        git::run(repository, args, b"", LONGEST_NAME).await.map(|answer| answer.line())
    };
    let bare = ask(&["rev-parse", "--is-bare-repository"]).await?.as_deref() == Some("true");
    if !bare {
        let origin = ask(&["symbolic-ref", "--short", "refs/remotes/origin/HEAD"]).await?;
        if let Some(branch) = origin.as_deref().and_then(|name| name.strip_prefix("origin/")) {
            return Ok(branch.to_owned());
        }
        for branch in ["main", "master"] {
            let full = format!("refs/heads/{branch}");
            if ask(&["rev-parse", "--verify", "--quiet", &full]).await?.is_some() {
                return Ok(branch.to_owned());
            }
        }
    }
    Ok(ask(&["symbolic-ref", "--short", "HEAD"]).await?.unwrap_or_else(|| "main".into()))
}

async fn merge_base(
    repository: &Path,
    one: &str,
    other: &str,
) -> Result<Option<String>, ForgeError> {
    if one.starts_with('-') || other.starts_with('-') {
        return Ok(None);
    }
    Ok(git::run(repository, &["merge-base", one, other], b"", 256).await?.line())
}
