//! The public tables and lock files, run against this crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use kici_model::hash::{self, PackageLock};
use kici_model::lock::{self, LockOrigin};
use kici_model::tables;

const ORIGIN: LockOrigin<'_> = LockOrigin { repo: "acme/app", reference: "main" };

fn fixture(path: &str) -> String {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn projects() -> Vec<String> {
    let dir = format!("{}/tests/fixtures/lockfiles", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 12);
    names
}

fn assert_all_pass(results: Vec<tables::CaseResult>, count: usize) {
    assert_eq!(results.len(), count);
    let failed: Vec<String> = results
        .iter()
        .filter(|result| !result.passed)
        .map(|result| format!("{}: {}", result.name, result.detail))
        .collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_glob_case_passes() {
    assert_all_pass(tables::run_glob(&fixture("glob-matching.json")).unwrap(), 327);
}

#[test]
fn every_trigger_case_passes() {
    assert_all_pass(tables::run_triggers(&fixture("trigger-matching.json")).unwrap(), 201);
}

#[test]
fn lock_files_round_trip_byte_for_byte_and_hash_as_stored() {
    for name in projects() {
        let text = fixture(&format!("lockfiles/{name}/.kici/kici.lock.json"));
        let parsed = lock::parse(text.as_bytes(), ORIGIN).unwrap();
        assert_eq!(parsed.to_json(), text, "{name}");
        assert_eq!(hash::top_level_hash(&parsed), parsed.content_hash, "{name}");
        assert_eq!(hash::top_level_hash_of_text(&text).unwrap(), parsed.content_hash, "{name}");
        assert_eq!(tables::compare_lock(&text, &text), [], "{name}");
    }
}

#[test]
fn workflow_hashes_follow_from_sources_and_assets() {
    for name in projects() {
        let root = format!("lockfiles/{name}");
        let text = fixture(&format!("{root}/.kici/kici.lock.json"));
        let parsed = lock::parse(text.as_bytes(), ORIGIN).unwrap();
        for workflow in &parsed.workflows {
            let entry = fixture(&format!("{root}/{}", parsed.source_of(workflow).file));
            let assets = workflow.resolved_hash_files.clone().unwrap_or_default();
            let contents: Vec<String> =
                assets.iter().map(|path| fixture(&format!("{root}/{path}"))).collect();
            let digest = hash::asset_digest(
                assets.iter().zip(&contents).map(|(p, c)| (p.as_str(), Some(c.as_bytes()))),
            );
            let expected = hash::workflow_hash(&entry, &digest);
            assert_eq!(workflow.content_hash, expected, "{name} {}", workflow.name);
        }
    }
    let text = fixture("lockfiles/hash-assets/.kici/package-lock.json");
    let lock = fixture("lockfiles/hash-assets/.kici/kici.lock.json");
    let stored = lock::parse(lock.as_bytes(), ORIGIN).unwrap().lockfile_hash;
    assert_eq!(stored, Some(hash::lockfile_hash(PackageLock::Npm, &text)));
}
