//! What a failed function tells its author: a message, the exit code, the author's own stack frames.

use std::path::Path;

use kici_workflow::engine::{CallError, Thrown};

use crate::calls::CallFailure;
use crate::cause::{Circumstances, Ending};
use crate::mask::Masker;
use crate::scope::Scope;
use crate::spec::StepError;

/// An error text is for people; what does not fit here is in the log.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// A failure of a step or hook. The text is not masked yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<String>,
    /// What the kernel knows about it.
    cause: Option<&'static str>,
    /// Passed back to the author's `retryIf`.
    pub(crate) handle: Option<u32>,
    /// Shown in front of the message in the log.
    class: String,
    stack: Vec<String>,
}

impl Failure {
    /// A failure with nothing but a message.
    pub(crate) fn of(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            exit_code: None,
            signal: None,
            cause: None,
            handle: None,
            class: "Error".to_owned(),
            stack: Vec::new(),
        }
    }

    /// The failure of step or hook `what`.
    pub(crate) fn of_call(what: &str, failure: CallFailure) -> Self {
        match failure {
            CallFailure::Engine(CallError::Thrown(thrown)) => Self::of_thrown(thrown),
            CallFailure::Engine(CallError::EngineLost { how }) => {
                Self::of(format!("the workflow's engine stopped while {what} ran: {how}"))
            }
            CallFailure::Engine(other) => Self::of(chain(&other)),
            CallFailure::TimedOut(limit) => {
                Self::of(format!("{what} timed out after {}ms", limit.as_millis()))
            }
            CallFailure::Stopped => Self::of(format!("{what} was stopped")),
        }
    }

    fn of_thrown(thrown: Thrown) -> Self {
        let stack = thrown.stack.as_deref().unwrap_or_default();
        let frames = stack
            .lines()
            .map(str::trim)
            .filter(|l| l.starts_with("at "))
            .map(|l| format!("    {l}"));
        // Classes of the shell and of thrown values mean nothing to a reader of the log.
        let class = match thrown.name.as_str() {
            "" | "NonError" | "ProcessOutput" => "Error",
            name => name,
        };
        Self {
            stack: frames.collect(),
            class: class.to_owned(),
            message: thrown.message,
            exit_code: thrown.exit_code,
            signal: thrown.signal,
            cause: None,
            handle: thrown.handle,
        }
    }

    /// Adds what the kernel counted since `before`, for a function that wrote to `folders`.
    pub(crate) fn explained(mut self, before: &Circumstances, folders: &[&Path]) -> Self {
        let ending = Ending {
            exit_code: self.exit_code,
            signal: self.signal.as_deref(),
            text: &self.message,
        };
        if let Some(cause) = before.cause(ending, folders) {
            self.message = format!("{} ({cause})", self.message);
            self.cause = Some(cause.kind());
        }
        self
    }

    /// `out-of-memory` or `disk-full`, if it was that.
    pub(crate) fn cause(&self) -> Option<&'static str> {
        self.cause
    }

    /// Writes it as the last lines of the step's log.
    pub(crate) fn log(&self, scope: &Scope) {
        scope.log.text(&format!("{}: {}", self.class, self.message));
        if !self.stack.is_empty() {
            scope.log.text(&self.stack.join("\n"));
        }
    }

    /// For the step's status.
    pub(crate) fn to_step_error(&self, masker: &Masker) -> StepError {
        StepError {
            message: shortened(masker.text(&self.message)),
            exit_code: self.exit_code,
            signal: self.signal.clone(),
            cause: self.cause.map(str::to_owned),
        }
    }
}

/// The beginning of a text that is too long for a message.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_MESSAGE {
        text.truncate(text.floor_char_boundary(LONGEST_MESSAGE));
        text.push('…');
    }
    text
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thrown_value_that_is_no_error_reads_well() {
        let thrown = Thrown {
            name: "NonError".to_owned(),
            message: "42".to_owned(),
            stack: Some("x\n  at run (.kici/workflows/ci.ts:3:9)".to_owned()),
            exit_code: None,
            signal: None,
            handle: None,
        };
        let failure = Failure::of_call("Step 'x'", CallFailure::Engine(CallError::Thrown(thrown)));
        assert_eq!((failure.class.as_str(), failure.message.as_str()), ("Error", "42"));
        assert_eq!(failure.stack, ["    at run (.kici/workflows/ci.ts:3:9)"]);
    }
}
