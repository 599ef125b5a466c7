//! Git repositories on this machine: what a hook's message means, and what git knows about it.

use std::path::Path;
use std::sync::Arc;

use kici_model::event::Event;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use super::repository::{check_name, own_name, resolve};
use super::{Change, ChangedFiles, ForgeError, LockFetch, git};

const LOCK_FILE: &str = ".kici/kici.lock.json";
/// A larger lock file is refused.
const LARGEST_LOCK_FILE: usize = 5 * 1024 * 1024;
/// Where git's answer about a commit (its own text comes along) and its lock file must fit.
const LARGEST_ANSWER: usize = LARGEST_LOCK_FILE + 1024 * 1024;
/// A longer list of changed files counts as unknown.
const LONGEST_LIST: usize = 8 * 1024 * 1024;
/// The tree without files, which git always knows.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
/// The branch of an event that names none.
const NO_BRANCH: &str = "__local__";

/// What a hook's message means; `None` for a deleted branch or tag.
///
/// The event's name is taken as it is, so that any kind of event can be tried out locally.
pub(super) async fn normalise(
    base: &Path,
    event: &str,
    payload: Value,
) -> Result<Option<Change>, ForgeError> {
    let full_name = repository_name(&payload).ok_or_else(|| {
        ForgeError::Permanent(
            "the body has no repository.full_name, so the repository is unknown".into(),
        )
    })?;
    check_name(&full_name).map_err(ForgeError::Permanent)?;
    let after = text(&payload, "/after");
    if payload.get("deleted") == Some(&Value::Bool(true)) || after.is_some_and(is_zero) {
        return Ok(None);
    }
    let full_ref = text(&payload, "/ref");
    let tag = full_ref.and_then(|name| name.strip_prefix("refs/tags/"));
    let branch = full_ref.map(|name| name.strip_prefix("refs/heads/").unwrap_or(name));
    let named = tag.or(branch).unwrap_or(NO_BRANCH);
    let is_pr = event == "pull_request";
    let pr = |pointer: &str| is_pr.then(|| text(&payload, pointer)).flatten();
    let base_branch = pr("/pull_request/base/ref");
    let fork = is_pr && from_fork(&payload);
    let target = base_branch.unwrap_or(named).to_owned();

    let wanted = pr("/pull_request/head/sha").or(after);
    let sha = match wanted {
        Some(sha) if is_full_sha(sha) => sha.to_owned(),
        _ => resolve_commit(base, &full_name, wanted.or(full_ref)).await?,
    };
    let lock_ref = match fork {
        false => sha.clone(),
        true => match (pr("/pull_request/base/sha"), base_branch) {
            (Some(sha), _) if is_full_sha(sha) => sha.to_owned(),
            (_, Some(branch)) => format!("refs/heads/{branch}"),
            (_, None) => "HEAD".to_owned(),
        },
    };
    let event = Event {
        kind: match event {
            "push" if tag.is_some() => "tag".to_owned(),
            other => other.to_owned(),
        },
        action: text(&payload, "/action").map(str::to_owned),
        target_branch: target.clone(),
        source_branch: pr("/pull_request/head/ref").map(str::to_owned),
        base_branch: base_branch.map(str::to_owned),
        is_fork_pr: is_pr.then_some(fork),
        provider: Some("local".into()),
        sender_username: text(&payload, "/sender/login").map(str::to_owned),
        sender_user_id: payload.pointer("/sender/id").and_then(id_text),
        payload,
        ..Event::default()
    };
    let repo = if full_name == "." { own_name(base) } else { full_name };
    Ok(Some(Change {
        event,
        repo: Some(repo),
        git_ref: target,
        sha,
        lock_ref,
        trust_tier: Some(if fork { "unknown" } else { "trusted" }.into()),
        lock_file_source: Some(if fork { "base" } else { "head" }.into()),
    }))
}

/// The lock file at a commit. Of a commit that the repository does not have, or of a folder that is
/// no repository, it is the one in the working tree.
pub(super) async fn lock_file(
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
        Some(Object::There { .. } | Object::Missing) => in_working_tree(&repository).await,
        None if answer.success || answer.stderr.contains("not a git repository") => {
            in_working_tree(&repository).await
        }
        None => Err(unreadable(&repository, &answer)),
    }
}

/// The files that differ, under their old and their new names.
pub(super) async fn changed_files(
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

/// Where agents clone a repository from.
pub(super) fn clone_url(
    base: &Path,
    clone_url_base: Option<&str>,
    repo: &str,
) -> Result<String, ForgeError> {
    check_name(repo).map_err(ForgeError::Permanent)?;
    if let Some(url) = clone_url_base {
        let url = url.trim_end_matches('/');
        return Ok(if repo == "." { url.to_owned() } else { format!("{url}/{repo}") });
    }
    let path = resolve(base, repo)?;
    Ok(format!("file://{}", percent_encoded(&path)))
}

fn repository_name(payload: &Value) -> Option<String> {
    if let Some(name) = text(payload, "/repository/full_name") {
        return Some(name.to_owned());
    }
    let owner = text(payload, "/repository/owner/login")?;
    Some(format!("{owner}/{}", text(payload, "/repository/name")?))
}

/// A deleted fork has no repository any more; it still was one.
fn from_fork(payload: &Value) -> bool {
    let Some(head) = payload.pointer("/pull_request/head") else { return false };
    match (head.get("repo"), text(payload, "/pull_request/base/repo/full_name")) {
        (Some(Value::Null), _) => true,
        (Some(repo), Some(base)) => {
            repo.get("full_name").and_then(Value::as_str).is_some_and(|name| name != base)
        }
        (Some(_) | None, _) => false,
    }
}

/// The commit that a ref stands for now; `HEAD` when nothing can be said.
async fn resolve_commit(
    base: &Path,
    full_name: &str,
    name: Option<&str>,
) -> Result<String, ForgeError> {
    let repository = resolve(base, full_name)?;
    let name = name.filter(|name| !name.starts_with('-')).unwrap_or("HEAD");
    for name in [name, "HEAD"] {
        let commit = format!("{name}^{{commit}}");
        let answer =
            git::run(&repository, &["rev-parse", "--verify", "--quiet", &commit], b"", 256).await?;
        if let Some(sha) = answer.line() {
            return Ok(sha);
        }
    }
    Ok("HEAD".into())
}

async fn default_branch(repository: &Path, payload: &Value) -> Result<String, ForgeError> {
    if let Some(branch) = text(payload, "/repository/default_branch") {
        return Ok(branch.to_owned());
    }
    let answer = git::run(repository, &["symbolic-ref", "--short", "HEAD"], b"", 4096).await?;
    Ok(answer.line().unwrap_or_else(|| "main".into()))
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

fn text<'a>(payload: &'a Value, pointer: &str) -> Option<&'a str> {
    payload.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

fn id_text(id: &Value) -> Option<String> {
    match id {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn is_full_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_zero(sha: &str) -> bool {
    matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte == b'0')
}

/// git decodes URLs, so that what is special in one has to be written out.
fn percent_encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut url = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'/'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'+'
            | b'@' => {
                url.push(char::from(*byte));
            }
            other => url.push_str(&format!("%{other:02X}")),
        }
    }
    url
}
