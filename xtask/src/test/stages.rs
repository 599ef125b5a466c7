//! The stages that are a run of one tool.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use kici_devdb::{Cluster, Purpose};

use super::counts;
use crate::report::{Counts, Outcome};
use crate::shell;
use crate::workspace::{self, cargo};

/// A stage that succeeds or gives its error.
pub(super) fn done(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Ran(Counts::PASSED))
}

fn passes(command: &mut Command) -> Result<Outcome> {
    done(shell::run(command))
}

pub(super) fn format() -> Result<Outcome> {
    passes(cargo().args(["fmt", "--all", "--check"]))
}

pub(super) fn clippy() -> Result<Outcome> {
    passes(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

pub(super) fn build() -> Result<Outcome> {
    passes(cargo().args(["build", "--workspace", "--bins"]))
}

pub(super) fn deny() -> Result<Outcome> {
    if !shell::succeeds(cargo().args(["deny", "--version"])) {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed; `cargo xtask setup --all` compiles it".into(),
        ));
    }
    passes(cargo().args(["deny", "check", "licenses", "bans", "sources"]))
}

/// The tests of the SDK, and its linter.
pub(super) fn sdk() -> Result<Outcome> {
    let mut npm = workspace::command("npm");
    let npm = npm.current_dir(workspace::root().join("packages/sdk"));
    let lint = shell::watch(npm.args(["run", "--silent", "lint"]))?;
    let mut npm = workspace::command("npm");
    let npm = npm.current_dir(workspace::root().join("packages/sdk"));
    let tests = shell::watch(npm.args(["test", "--silent"]))?;
    let mut counts = counts::of_node(&tests.lines).unwrap_or(Counts::of(tests.success));
    if !tests.success && counts.failed == 0 {
        counts.failed = 1;
    }
    if !lint.success {
        counts.failed += 1;
    }
    Ok(Outcome::Ran(counts))
}

/// All Rust tests against one shared PostgreSQL.
pub(super) fn tests() -> Result<Outcome> {
    let folder = workspace::target().join("xtask-test-postgres");
    let _left_by_a_crash = std::fs::remove_dir_all(&folder);
    let cluster = Cluster::start(&folder, Purpose::Tests)?;
    let nextest = shell::succeeds(cargo().args(["nextest", "--version"]));
    let mut command = cargo();
    if nextest {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast", "--color=never"]);
    } else {
        println!("cargo-nextest is not installed; using `cargo test`");
        command.args(["test", "--workspace", "--no-fail-fast", "--bins", "--lib", "--tests"]);
    }
    let watched = shell::watch(command.env("TESTKIT_DATABASE_URL", cluster.url("postgres")))?;
    let counts = if nextest {
        counts::of_nextest(&watched.lines)
    } else {
        counts::of_cargo_test(&watched.lines)
    };
    counted(counts, watched.success)
}

pub(super) fn doc_tests() -> Result<Outcome> {
    let watched = shell::watch(cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]))?;
    counted(counts::of_cargo_test(&watched.lines), watched.success)
}

/// A test run that failed without a failed test (it did not compile) is one failure.
fn counted(counts: Option<Counts>, success: bool) -> Result<Outcome> {
    let mut counts = match counts {
        Some(counts) => counts,
        None if success => return Ok(Outcome::Ran(Counts::PASSED)),
        None => Counts::default(),
    };
    if !success && counts.failed == 0 {
        counts.failed = 1;
    }
    Ok(Outcome::Ran(counts))
}

/// The committed files that tools write, as they are now.
pub(super) fn generated() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let list = shell::output(workspace::command("git").args(["ls-files", "--"]).args(GENERATED))
        .context("this is no git checkout")?;
    list.lines()
        .map(|file| {
            let file = PathBuf::from(file);
            // A file that is gone counts as empty.
            let content = std::fs::read(workspace::root().join(&file)).unwrap_or_default();
            Ok((file, content))
        })
        .collect()
}

/// Building and testing must not change what is committed.
pub(super) fn unchanged(before: &[(PathBuf, Vec<u8>)]) -> Result<Outcome> {
    let after = generated()?;
    let changed: Vec<_> = before.iter().filter(|file| !after.contains(file)).collect();
    for (file, _) in &changed {
        println!("{} was changed by this run; commit the new version", file.display());
    }
    Ok(Outcome::Ran(Counts::of(changed.is_empty())))
}

/// Files that tools write and that are committed.
const GENERATED: [&str; 4] =
    ["Cargo.lock", "crates/store/.sqlx", "packages/sdk/package-lock.json", "tools/node"];
