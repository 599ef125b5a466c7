//! Tokens of agents and operators.

use crate::setup::World;

#[test]
fn an_agent_token_is_shown_once_with_how_to_use_it() {
    let world = World::start();
    assert_eq!(world.ok(&["agent", "list"]), "No agent tokens found.\n\nNo agents found.\n");
    assert_eq!(world.ok(&["agent", "list", "--agents"]), "No agents found.\n");
    let said =
        world.ok(&["agent", "register", "--labels", "linux, x64", "--mandatory-label", "gpu"]);
    let token = said.lines().find_map(|line| line.strip_prefix("Token:    ")).unwrap();
    assert!(token.starts_with("kat_") && said.contains("Token ID: "), "{said}");
    assert!(said.contains("KICI_ORCHESTRATOR_URL=ws://127.0.0.1:"), "{said}");

    let list = world.ok(&["agent", "list", "--include-pending"]);
    assert!(list.starts_with("ID ") && list.contains("linux,x64,gpu*"), "{list}");
    assert!(list.contains("No pending connections found."), "{list}");
    assert!(!list.contains(token), "{list}");
    let listed = world.json(&["agent", "list", "--type", "static"]);
    let id = listed["tokens"][0]["id"].as_str().unwrap().to_owned();
    assert!(world.ok(&["agent", "revoke", &id]).contains("Connections closed: 0"));
    let said = world.fails(&["agent", "revoke", &id]);
    assert_eq!(said, "Error: HTTP 404: Agent token not found or already revoked\n");
    let root = world.json(&["agent", "register", "--privileged-root"]);
    assert_eq!(root["labels"][0], "kici:privileged:root");
}

#[test]
fn admin_tokens_are_made_listed_and_withdrawn() {
    let world = World::start();
    let said = world.ok(&["token", "create", "ci", "--role", "auditor", "--expires-in", "12h"]);
    let token = said.lines().find_map(|line| line.strip_prefix("Token created: ")).unwrap();
    let id = said.lines().find_map(|line| line.strip_prefix("Token ID: ")).unwrap();
    assert!(said.ends_with("Save this token -- it will not be shown again.\n"), "{said}");

    let with = |args: &[&str]| world.command(args).env("KICI_ADMIN_TOKEN", token).output().unwrap();
    assert!(with(&["runs", "list"]).status.success());
    // An option of the command line wins over the environment.
    let refused = world.fails(&["token", "list", "--token", token]);
    assert!(
        refused.contains(r#"Role "auditor" does not have permission "token.manage""#),
        "{refused}"
    );

    let list = world.ok(&["token", "list"]);
    let row = list.lines().find(|line| line.contains(id)).unwrap();
    assert!(row.contains("auditor") && row.ends_with("no"), "{row}");
    assert_eq!(world.ok(&["token", "revoke", id]), format!("Token revoked: {id}\n"));
    assert!(!with(&["runs", "list"]).status.success());
}
