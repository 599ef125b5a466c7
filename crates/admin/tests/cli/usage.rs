//! Help, mistakes and exit codes.

use std::process::Stdio;

use kici_testkit::pg::TestDb;

use crate::setup::{World, bare, failed};

#[test]
fn help_is_given_where_it_is_needed_and_never_shows_the_token() {
    let help = bare(&["--help"]).env("KICI_ADMIN_TOKEN", "s3cret").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.contains("http://localhost:4000"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    for group in [&[][..], &["source"], &["runs"], &["source", "add"]] {
        let said = failed(bare(group).env("KICI_ADMIN_TOKEN", "s3cret").output().unwrap());
        assert!(said.contains("Usage: kici-admin"), "{group:?}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let version = bare(&["--cli-version"]).output().unwrap();
    assert!(version.stdout.starts_with(b"kici-admin 0."), "{version:?}");
}

#[test]
fn mistakes_on_the_command_line_end_with_1_and_a_suggestion() {
    let said = failed(bare(&["sourc", "list"]).output().unwrap());
    assert_eq!(said, "error: unknown command 'sourc'\n(did you mean source?)\n");
    let said = failed(bare(&["token", "create", "x"]).output().unwrap());
    assert!(said.starts_with("error:") && said.contains("--role"), "{said}");
    let said = failed(bare(&["runs", "list"]).output().unwrap());
    assert_eq!(said, "Error: --token or KICI_ADMIN_TOKEN is required\n");
    let said = failed(bare(&["runs", "list", "-t", "x", "-u", "nowhere"]).output().unwrap());
    assert!(said.starts_with(r#"Error: "nowhere" is no address of an orchestrator"#), "{said}");
}

#[test]
fn an_orchestrator_that_is_not_there_is_named() {
    let mut world = World::start();
    world.stop_server();
    let said = world.fails(&["runs", "list"]);
    let wanted = format!("Error: could not reach the orchestrator at {}", world.url);
    assert!(said.starts_with(&wanted) && said.contains("KICI_ADMIN_URL"), "{said}");
    let diagnose = world.command(&["diagnose"]).output().unwrap();
    assert_eq!(diagnose.status.code(), Some(2));
}

#[test]
fn a_refusal_tells_the_status_and_what_is_wrong_with_which_field() {
    let world = World::start();
    let said =
        failed(world.command(&["runs", "list"]).env("KICI_ADMIN_TOKEN", "no").output().unwrap());
    assert!(said.starts_with("Error: HTTP 401: Invalid or expired token\n"), "{said}");
    let add = ["source", "add", "generic", "--org", "acme", "--name", "x"];
    let said = world.fails(&[&add[..], &["--verification", "none", "--rate-limit", "0"]].concat());
    assert!(said.starts_with("Error: HTTP 400: Validation error\n"), "{said}");
    assert!(said.contains("  rateLimitRpm: expected 1 to"), "{said}");
}

#[test]
fn diagnose_tells_more_with_its_exit_code() {
    let world = World::start();
    let output = world.command(&["diagnose"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "no agent is connected: {text}");
    assert!(text.contains("Overall: degraded") && text.contains("Database connectivity"), "{text}");
    // Without a token only the result.
    let output =
        world.command(&["diagnose", "--json"]).env_remove("KICI_ADMIN_TOKEN").output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["status"], answer.get("checks")), (&"degraded".into(), None));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let world = World::start();
    let mut child = world.command(&["token", "list"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_schema_is_migrated_through_the_orchestrator_or_directly() {
    let world = World::start();
    let status = world.ok(&["db", "migrate", "--status"]);
    assert!(status.contains("  OK       0001_") && status.contains("up to date"), "{status}");
    assert_eq!(world.json(&["db", "migrate"])["applied"], 0);

    // A database that no orchestrator has seen: no token and no address needed.
    let empty = world_runtime(async { TestDb::new().await });
    let direct = |args: &[&str]| {
        let output = bare(&[&["db", "migrate", "--database-url", empty.url()], args].concat())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(direct(&["--status"]).contains("PENDING  0001_"));
    assert!(direct(&[]).contains("Applied "));
    assert!(direct(&["--status"]).contains("up to date"));
    let from_env =
        bare(&["db", "migrate", "--json"]).env("KICI_DATABASE_URL", empty.url()).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&from_env.stdout).unwrap();
    assert_eq!(answer["applied"], 0);
    assert!(String::from_utf8_lossy(&from_env.stderr).contains("KICI_DATABASE_URL directly"));
}

fn world_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}
