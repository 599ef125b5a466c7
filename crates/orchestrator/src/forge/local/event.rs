//! What a hook's message means, in the words of triggers.

use std::path::Path;

use kici_model::event::Event;
use serde_json::Value;

use super::super::repository::{check_name, own_name, resolve};
use super::super::{Change, ForgeError, git};
use super::{id_text, is_full_sha, is_zero, text};

/// The branch of an event that names none.
const NO_BRANCH: &str = "__local__";

/// What a hook's message means; `None` for a deleted branch or tag.
///
/// The event's name is taken as it is, so that any kind of event can be tried out locally.
pub(in crate::forge) async fn normalise(
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
