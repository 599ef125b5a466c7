//! Why a workflow file did not load, as a problem at the place that its author has to look at.

use std::path::Path;

use kici_workflow::describe::SourceLocation;
use kici_workflow::engine::{LoadError, Thrown};
use kici_workflow::extract::Problem;

/// A load error as a problem with the best place that is known.
pub(super) fn of_load(root: &Path, file: &str, error: LoadError) -> Box<Problem> {
    let at = |file: &str, line: u32, column: u32| SourceLocation {
        file: file.to_owned(),
        line: line.max(1),
        column: column.max(1),
    };
    let (location, message) = match error {
        LoadError::Syntax { file, line, column, message, .. } => {
            (Some(at(&file, line, column)), message)
        }
        LoadError::Resolve { file, line, column, specifier, why, .. } => {
            (Some(at(&file, line, column)), format!("cannot import '{specifier}': {why}"))
        }
        LoadError::Thrown(thrown) => {
            if let Some((name, module)) = missing_export(&thrown) {
                return Box::new(no_export(root, file, name, module));
            }
            let location = thrown.stack.as_deref().and_then(|stack| first_frame(root, stack));
            (location, of_thrown(&thrown))
        }
        other => {
            let cause = std::error::Error::source(&other).map(|cause| format!(": {cause}"));
            (None, format!("{other}{}", cause.unwrap_or_default()))
        }
    };
    Box::new(Problem::error(file, location.as_ref(), message).code("E003"))
}

/// Errors of factories are plain `Error`s whose message says it all.
fn of_thrown(thrown: &Thrown) -> String {
    match thrown.name.as_str() {
        "Error" => thrown.message.clone(),
        name => format!("{name}: {}", thrown.message),
    }
}

/// The first place of a stack that lies in the project, outside of packages.
fn first_frame(root: &Path, stack: &str) -> Option<SourceLocation> {
    stack.lines().find_map(|line| {
        let frame = line.trim().strip_prefix("at ")?;
        let place = frame.rsplit_once('(').map_or(frame, |(_, place)| place.trim_end_matches(')'));
        let (rest, column) = place.rsplit_once(':')?;
        let (file, line) = rest.rsplit_once(':')?;
        let own = !file.contains("node_modules") && root.join(file).is_file();
        let (line, column) = (line.parse().ok()?, column.parse().ok()?);
        own.then(|| SourceLocation { file: file.to_owned(), line, column })
    })
}

/// `import { name } from …` of something that the module does not have: the name and the module.
fn missing_export(thrown: &Thrown) -> Option<(&str, &str)> {
    let quoted = |text| -> Option<(&'_ str, &'_ str)> {
        let (_, rest): (&str, &str) = str::split_once(text, '\'')?;
        rest.split_once('\'')
    };
    let message = thrown.message.as_str();
    if message.starts_with("Could not find export '") {
        let (name, rest) = quoted(message)?;
        return Some((name, quoted(rest)?.0));
    }
    let (_, rest) = message.split_once("The requested module ")?;
    let (module, rest) = quoted(rest)?;
    Some((rest.split("export named ").nth(1).and_then(quoted)?.0, module))
}

/// Names the import and its line, which engines do not tell.
fn no_export(root: &Path, file: &str, name: &str, module: &str) -> Problem {
    let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let location = source.lines().zip(1..).find_map(|(line, number)| {
        let at = line.match_indices(name).map(|(at, _)| at).find(|at| {
            !line[..*at].ends_with(is_name) && !line[at + name.len()..].starts_with(is_name)
        })?;
        let column = line[..at].chars().count() as u32 + 1;
        Some(SourceLocation { file: file.to_owned(), line: number, column })
    });
    let is_sdk = module.starts_with("kici:") || module.contains("@kici-dev/sdk");
    let module = if is_sdk { "@kici-dev/sdk" } else { module };
    let module = module.trim_start_matches("file://");
    let module = Path::new(module).strip_prefix(root).unwrap_or(Path::new(module)).display();
    let message = format!("'{module}' has no export '{name}'");
    Problem::error(file, location.as_ref(), message).code("E003")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_of_the_author_is_the_place() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(".kici/workflows")).unwrap();
        std::fs::write(dir.path().join(".kici/workflows/ci.ts"), "").unwrap();
        let stack = "Error: no\n    at job (.kici/node_modules/x/a.js:1:1)\n    at https://x:1:1\n    at .kici/workflows/ci.ts:3:9\n";
        let found = first_frame(dir.path(), stack).unwrap();
        assert_eq!(
            (found.file.as_str(), found.line, found.column),
            (".kici/workflows/ci.ts", 3, 9)
        );
        assert_eq!(first_frame(dir.path(), "Error: no"), None);
    }

    #[test]
    fn a_missing_export_is_named_where_it_is_imported() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ci.ts"), "// jobb\nimport { job, jobb } from 'x';\n")
            .unwrap();
        for message in [
            "Could not find export 'jobb' in module 'kici:sdk.js'",
            "The requested module '@kici-dev/sdk' does not provide an export named 'jobb'",
        ] {
            let thrown = Thrown {
                name: "SyntaxError".into(),
                message: message.into(),
                stack: None,
                exit_code: None,
                signal: None,
                handle: None,
            };
            let problem = of_load(dir.path(), "ci.ts", LoadError::Thrown(thrown));
            assert_eq!(problem.message, "'@kici-dev/sdk' has no export 'jobb'");
        }
    }
}
