//! The event that a local run sees: a push of the current commit, or what a file says.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use kici_model::event::Event;
use serde_json::{Value, json};

use crate::project::Project;

/// Reads the event from a file, or makes the push that would have sent this commit.
pub(super) fn event(project: &Project, file: Option<&Path>) -> anyhow::Result<Event> {
    match file {
        Some(file) => from_file(file),
        None => Ok(push(project)),
    }
}

fn from_file(file: &Path) -> anyhow::Result<Event> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("could not read the event file {}", file.display()))?;
    let mut value: Value = serde_json::from_str(&text)
        .with_context(|| format!("the event file {} is not valid JSON", file.display()))?;
    let Some(object) = value.as_object_mut().filter(|object| object.contains_key("type")) else {
        bail!(
            "the event file {} is no event: it needs at least {{\"type\": \"push\", \"targetBranch\": \"main\", \"payload\": {{}}}}",
            file.display()
        );
    };
    object.entry("targetBranch").or_insert_with(|| json!("main"));
    serde_json::from_value(value).with_context(|| {
        format!("the event file {} does not have an event's fields", file.display())
    })
}

fn push(project: &Project) -> Event {
    let branch =
        git(project, &["symbolic-ref", "--short", "HEAD"]).unwrap_or_else(|| "main".to_owned());
    let sha = git(project, &["rev-parse", "HEAD"]).unwrap_or_else(|| "0".repeat(40));
    let before = git(project, &["rev-parse", "HEAD~1"]).unwrap_or_else(|| "0".repeat(40));
    let name = project
        .root
        .file_name()
        .map_or_else(|| "local".to_owned(), |name| name.to_string_lossy().into_owned());
    let changed = git(project, &["diff", "--name-only", "HEAD~1", "HEAD"]);
    Event {
        kind: "push".to_owned(),
        provider: Some("local".to_owned()),
        sender_username: git(project, &["config", "user.name"]),
        source_repo: Some(format!("local/{name}")),
        changed_files: changed.map(|text| text.lines().map(str::to_owned).collect()),
        payload: json!({
            "ref": format!("refs/heads/{branch}"),
            "before": before,
            "after": sha,
            "repository": {"full_name": format!("local/{name}"), "name": name, "default_branch": branch},
        }),
        target_branch: branch,
        ..Event::default()
    }
}

/// What git prints, if it succeeds; a folder without git or without commits is fine too.
pub(super) fn git(project: &Project, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(&project.root).args(args).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_type_is_refused_with_an_example() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("event.json");
        std::fs::write(&file, "{\"ref\": \"refs/heads/main\"}").unwrap();
        let error = from_file(&file).unwrap_err().to_string();
        assert!(error.contains("\"type\": \"push\""), "{error}");
    }

    #[test]
    fn without_git_the_push_still_has_a_branch_and_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let event = push(&Project { root: dir.path().to_owned() });
        assert_eq!(event.kind, "push");
        assert_eq!(event.target_branch, "main");
        assert_eq!(event.payload["after"].as_str().map(str::len), Some(40));
    }
}
