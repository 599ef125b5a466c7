//! Sources: added, shown, changed, removed, and events sent by hand.

use std::io::Write as _;
use std::process::Stdio;

use kici_testkit::Repo;

use crate::setup::{World, failed};

#[test]
fn a_generic_source_takes_its_secret_from_where_it_is_told() {
    let world = World::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "from-file\n").unwrap();
    let at = format!("@{}", file.display());
    let add = ["source", "add", "generic", "--org", "acme", "--json", "--name"];
    let secret = |output: std::process::Output| {
        assert!(output.status.success(), "{output:?}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["source"]["verification_config"].clone()
    };
    let run = |args: &[&str]| world.command(&[&add[..], args].concat()).output().unwrap();
    assert_eq!(secret(run(&["a", "--secret", "plain"]))["secret"], "plain");
    assert_eq!(secret(run(&["b", "--secret", &at]))["secret"], "from-file");
    let from_env =
        [&add[..], &["c", "--verification", "bearer_token", "--from-env", "THE_TOKEN"]].concat();
    let from_env = world.command(&from_env).env("THE_TOKEN", "from-env").output().unwrap();
    assert_eq!(secret(from_env)["token"], "from-env");
    let mut child = world
        .command(
            &[
                &add[..],
                &["d", "--verification", "api_key", "--stdin", "--signature-header", "X-Key"],
            ]
            .concat(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"from-stdin\n").unwrap();
    let piped = secret(child.wait_with_output().unwrap());
    assert_eq!((&piped["key"], &piped["headerName"]), (&"from-stdin".into(), &"X-Key".into()));

    let said = failed(run(&["e", "--secret", "x", "--stdin"]));
    assert!(said.contains("pick exactly one of --secret, --from-env and --stdin"), "{said}");
    let said = failed(run(&["e"]));
    assert!(said.contains("verificationConfig.secret: hmac_sha256 needs"), "{said}");
}

#[test]
fn sources_are_listed_shown_switched_and_removed() {
    let world = World::start();
    assert_eq!(world.ok(&["source", "list", "--org", "acme"]), "No sources configured.\n");
    let repo = Repo::init();
    let id = world.local_source(repo.path());
    let list = world.ok(&["source", "list", "--org", "acme"]);
    assert!(list.contains(&id) && list.contains("local") && list.contains("kici-repo-"), "{list}");
    let shown = world.ok(&["source", "get", &id]);
    let webhook = format!("{}/webhook/acme/generic/{id}", world.url);
    assert!(shown.contains(&webhook) && shown.contains("Rate limit:"), "{shown}");

    assert_eq!(world.ok(&["source", "disable", &id]), format!("Source disabled: {id}\n"));
    let said = world.fails(&[
        "source",
        "trigger-local",
        &id,
        "--sha",
        &"1".repeat(40),
        "--ref",
        "refs/heads/main",
    ]);
    assert_eq!(said, "Error: HTTP 404: Unknown source\n");
    assert_eq!(world.ok(&["source", "enable", &id]), format!("Source enabled: {id}\n"));
    world.ok(&[
        "source",
        "update-local",
        &id,
        "--name",
        "renamed",
        "--clone-url-base",
        "https://git.example",
    ]);
    let source = world.json(&["source", "get", &id])["source"].clone();
    assert_eq!(
        (&source["name"], &source["git_config"]["cloneUrlBase"]),
        (&"renamed".into(), &"https://git.example".into())
    );
    world.ok(&["source", "update-local", &id, "--clone-url-base", ""]);

    // Without a terminal to ask on, nothing is removed.
    assert_eq!(world.fails(&["source", "remove", &id]), "Aborted.\n");
    let said = world.fails(&["source", "remove", &id, "--generic", "--yes"]);
    assert!(said.contains("is a local source, not a generic one"), "{said}");
    let removed = world.ok(&["source", "remove", &id, "--local", "--yes"]);
    assert_eq!(removed, format!("Source removed: generic:acme:{id}\n"));
    assert_eq!(world.ok(&["source", "list", "--org", "acme"]), "No sources configured.\n");
    let all = world.ok(&["source", "list", "--org", "acme", "--include-deleted"]);
    assert!(all.contains("removed"), "{all}");
}

#[test]
fn a_generic_source_is_changed_without_telling_its_secret_again() {
    let world = World::start();
    let made =
        world.json(&["source", "add", "generic", "--org", "acme", "--name", "x", "--secret", "s1"]);
    let id = made["source"]["id"].as_str().unwrap();
    world.ok(&[
        "source",
        "update-generic",
        id,
        "--signature-header",
        "X-Sig",
        "--allowed-events",
        "a,b",
    ]);
    let source = world.json(&["source", "get", id])["source"].clone();
    assert_eq!(
        source["verification_config"],
        serde_json::json!({ "secret": "s1", "headerName": "X-Sig" })
    );
    assert_eq!(source["allowed_events"], serde_json::json!(["a", "b"]));
    world.ok(&["source", "update-generic", id, "--secret", "s2", "--allowed-events", ""]);
    let source = world.json(&["source", "get", id])["source"].clone();
    assert_eq!(
        source["verification_config"],
        serde_json::json!({ "secret": "s2", "headerName": "X-Sig" })
    );
    assert_eq!(source["allowed_events"], serde_json::Value::Null);
}

#[test]
fn an_event_of_a_local_source_is_sent_by_hand() {
    let world = World::start();
    let base = tempfile::tempdir().unwrap();
    let repo = Repo::init();
    repo.write(".kici/kici.lock.json", include_str!("../fixtures/one-job.lock.json"));
    let sha = repo.commit("one job");
    let id = world.local_source(repo.path());
    let said = world.ok(&["source", "trigger-local", &id]);
    assert!(said.contains("at refs/heads/main accepted: generic:acme:"), "{said}");
    let run = &world.runs(1)[0];
    assert_eq!((&run["sha"], &run["ref"]), (&sha.into(), &"main".into()));

    // A folder of repositories: the name says which.
    std::fs::create_dir_all(base.path().join("team")).unwrap();
    let target = base.path().join("team/app.git");
    repo.git(&["clone", "--quiet", "--bare", ".", target.to_str().unwrap()]);
    let args = [
        "source",
        "add",
        "local",
        "--org",
        "acme",
        "--name",
        "many",
        "--path",
        base.path().to_str().unwrap(),
    ];
    let many = world.json(&args)["source"]["id"].as_str().unwrap().to_owned();
    let said = world.fails(&["source", "trigger-local", &many]);
    assert!(said.contains(r#"could not find repository "local/repo""#), "{said}");
    world.ok(&["source", "trigger-local", &many, "--repo-full-name", "team/app"]);
    assert_eq!(world.runs(2)[0]["repoIdentifier"], "team/app");
    let log = world.ok(&["event-log", "list", "--org", "acme"]);
    assert!(
        log.contains("team/app") && log.ends_with("Showing 2 of 2 (offset 0, limit 50)\n"),
        "{log}"
    );
}
