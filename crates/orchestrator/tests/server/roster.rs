//! The roster of agents as two orchestrators on one database keep it.

use kici_store::roster::{RosterRow, roster_list};
use kici_store::{Connect, Store};
use kici_testkit::wait_until;
use serde_json::json;

use crate::agent::FakeAgent;
use crate::env::{Env, LIMIT};

async fn roster(env: &Env) -> Vec<RosterRow> {
    let store =
        Store::connect(env.db.url(), Connect { max_connections: 1, ..Connect::default() }).await;
    let store = store.unwrap();
    let rows = roster_list(&mut store.connection().await.unwrap(), "", 100).await.unwrap();
    store.close().await;
    rows
}

/// Waits until the only agent of the roster is gone for this reason.
async fn gone(env: &Env, reason: &str) {
    wait_until(LIMIT, reason, async || {
        let rows = roster(env).await;
        let reasons: Vec<_> = rows.iter().map(|row| row.disconnect_reason.clone()).collect();
        if reasons == [Some(reason.to_owned())] { Ok(()) } else { Err(format!("{reasons:?}")) }
    })
    .await;
}

#[tokio::test]
async fn what_an_agent_says_about_itself_is_in_the_roster() {
    let mut env = Env::start().await;
    let mut agent = FakeAgent::connect(env.port(), "a").await;
    let ahead = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    agent
        .say(json!({
            "type": "agent.register", "messageId": format!("register-a-{ahead}"), "agentId": "a",
            "labels": ["linux", "kici:host:h\u{0}"], "platform": "darwin", "arch": "arm64", "hostname": "h",
            "version": "9.9", "maxConcurrency": 3, "cpuCount": 8, "properties": {"rack": "r1", "slot": 4},
        }))
        .await;
    assert_eq!(agent.next().await["type"], "register.ack");
    let row = roster(&env).await.remove(0);
    assert_eq!(
        (row.agent_id.as_str(), row.platform.as_str(), row.arch.as_str()),
        ("a", "darwin", "arm64")
    );
    assert_eq!((row.version.as_deref(), row.max_concurrency), (Some("9.9"), 3));
    assert_eq!(row.labels, ["linux", "kici:host:h\u{fffd}"]);
    assert_eq!(row.properties, r#"{"rack":"r1","slot":4}"#);
    assert!(row.facts.contains(r#""cpuCount":8"#), "{}", row.facts);
    let skew = row.clock_skew_ms.unwrap();
    assert!((3_590_000..3_601_000).contains(&skew), "{skew}");
    assert!(row.disconnected_at.is_none());
    // Under another id on the same connection the first one is gone.
    agent.id = "b".into();
    agent.register(&["linux"], &[]).await;
    assert_eq!(agent.next().await["type"], "register.ack");
    wait_until(LIMIT, "the old id to be gone", async || {
        let rows = roster(&env).await;
        let gone = rows[0].disconnect_reason.as_deref() == Some("registered as b");
        if gone && rows[1].disconnected_at.is_none() { Ok(()) } else { Err(format!("{rows:?}")) }
    })
    .await;
    env.stop().await;
    let row = roster(&env).await.remove(1);
    assert_eq!(row.disconnect_reason.as_deref(), Some("Server shutting down (1001)"));
}

#[tokio::test]
async fn an_agent_moves_to_another_orchestrator() {
    let env = Env::start().await;
    let other = env.second().await;
    let mut here = env.agent("a", &["linux"]).await;
    let first = roster(&env).await.remove(0);
    let there = FakeAgent::ready(other.port(), "a", &["linux"]).await;
    assert_eq!(here.closed().await, (1001, "Replaced by a new connection".into()));
    let second = roster(&env).await.remove(0);
    assert_ne!(first.owner, second.owner);
    assert!(second.disconnected_at.is_none());
    there.vanish();
    gone(&env, "connection lost").await;
    other.stop().await;
}

#[tokio::test]
async fn an_agent_says_good_bye() {
    let env = Env::start().await;
    let mut agent = env.agent("a", &["linux"]).await;
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
        code: 1000.into(),
        reason: "Agent disconnect".into(),
    };
    agent.socket.close(Some(frame)).await.unwrap();
    gone(&env, "closed by the agent (1000 Agent disconnect)").await;
}
