//! Log bundles of the fleet: from a real agent, and from agents that do it wrong.

use std::io::{Cursor, Read as _};

use kici_agent::{Config, Launcher};
use kici_testkit::wait_until;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zip::ZipArchive;

use crate::agent::FakeAgent;
use crate::env::{Env, LIMIT};

type Zip = ZipArchive<Cursor<Vec<u8>>>;

/// Number, whether it is the last, base64.
type Frame = (u64, bool, &'static str);

/// The base64 of an empty ZIP.
const EMPTY: &str = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==";

async fn bundle(env: &Env, request: Value) -> Response {
    env.admin_post("/admin/fleet-bundle", &request).await
}

async fn unpacked(response: Response) -> Zip {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/zip");
    ZipArchive::new(Cursor::new(response.bytes().await.unwrap().to_vec())).unwrap()
}

fn file(zip: &mut Zip, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn json_file(zip: &mut Zip, name: &str) -> Value {
    serde_json::from_slice(&file(zip, name)).unwrap()
}

/// The outcome of an agent.
fn outcome(zip: &mut Zip, agent: &str) -> Value {
    let manifest = json_file(zip, "fleet-manifest.json");
    let nodes = manifest["nodes"].as_array().unwrap().clone();
    nodes.into_iter().find(|node| node["id"] == agent && node["kind"] == "agent").unwrap()
}

#[tokio::test]
async fn a_real_agent_gives_a_bundle_that_opens_and_has_no_secret() {
    let env = Env::start_with(&[("KICI_AGENT_AUTH", "token")]).await;
    let made = env.admin_post("/api/v1/agent-tokens", &json!({"labels": []})).await;
    let token = made.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let data = tempfile::tempdir().unwrap();
    let vars = [
        ("KICI_ORCHESTRATOR_URL", format!("ws://127.0.0.1:{}/ws", env.port())),
        ("KICI_AGENT_ID", "real-1".into()),
        ("KICI_AGENT_TOKEN", token.clone()),
        ("KICI_LABELS", "linux,rack=r1".into()),
        ("KICI_PORT", "0".into()),
        ("KICI_DATA_DIR", data.path().to_str().unwrap().into()),
        ("KICI_AGENT_WARM_PROCESS", "false".into()),
    ];
    let config = Config::read(vars.map(|(name, value)| (name.to_owned(), value))).unwrap();
    let agent = kici_agent::prepare(config, Launcher::new("/bin/true", [], None)).await.unwrap();
    let (_signals, signals) = mpsc::channel(1);
    let agent = tokio::spawn(agent.run(signals));
    let topology = wait_until(LIMIT, "the agent to be there", async || {
        let topology = env.admin_get("/admin/fleet-topology").await;
        let there = topology["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2);
        if there { Ok(topology) } else { Err(topology.to_string()) }
    })
    .await;
    let (here, node) = (&topology["nodes"][0], &topology["nodes"][1]);
    assert_eq!((&here["kind"], &here["role"]), (&json!("orchestrator"), &json!("self")));
    assert_eq!((&node["id"], &node["parentId"]), (&json!("real-1"), &here["id"]));
    assert_eq!((&node["labels"]["rack"], &node["labels"]["linux"]), (&json!("r1"), &json!("true")));

    let request = json!({"selectors": ["label:rack=r1"], "logWindowHours": 1});
    let mut zip = unpacked(bundle(&env, request).await).await;
    let shown = outcome(&mut zip, "real-1");
    assert_eq!((&shown["status"], &shown["path"]), (&json!("ok"), &json!("agents/real-1.zip")));
    for (path, kind) in
        [("local/bundle.zip", "kici-orchestrator"), ("agents/real-1.zip", "kici-agent")]
    {
        let mut inner = ZipArchive::new(Cursor::new(file(&mut zip, path))).unwrap();
        assert_eq!(json_file(&mut inner, "manifest.json")["kind"], kind);
        for index in 0..inner.len() {
            let mut text = String::new();
            inner.by_index(index).unwrap().read_to_string(&mut text).unwrap();
            assert!(!text.contains(&token), "the token is in file {index} of {path}");
        }
        assert!(!file(&mut inner, "system/metrics.txt").is_empty());
        if kind == "kici-agent" {
            let config = json_file(&mut inner, "config/config.json").to_string();
            assert!(config.contains("KICI_AGENT_TOKEN") && config.contains("***"), "{config}");
        }
    }
    agent.abort();
}

#[tokio::test]
async fn every_agent_that_gives_no_bundle_is_named_with_the_reason() {
    let env = Env::start().await;
    let other = env.second().await;
    let _elsewhere = FakeAgent::ready(other.port(), "elsewhere", &["linux"]).await;
    let answers: [(&str, &[Frame], &str, &str); 6] = [
        ("good", &[(0, false, EMPTY), (1, true, "")], "ok", ""),
        (
            "again",
            &[(0, false, EMPTY), (0, true, EMPTY)],
            "error",
            "frame 0 of the bundle came instead of frame 1",
        ),
        (
            "late-start",
            &[(1, true, EMPTY)],
            "error",
            "frame 1 of the bundle came instead of frame 0",
        ),
        ("garbled", &[(0, true, "*")], "error", "frame 0 of the bundle is not base64"),
        ("silent", &[(0, false, EMPTY)], "timeout", "no complete bundle came within 2s"),
        ("leaver", &[], "unreachable", "the agent went away before its bundle was complete"),
    ];
    let mut agents = Vec::new();
    for (id, frames, ..) in &answers {
        let mut agent = env.agent(id, &[]).await;
        agents.push(async move {
            let asked = agent.next().await;
            assert_eq!(asked["type"], "fleet.logs.request");
            assert_eq!(asked["maxBytes"], 52_428_800);
            // What nobody asked for is passed over.
            agent
                .say(json!({"type": "fleet.bundle.error", "requestId": "x", "message": "no"}))
                .await;
            for (seq, is_last, data) in *frames {
                agent
                    .say(json!({
                        "type": "fleet.bundle.chunk", "requestId": asked["requestId"], "seq": seq,
                        "isLast": is_last, "dataB64": data,
                    }))
                    .await;
            }
            (agent.id != "leaver").then_some(agent)
        });
    }
    let mut refuser = env.agent("refuser", &[]).await;
    let refuser = async move {
        let asked = refuser.next().await;
        let id = &asked["requestId"];
        refuser
            .say(json!({"type": "fleet.bundle.error", "requestId": id, "message": "disk"}))
            .await;
        refuser
    };
    let (response, _agents, _refuser) = tokio::join!(
        bundle(&env, json!({"timeoutSeconds": 2})),
        futures_util::future::join_all(agents),
        refuser
    );
    let mut zip = unpacked(response).await;
    for (id, _, status, message) in answers.into_iter().chain([
        ("refuser", &[][..], "error", "the agent could not make its bundle: disk"),
        ("elsewhere", &[][..], "unreachable", "connected to orchestrator "),
    ]) {
        let outcome = outcome(&mut zip, id);
        assert_eq!(outcome["status"], status, "{outcome}");
        assert!(outcome["message"].as_str().unwrap_or_default().starts_with(message), "{outcome}");
    }
    other.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused() {
    let env = Env::start().await;
    let agent = env.agent("a", &["linux"]).await;
    for (request, wanted) in [
        (json!({"selectors": ["b*"]}), "selector \"b*\" matches no agent"),
        (json!({"selectors": ["label:x"]}), "is not of the form label:key=value"),
        (json!({"timeoutSeconds": 0}), "timeoutSeconds is 0, it must be from 1 to 600"),
        (json!({"logWindowHours": 9000}), "logWindowHours is 9000"),
    ] {
        let response = bundle(&env, request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body: Value = response.json().await.unwrap();
        assert!(body["error"].as_str().unwrap().contains(wanted), "{body}");
    }
    // Logs are for those who may read payloads.
    let body = json!({"label": "x", "role": "auditor"});
    let made = env.admin_post("/api/v1/admin/tokens", &body).await;
    let made: Value = made.json().await.unwrap();
    let auditor = made["token"].as_str().unwrap();
    let post = env.client.post(env.url("/admin/fleet-bundle")).bearer_auth(auditor);
    assert_eq!(post.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let get = env.client.get(env.url("/admin/fleet-topology")).bearer_auth(auditor);
    assert_eq!(get.send().await.unwrap().status(), StatusCode::OK);
    let stranger = env.client.get(env.url("/admin/fleet-topology")).send().await.unwrap();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    // One at a time; the place is free again when whoever asked is gone.
    let url = env.url("/admin/fleet-bundle");
    let client = env.client.clone();
    let mut agent = agent;
    let first =
        tokio::spawn(async move { client.post(url).bearer_auth(crate::env::ADMIN).send().await });
    assert_eq!(agent.next().await["type"], "fleet.logs.request");
    assert_eq!(bundle(&env, json!({})).await.status(), StatusCode::CONFLICT);
    first.abort();
    wait_until(LIMIT, "the place to be free", async || {
        let response = bundle(&env, json!({"timeoutSeconds": 1})).await;
        if response.status() == StatusCode::OK { Ok(()) } else { Err(response.status()) }
    })
    .await;
}
