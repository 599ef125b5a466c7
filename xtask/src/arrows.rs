//! Checks that our crates depend on each other only along the arrows of ARCHITECTURE.md.
//!
//! An arrow that is not listed here is refused, so a new one is a decision that review sees.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::report::{Counts, Outcome};
use crate::workspace;

/// From a crate to those of ours that it may use in its code.
const ARROWS: &[(&str, &[&str])] = &[
    ("kici-model", &[]),
    ("kici-protocol", &["kici-model"]),
    ("kici-store", &["kici-model"]),
    ("kici-workflow", &["kici-model"]),
    ("kici-exec", &["kici-model", "kici-workflow"]),
    ("kici-client", &["kici-model", "kici-protocol"]),
    ("kici-orchestrator", &["kici-model", "kici-protocol", "kici-store", "kici-workflow"]),
    ("kici-agent", &["kici-model", "kici-protocol", "kici-exec"]),
    ("kici-admin", &["kici-model", "kici-protocol", "kici-client", "kici-store"]),
    (
        "kici-cli",
        &["kici-model", "kici-protocol", "kici-client", "kici-exec", "kici-workflow", "kici-devdb"],
    ),
    ("kici-devdb", &[]),
    ("kici-testkit", &["kici-devdb"]),
    ("xtask", &["kici-model", "kici-protocol", "kici-devdb"]),
];

/// What every crate may use in its tests.
const FOR_TESTS: &[&str] = &["kici-testkit", "kici-devdb"];

/// Crates that must stay free of I/O, and what would bring it in.
const PURE: &str = "kici-model";
const IMPURE: &[&str] = &["tokio", "sqlx", "reqwest", "axum", "nix", "tempfile", "notify"];

/// `cargo xtask check-arrows`.
pub(crate) fn run() -> Result<ExitCode> {
    let faults = faults()?;
    for fault in &faults {
        println!("{fault}");
    }
    println!("{}", Counts::of(faults.is_empty()));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same as a stage.
pub(crate) fn stage() -> Result<Outcome> {
    let faults = faults()?;
    for fault in &faults {
        println!("{fault}");
    }
    Ok(Outcome::Ran(Counts::of(faults.is_empty())))
}

fn faults() -> Result<Vec<String>> {
    let metadata = workspace::cargo_metadata(&["--no-deps"])?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    Ok(faults_of(packages))
}

fn faults_of(packages: &[Value]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
            faults.push(format!(
                "{name} is not in xtask/src/arrows.rs; say there and in ARCHITECTURE.md which \
                 crates it may use"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().unwrap_or_default();
            let in_tests = dependency["kind"] == "dev";
            if ours.contains(to) && !in_tests && !allowed.contains(&to) {
                faults.push(format!("{name} must not depend on {to}"));
            }
            if in_tests && FOR_TESTS.contains(&name) && ours.contains(to) {
                faults.push(format!("{name} must not depend on {to}, not even in its tests"));
            }
            if name == PURE && !in_tests && IMPURE.contains(&to) {
                faults.push(format!("{PURE} must stay pure, but depends on {to}"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(name, kind)| json!({ "name": name, "kind": kind })).collect();
        json!({ "name": name, "dependencies": dependencies })
    }

    #[test]
    fn refuses_an_arrow_that_points_up() {
        let packages = [
            package("kici-model", &[("kici-store", None), ("serde", None)]),
            package("kici-store", &[("kici-model", None), ("kici-testkit", Some("dev"))]),
        ];
        assert_eq!(faults_of(&packages), ["kici-model must not depend on kici-store"]);
    }

    #[test]
    fn refuses_a_crate_without_arrows_and_an_impure_model() {
        let packages = [package("kici-new", &[]), package("kici-model", &[("tokio", None)])];
        let faults = faults_of(&packages);
        assert!(faults[0].starts_with("kici-new is not in xtask/src/arrows.rs"), "{faults:?}");
        assert_eq!(faults[1], "kici-model must stay pure, but depends on tokio");
    }

    #[test]
    fn the_test_kit_uses_no_crate_under_test() {
        let packages =
            [package("kici-store", &[]), package("kici-testkit", &[("kici-store", Some("dev"))])];
        assert_eq!(
            faults_of(&packages),
            ["kici-testkit must not depend on kici-store, not even in its tests"]
        );
    }
}
