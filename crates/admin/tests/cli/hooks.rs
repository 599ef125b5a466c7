//! Hooks: real pushes and commits reach the orchestrator.

use std::os::unix::fs::PermissionsExt as _;

use kici_testkit::Repo;

use crate::setup::World;

const LOCK_FILE: &str = include_str!("../fixtures/one-job.lock.json");

#[test]
fn a_push_to_a_bare_repository_becomes_runs() {
    let world = World::start();
    let repo = Repo::init();
    repo.write(".kici/kici.lock.json", LOCK_FILE).commit("first");
    let (_folder, bare) = repo.bare_origin();
    let id = world.local_source(&bare);
    let said = world.ok(&["source", "install-hook", &id]);
    assert!(said.contains("post-receive") && !said.contains("post-commit"), "{said}");

    // Several refs in one push: the branch runs, the tag matches nothing.
    let sha = repo.commit("second");
    repo.git(&["tag", "v1"]);
    repo.git(&["push", "--quiet", "origin", "main", "v1"]);
    let run = &world.runs(1)[0];
    assert_eq!((&run["sha"], &run["repoIdentifier"]), (&sha.into(), &"origin".into()));
    let log = world.json(&["event-log", "list"]);
    assert_eq!(log["total"], 2);
    let delivery = log["deliveries"][0]["deliveryId"].as_str().unwrap();
    let shown = world.json(&["event-log", "show", delivery, "--org", "acme", "--include-payload"]);
    let payload = &shown["payload"];
    assert_eq!(payload["repository"]["default_branch"], "main");
    assert_eq!(payload["before"].as_str().unwrap().len(), 40);

    // Deleting a ref tells nobody.
    repo.git(&["push", "--quiet", "origin", ":refs/tags/v1"]);
    assert_eq!(world.json(&["event-log", "list"])["total"], 2);
}

#[test]
fn a_commit_in_a_working_repository_becomes_a_run() {
    let world = World::start();
    let repo = Repo::init();
    repo.write(".kici/kici.lock.json", LOCK_FILE).commit("first");
    let hook = repo.path().join(".git/hooks/post-commit");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\ntouch \"$(git rev-parse --show-toplevel)/own-hook-ran\"\n")
        .unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let id = world.local_source(repo.path());
    world.ok(&["source", "install-hook", &id]);
    // Installing again changes nothing: the own hook is kept once.
    world.ok(&["source", "install-hook", &id]);

    let sha = repo.commit("second");
    assert_eq!(world.runs(1)[0]["sha"], sha);
    assert!(repo.path().join("own-hook-ran").exists());
    // The middle of a rebase is no commit of a branch.
    repo.git(&["checkout", "--quiet", "--detach"]);
    repo.commit("detached");
    assert_eq!(world.json(&["event-log", "list"])["total"], 1);
}

#[test]
fn a_push_works_while_the_orchestrator_is_away_and_says_so() {
    let mut world = World::start();
    let repo = Repo::init();
    let (_folder, bare) = repo.bare_origin();
    let id = world.local_source(&bare);
    world.ok(&["source", "install-hook", &id]);
    world.stop_server();
    repo.commit("only");
    let push = std::process::Command::new("git")
        .args(["push", "origin", "main"])
        .current_dir(repo.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&push.stderr);
    assert!(push.status.success(), "{said}");
    assert!(said.contains("kici: the orchestrator does not know of refs/heads/main"), "{said}");
    assert!(said.contains(&format!("kici-admin source trigger-local {id}")), "{said}");
}

#[test]
fn a_repository_elsewhere_is_refused() {
    let world = World::start();
    let base = tempfile::tempdir().unwrap();
    let repo = Repo::init();
    let id = world.local_source(base.path());
    let said = world.fails(&["source", "install-hook", &id]);
    assert!(said.contains("is a folder of repositories: name one with --repo"), "{said}");
    let said =
        world.fails(&["source", "install-hook", &id, "--repo", repo.path().to_str().unwrap()]);
    assert!(said.contains("is not in the source's folder"), "{said}");
    let said =
        world.fails(&["source", "install-hook", &id, "--repo", base.path().to_str().unwrap()]);
    assert!(said.contains("is not the top of a git repository"), "{said}");
}
