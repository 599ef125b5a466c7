//! Shows problems: place, what is wrong, the line itself, what to write instead.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use kici_workflow::extract::{Problem, Severity};

/// How many problems of each kind were shown.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) errors: usize,
    pub(super) warnings: usize,
}

/// Prints problems to standard error.
pub(super) fn print(root: &Path, problems: &[Problem]) -> Report {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut sources = HashMap::new();
    let mut report = Report::default();
    for problem in problems {
        match problem.severity {
            Severity::Error => report.errors += 1,
            Severity::Warning => report.warnings += 1,
        }
        let file = &problem.location.file;
        let source = sources
            .entry(file.clone())
            .or_insert_with(|| std::fs::read_to_string(root.join(file)).unwrap_or_default());
        eprintln!("{}", text(problem, source, colour));
    }
    report
}

/// One problem as text.
fn text(problem: &Problem, source: &str, colour: bool) -> String {
    let paint = |code: &str, text: &str| match colour {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    };
    let hue = match problem.severity {
        Severity::Error => "1;31",
        Severity::Warning => "1;33",
    };
    let mut out = match problem.to_string().split_once(": ") {
        Some((place, message)) => format!("{}: {message}", paint(hue, place)),
        None => problem.to_string(),
    };
    let location = &problem.location;
    let line = source.lines().nth(location.line.saturating_sub(1) as usize);
    // Line 1 column 1 also means that nothing better is known: no need to show an import.
    let known = (location.line, location.column) != (1, 1);
    if let Some(line) = line.filter(|line| known && line.len() < 400) {
        let number = location.line.to_string();
        let margin = " ".repeat(number.len());
        let before = line.chars().take(location.column.saturating_sub(1) as usize);
        let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let bar = paint("34", "|");
        // Writing to a string cannot fail.
        let _ = write!(out, "\n  {} {bar} {line}", paint("34", &number));
        let _ = write!(out, "\n  {margin} {bar} {indent}{}", paint(hue, "^"));
    }
    if let Some(suggestion) = &problem.suggestion {
        let _ = write!(out, "\n  {}: {suggestion}", paint("36", "Suggestion"));
    }
    out
}

#[cfg(test)]
mod tests {
    use kici_workflow::describe::SourceLocation;

    use super::*;

    #[test]
    fn a_problem_shows_its_line_and_what_to_write() {
        let place = SourceLocation { file: "a.ts".into(), line: 2, column: 3 };
        let problem = Problem::error("a.ts", Some(&place), "job 'b' needs 'biuld'".into())
            .code("E101")
            .suggest("did you mean 'build'?");
        assert_eq!(
            text(&problem, "one\n\tx job('b')\n", false),
            "a.ts:2:3 error [E101]: job 'b' needs 'biuld'\n  2 | \tx job('b')\n    | \t ^\n  Suggestion: did you mean 'build'?"
        );
        let nowhere = Problem::error("a.ts", None, "no".into());
        assert_eq!(text(&nowhere, "one\n", false), "a.ts:1:1 error: no");
    }
}
