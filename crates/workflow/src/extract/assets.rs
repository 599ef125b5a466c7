//! `hashFiles`: the files that a workflow's content hash covers besides its entry.

use std::path::Path;

use kici_model::glob::{Glob, is_glob};
use kici_model::hash;

use super::problem::{Problem, Report};

/// The files that the patterns match, relative to the root, sorted. Links are not followed.
pub(super) fn resolve(
    root: &Path,
    patterns: &[String],
    file: &str,
    report: &mut Report,
) -> Vec<String> {
    let mut found = Vec::new();
    for pattern in patterns {
        if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            report.error(
                Problem::error(
                    file,
                    None,
                    format!("`hashFiles` pattern '{pattern}' leaves the repository"),
                )
                .suggest("write a path relative to the repository root"),
            );
            continue;
        }
        match Glob::new(pattern) {
            Ok(glob) => {
                let base = base(pattern);
                if root.join(&base).is_dir() {
                    walk(root, &base, &glob, &mut found);
                } else {
                    add(root, &base, &glob, &mut found);
                }
            }
            Err(error) => report.error(Problem::error(
                file,
                None,
                format!("`hashFiles` pattern '{pattern}' is no valid glob: {error}"),
            )),
        }
    }
    hash::sort_paths(&mut found);
    found
}

/// Digest of the files' contents.
pub(super) fn digest(root: &Path, paths: &[String]) -> String {
    let contents: Vec<Option<Vec<u8>>> =
        paths.iter().map(|path| std::fs::read(root.join(path)).ok()).collect();
    hash::asset_digest(paths.iter().map(String::as_str).zip(contents.iter().map(Option::as_deref)))
}

/// The leading part of a pattern that has no wildcards: where the search starts.
fn base(pattern: &str) -> String {
    let plain = |part: &&str| !is_glob(part) && !part.contains(['\\', '!', '(']);
    let parts: Vec<&str> =
        pattern.split('/').take_while(plain).filter(|part| *part != ".").collect();
    parts.join("/")
}

fn walk(root: &Path, below: &str, glob: &Glob, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(root.join(below)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != ".git" => walk(root, &path, glob, found),
            Ok(kind) if kind.is_file() => add(root, &path, glob, found),
            _ => {}
        }
    }
}

fn add(root: &Path, path: &str, glob: &Glob, found: &mut Vec<String>) {
    let file = root.join(path).symlink_metadata().is_ok_and(|meta| meta.is_file());
    if file && glob.is_match(path).unwrap_or(false) {
        found.push(path.to_owned());
    }
}
