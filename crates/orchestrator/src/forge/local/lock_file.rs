//! The lock file at a commit, or in the working tree.

use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;

use super::super::repository::resolve;
use super::super::{ForgeError, LockFetch, git};

const LOCK_FILE: &str = ".kici/kici.lock.json";
/// A larger lock file is refused.
const LARGEST_LOCK_FILE: usize = 5 * 1024 * 1024;
/// Where git's answer about a commit (its own text comes along) and its lock file must fit.
const LARGEST_ANSWER: usize = LARGEST_LOCK_FILE + 1024 * 1024;

/// The lock file at a commit. In a folder that has no commit, or is no repository, it is the one that
/// lies there.
pub(in crate::forge) async fn lock_file(
    base: &Path,
    repo: &str,
    lock_ref: &str,
) -> Result<LockFetch, ForgeError> {
    let repository = resolve(base, repo)?;
    if lock_ref.is_empty() || lock_ref.contains(|c: char| c.is_control() || c == ' ') {
        return Err(ForgeError::Permanent(format!("{lock_ref:?} names no commit")));
    }
    let ask = format!("{lock_ref}^{{commit}}\n{lock_ref}:{LOCK_FILE}\n");
    let answer =
        git::run(&repository, &["cat-file", "--batch"], ask.as_bytes(), LARGEST_ANSWER).await?;
    let mut rest = answer.stdout.as_slice();
    match object(&mut rest) {
        Some(Object::There { kind: "commit", .. }) => match object(&mut rest) {
            Some(Object::There { kind: "blob", content }) => Ok(found(content)),
            Some(Object::There { kind, .. }) => {
                Ok(LockFetch::Corrupt(format!("{LOCK_FILE} is a {kind}, not a file")))
            }
            Some(Object::Missing) => Ok(LockFetch::Missing),
            None if answer.cut => Ok(LockFetch::Corrupt(format!(
                "{LOCK_FILE} is larger than {LARGEST_LOCK_FILE} bytes"
            ))),
            None => Err(unreadable(&repository, &answer)),
        },
        // A repository without any commit yet.
        Some(Object::There { .. } | Object::Missing) if lock_ref == "HEAD" => {
            in_working_tree(&repository).await
        }
        Some(Object::There { .. } | Object::Missing) => Err(ForgeError::Permanent(format!(
            "commit {lock_ref} is not in the repository {}, so nothing can be run at it",
            repository.display()
        ))),
        None if answer.success || answer.stderr.contains("not a git repository") => {
            in_working_tree(&repository).await
        }
        None => Err(unreadable(&repository, &answer)),
    }
}

async fn in_working_tree(repository: &Path) -> Result<LockFetch, ForgeError> {
    let path = match tokio::fs::canonicalize(repository.join(LOCK_FILE)).await {
        Ok(path) => path,
        Err(error) if is_absent(&error) => return Ok(LockFetch::Missing),
        Err(error) => return Err(could_not_read(repository, &error)),
    };
    if !path.starts_with(repository) {
        return Ok(LockFetch::Corrupt(format!(
            "{LOCK_FILE} is a link that leads out of the repository"
        )));
    }
    let mut content = Vec::new();
    let read = async {
        let file = tokio::fs::File::open(&path).await?;
        file.take(LARGEST_LOCK_FILE as u64 + 1).read_to_end(&mut content).await
    };
    read.await.map_err(|error| could_not_read(repository, &error))?;
    Ok(found(&content))
}

fn found(content: &[u8]) -> LockFetch {
    if content.len() > LARGEST_LOCK_FILE {
        LockFetch::Corrupt(format!("{LOCK_FILE} is larger than {LARGEST_LOCK_FILE} bytes"))
    } else if content.is_empty() {
        LockFetch::Corrupt(format!("{LOCK_FILE} is empty"))
    } else {
        LockFetch::Found(Arc::from(content))
    }
}

enum Object<'a> {
    There { kind: &'a str, content: &'a [u8] },
    Missing,
}

/// Takes one object from the output of `git cat-file --batch`; `None` when there is no whole one.
fn object<'a>(rest: &mut &'a [u8]) -> Option<Object<'a>> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (header, after) = rest.split_at(end);
    let header = std::str::from_utf8(header).ok()?;
    let mut words = header.rsplit(' ');
    let last = words.next()?;
    let Ok(size) = last.parse::<usize>() else {
        *rest = &after[1..];
        return Some(Object::Missing);
    };
    let kind = words.next()?;
    let content = after.get(1..1 + size)?;
    *rest = after.get(2 + size..).unwrap_or_default();
    Some(Object::There { kind, content })
}

fn unreadable(repository: &Path, answer: &git::Output) -> ForgeError {
    ForgeError::Retry(format!(
        "could not read {LOCK_FILE} from the repository {}: {}",
        repository.display(),
        if answer.stderr.is_empty() { "git ended early" } else { &answer.stderr }
    ))
}

fn could_not_read(repository: &Path, error: &std::io::Error) -> ForgeError {
    ForgeError::Retry(format!("could not read {LOCK_FILE} in {}: {error}", repository.display()))
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}
