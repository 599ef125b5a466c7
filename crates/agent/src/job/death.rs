//! How a job process died that told no result: in words for people, in fields for programs.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use kici_exec::{Cause, Circumstances, Ending};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::workdir::Folders;

/// A job process that is gone.
#[derive(Debug)]
pub(super) struct Death {
    /// What the agent saw or did, if anything.
    what: String,
    exit: Option<ExitStatus>,
    cause: Option<Cause>,
    /// The last of its standard error.
    tail: String,
}

impl Death {
    /// Looks at what is known; `before` is from when the job began.
    pub(super) fn examine(
        what: String,
        exit: Option<ExitStatus>,
        tail: String,
        before: &Circumstances,
        folders: &Folders,
    ) -> Self {
        let signal = exit.and_then(|exit| exit.signal()).map(signal_name);
        let ending = Ending {
            exit_code: exit.and_then(|exit| exit.code()),
            signal: signal.as_deref(),
            text: &tail,
        };
        let cause = before.cause(ending, &[&folders.work, &folders.temp]);
        Self { what, exit, cause, tail }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let how = match self.exit.map(|exit| (exit.code(), exit.signal())) {
            Some((Some(code), _)) => format!("it exited with code {code} without a result"),
            Some((None, Some(number))) => {
                format!("killed by {} (signal {number})", signal_name(number))
            }
            Some((None, None)) | None => "its end is unknown".to_owned(),
        };
        let cause = self.cause.as_ref().map(|cause| format!(", {cause}")).unwrap_or_default();
        let what = if self.what.is_empty() { String::new() } else { format!(" ({})", self.what) };
        let tail = match self.tail.as_str() {
            "" => "it wrote nothing to standard error",
            tail => tail,
        };
        format!("Workflow runner crashed: {how}{cause}{what}\n{tail}")
    }

    /// For programs: `kind` is `out-of-memory`, `disk-full`, `signal`, `exit` or `unknown`.
    pub(super) fn fields(&self) -> Value {
        let code = self.exit.and_then(|exit| exit.code());
        let signal = self.exit.and_then(|exit| exit.signal()).map(signal_name);
        let kind = match (&self.cause, code, &signal) {
            (Some(cause), _, _) => cause.kind(),
            (None, Some(_), _) => "exit",
            (None, None, Some(_)) => "signal",
            (None, None, None) => "unknown",
        };
        let mut fields = json!({ "kind": kind });
        if let Some(code) = code {
            fields["exitCode"] = code.into();
        }
        if let Some(signal) = signal {
            fields["signal"] = signal.into();
        }
        match &self.cause {
            Some(Cause::OutOfMemory { limit_bytes: Some(limit) }) => {
                fields["memoryLimitBytes"] = (*limit).into();
            }
            Some(Cause::DiskFull { path, free_bytes }) => {
                fields["path"] = path.display().to_string().into();
                fields["freeBytes"] = (*free_bytes).into();
            }
            Some(Cause::OutOfMemory { limit_bytes: None }) | None => {}
        }
        fields
    }
}

fn signal_name(number: i32) -> String {
    Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_words_and_fields() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders { work: folder.path().to_owned(), temp: folder.path().to_owned() };
        let before = Circumstances::now();
        let death = |wait: i32, tail: &str| {
            let exit = Some(ExitStatus::from_raw(wait));
            Death::examine(String::new(), exit, tail.to_owned(), &before, &folders)
        };
        let exited = death(3 << 8, "panicked");
        assert_eq!(
            exited.text(),
            "Workflow runner crashed: it exited with code 3 without a result\npanicked"
        );
        assert_eq!(exited.fields(), json!({ "kind": "exit", "exitCode": 3 }));
        let killed = death(15, "");
        assert!(killed.text().contains("killed by SIGTERM (signal 15)\nit wrote nothing"));
        assert_eq!(killed.fields(), json!({ "kind": "signal", "signal": "SIGTERM" }));
        let full = death(1 << 8, "write: No space left on device").fields();
        assert_eq!((&full["kind"], &full["exitCode"]), (&json!("disk-full"), &json!(1)));
        assert!(full["freeBytes"].as_u64().is_some());
    }
}
