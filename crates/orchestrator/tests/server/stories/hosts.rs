//! Jobs for all hosts: one host is away when the run is made, is waited for, and comes back.

use serde_json::{Value, json};

use super::{LONG, Stage, with_both_engines};

const WORKFLOW: &str = include_str!("workflows/hosts.ts");

with_both_engines!(jobs_for_all_hosts);

async fn jobs_for_all_hosts(engine: &'static str) {
    let mut stage = Stage::set_with(engine, 2, WORKFLOW, &[("KICI_ROSTER_GRACE_MS", "1")]).await;
    let machine = nix::unistd::gethostname().unwrap().into_string().unwrap();
    a_rollout_waits_for_a_host_that_is_away(&mut stage, &machine).await;
    a_generator_makes_jobs_for_all_hosts(&stage, &machine).await;
}

async fn a_rollout_waits_for_a_host_that_is_away(stage: &mut Stage, machine: &str) {
    // Both agents are on this machine, so their ids tell their children apart.
    let [first, second] = ["agent-1", "agent-2"].map(|id| format!("{machine}, {id}"));
    stage.agents[1].kill();
    stage.until_away("agent-2").await;
    stage.push("hosts", "hosts");
    let seen = |status: &'static str, reason: &'static str| {
        let name = format!("roll ({second})");
        move |played: &super::Played| {
            let job = played.job(&name);
            let waits = job["status"] == status && job["waitReason"]["kind"] == reason;
            waits.then(|| job["waitReason"].clone())
        }
    };
    let waits = seen("queued", "pinned_agent_away");
    let reason = stage.until(("hosts", 0), "waiting for agent-2", waits).await;
    assert_eq!((&reason["agent"], &reason["host"]), (&json!("agent-2"), &json!(machine)));
    assert_eq!(stage.journal(), ["announced", "rolled 0"]);
    let mut back = stage.agent("agent-2");
    back.wait_for_line("registered with", LONG);
    stage.agents[1] = back;

    let played = stage.ends("hosts", 0, "success").await;
    assert_eq!(stage.journal(), ["announced", "rolled 0", "rolled 1"]);
    let ran = |name: &str| played.job(name)["agentId"].clone();
    assert_eq!(ran(&format!("roll ({first})")), "agent-1");
    assert_eq!(ran(&format!("roll ({second})")), "agent-2");
    assert_eq!(ran("report"), "agent-2");
    let said = stage.said(&played, "report").await;
    let result = |index: usize| {
        json!({"facts": {
            "host": machine, "isSame": true, "isLabelled": true, "platform": "linux",
            "index": index, "total": 2,
        }})
    };
    let names = [&first, &second].map(|label| format!("roll ({label})"));
    let children: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| json!({"name": name, "result": result(at), "status": "success"}))
        .collect();
    assert_eq!(said["needs"], json!(children));
    assert_eq!(said["outputs"]["byHost"], json!({&first: result(0), &second: result(1)}));
    let summary = &said["outputs"]["summary"];
    assert_eq!(summary["succeededHosts"], json!([first, second]));
    assert_eq!(summary["failedHosts"], json!([]));
    assert_eq!(summary["outputs"]["index"], json!([0, 1]));
    assert_eq!((&said["host"], &said["agent"]), (&Value::Null, &Value::Null));
    stage.is_well(&played, "report").await;
}

async fn a_generator_makes_jobs_for_all_hosts(stage: &Stage, machine: &str) {
    let played = stage.play("made", "success").await;
    let children: Vec<String> = ["agent-1, x", "agent-1, y", "agent-2, x", "agent-2, y"]
        .map(|of| format!("probe ({machine}, {of})"))
        .to_vec();
    let mut wanted = vec!["__dynamic__made__0 success".to_owned(), "fin success".to_owned()];
    wanted.extend(children.iter().map(|name| format!("{name} success")));
    assert_eq!(played.shown(), wanted);
    let said = stage.said(&played, "fin").await;
    for (at, name) in children.iter().enumerate() {
        let result = &said[at]["result"];
        assert_eq!((&said[at]["name"], &result["host"]), (&json!(name), &json!(machine)));
        assert_eq!(result["of"], if name.ends_with("x)") { "x" } else { "y" });
        assert!(result["arch"].is_string(), "{result}");
        assert_eq!(played.job(name)["agentId"], name[name.len() - 11..name.len() - 4]);
    }
}
