//! Reads a lock file that came from somebody's repository: the checks, their order and their words.
//!
//! Everything that is refused here makes a delivery `lockfile_corrupt`. Field-level checks name the
//! JSON path, so that one malformed trigger is found without reading the whole file.

use serde_json::Value;

use super::limits::{
    MAX_JOBS, MAX_LOCK_BYTES, MAX_MATCHERS, MAX_STEPS, MAX_TRIGGERS, MAX_WORKFLOWS,
};
use super::{JobEntry, LabelMatcher, LockFile, SCHEMA_VERSION, StepEntry};
use crate::regex::{EsRegex, is_redos_prone};

/// Where a lock file was read from; part of every message.
#[derive(Debug, Clone, Copy)]
pub struct LockOrigin<'a> {
    /// The repository, `owner/name`.
    pub repo: &'a str,
    /// Branch, tag or commit.
    pub reference: &'a str,
}

impl std::fmt::Display for LockOrigin<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ref={}", self.repo, self.reference)
    }
}

/// Why a lock file is corrupt. The text is shown to users, at most 2,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LockError {
    message: String,
}

impl LockError {
    fn new(message: impl Into<String>) -> Self {
        let message: String = message.into();
        let cut = message.char_indices().nth(2000).map_or(message.len(), |(at, _)| at);
        Self { message: message[..cut].to_owned() }
    }
}

/// Reads and checks a lock file.
pub fn parse(bytes: &[u8], origin: LockOrigin<'_>) -> Result<LockFile, LockError> {
    if bytes.len() > MAX_LOCK_BYTES {
        return Err(LockError::new(format!(
            "Lock file at {origin} is too large: {} bytes (max {MAX_LOCK_BYTES})",
            bytes.len()
        )));
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|e| LockError::new(format!("Lock file at {origin} is not valid JSON: {e}")))?;
    check_version(&value, origin)?;
    check_labels(&value)?;
    let lock: LockFile = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        LockError::new(format!(
            "Invalid lock file at {origin}: {path}: {} — recompile with `kici compile`",
            error.into_inner()
        ))
    })?;
    check_counts(&lock, origin)?;
    Ok(lock)
}

fn check_version(value: &Value, origin: LockOrigin<'_>) -> Result<(), LockError> {
    let version = value.as_object().and_then(|map| map.get("schemaVersion"));
    let Some(version) = version.and_then(Value::as_f64) else {
        return Err(LockError::new(format!(
            "Invalid lock file at {origin}: missing or invalid schemaVersion"
        )));
    };
    if version != f64::from(SCHEMA_VERSION) {
        return Err(LockError::new(format!(
            "Lock file schemaVersion {version} is incompatible with this orchestrator (engine \
             SCHEMA_VERSION {SCHEMA_VERSION}). Recompile with a matching `kici compile` and commit \
             the result ({origin})"
        )));
    }
    Ok(())
}

/// Checks label matchers before anything else looks at jobs: first that all are well-formed, then
/// that their expressions are harmless.
fn check_labels(value: &Value) -> Result<(), LockError> {
    let mut matchers = Vec::new();
    for workflow in items(value.get("workflows")) {
        for job in items(workflow.get("jobs")) {
            if job.get("_type").and_then(Value::as_str) == Some("static") {
                collect_matchers(workflow, job, &mut matchers)?;
            }
        }
    }
    for (place, matcher) in &matchers {
        check_regex(place, matcher)?;
    }
    Ok(())
}

fn collect_matchers(
    workflow: &Value,
    job: &Value,
    out: &mut Vec<(String, LabelMatcher)>,
) -> Result<(), LockError> {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or("").to_owned();
    let place =
        |field: &str| format!("lock workflow '{}' job '{}' {field}", name(workflow), name(job));
    let all = job.get("runsOnAll");
    let include = all.and_then(|all| all.get("include"));
    let groups = include.into_iter().flat_map(|groups| items(Some(groups)));
    let lists = [
        ("runsOn", job.get("runsOn")),
        ("excludeLabels", job.get("excludeLabels")),
        ("runsOnAll.exclude", all.and_then(|all| all.get("exclude"))),
    ];
    let lists = lists.into_iter().chain(groups.map(|group| ("runsOnAll.include", Some(group))));
    for (field, list) in lists {
        let Some(list) = list else { continue };
        let entries = list.as_array().ok_or_else(|| malformed(&place(field), list))?;
        if entries.len() > MAX_MATCHERS {
            return Err(LockError::new(format!(
                "{}: {} label matchers (max {MAX_MATCHERS})",
                place(field),
                entries.len()
            )));
        }
        for entry in entries {
            let matcher = serde_json::from_value(entry.clone())
                .map_err(|_| malformed(&place(field), entry))?;
            out.push((place(field), matcher));
        }
    }
    Ok(())
}

fn malformed(place: &str, value: &Value) -> LockError {
    let mut text = value.to_string();
    if text.len() > 200 {
        let cut = text.char_indices().nth(200).map_or(text.len(), |(at, _)| at);
        text.truncate(cut);
        text.push('…');
    }
    LockError::new(format!(
        "{place}: invalid label matcher {text} — recompile with `kici compile` and commit the result"
    ))
}

fn check_regex(place: &str, matcher: &LabelMatcher) -> Result<(), LockError> {
    let LabelMatcher::Regex { source, flags } = matcher else { return Ok(()) };
    match is_redos_prone(source, flags) {
        Ok(false) => {}
        Ok(true) => {
            return Err(LockError::new(format!(
                "{place}: regex /{source}/ is ReDoS-prone — rejected"
            )));
        }
        Err(error) => return Err(LockError::new(format!("{place}: {error}"))),
    }
    EsRegex::new(source, flags)
        .map(|_| ())
        .map_err(|error| LockError::new(format!("{place}: {error}")))
}

fn check_counts(lock: &LockFile, origin: LockOrigin<'_>) -> Result<(), LockError> {
    let over = |what: String, count: usize, max: usize| -> Result<(), LockError> {
        if count <= max {
            return Ok(());
        }
        Err(LockError::new(format!("Lock file at {origin}: {what}: {count} entries (max {max})")))
    };
    over("workflows".to_owned(), lock.workflows.len(), MAX_WORKFLOWS)?;
    for (w, workflow) in lock.workflows.iter().enumerate() {
        over(format!("workflows[{w}].triggers"), workflow.triggers.len(), MAX_TRIGGERS)?;
        over(format!("workflows[{w}].jobs"), workflow.jobs.len(), MAX_JOBS)?;
        for (j, job) in workflow.jobs.iter().enumerate() {
            let JobEntry::Static(job) = job else { continue };
            let steps = job.steps.iter().map(|step| match step {
                StepEntry::Step(_) => 1,
                StepEntry::Parallel(group) => group.children.len(),
            });
            over(format!("workflows[{w}].jobs[{j}].steps"), steps.sum(), MAX_STEPS)?;
        }
    }
    Ok(())
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
