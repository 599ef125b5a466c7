//! What is wrong with a project, where, and what to write instead.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::describe::SourceLocation;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// No lock file is written.
    Error,
    /// Worth knowing.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// `E101` and the like, where the specification names one.
    pub code: Option<&'static str>,
    /// Where: in the author's TypeScript, line 1 column 1 when nothing better is known.
    pub location: SourceLocation,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl Problem {
    /// An error at a place in a file.
    pub fn error(file: &str, location: Option<&SourceLocation>, message: String) -> Problem {
        let start = || SourceLocation { file: file.to_owned(), line: 1, column: 1 };
        Problem {
            severity: Severity::Error,
            code: None,
            location: location.cloned().unwrap_or_else(start),
            message,
            suggestion: None,
        }
    }

    /// The same as a warning.
    pub(super) fn warning(
        file: &str,
        location: Option<&SourceLocation>,
        message: String,
    ) -> Problem {
        Problem { severity: Severity::Warning, ..Self::error(file, location, message) }
    }

    /// Gives it a code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Problem {
        self.code = Some(code);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Problem {
        self.suggestion = Some(suggestion.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceLocation { file, line, column } = &self.location;
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{file}:{line}:{column} {word}")?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Problems found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
}

impl Report {
    pub(super) fn error(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(super) fn failed(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }
}

/// Reads an option that has a fixed shape; a wrong one is reported under its key.
pub(super) fn read<T: DeserializeOwned + Default>(
    value: Option<&Value>,
    file: &str,
    location: Option<&SourceLocation>,
    key: &str,
    report: &mut Report,
) -> T {
    let Some(value) = value else { return T::default() };
    match serde_json::from_value(value.clone()) {
        Ok(read) => read,
        Err(error) => {
            report.error(Problem::error(
                file,
                location,
                format!("`{key}` has a wrong value: {error}"),
            ));
            T::default()
        }
    }
}

/// The name that is closest to `wanted`, if one is close.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = wanted.chars().count().div_ceil(3);
    names
        .map(|name| (distance(wanted, name), name))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_a_close_name_is_offered() {
        let names = ["build", "deploy", "test"];
        assert_eq!(nearest("biuld", names.into_iter()), Some("build"));
        assert_eq!(nearest("buid", names.into_iter()), Some("build"));
        assert_eq!(nearest("deplyo", names.into_iter()), Some("deploy"));
        assert_eq!(nearest("lint", names.into_iter()), None);
    }
}
