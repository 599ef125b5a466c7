//! The roster: which of several connections of an agent holds its row.

use std::time::Duration;

use kici_store::agent::{
    AgentRow, Left, Registered, Seen, agent_connection, agent_forget, agent_left, agent_orphaned,
    agent_register, agent_seen,
};
use kici_store::roster::{RosterRow, roster_get, roster_list};
use kici_store::{PgConnection, Presence};
use uuid::Uuid;

use crate::store;

fn agent(connection: i64, owner: i32) -> AgentRow {
    AgentRow {
        agent_id: "a".into(),
        labels: vec!["linux".into()],
        platform: "linux".into(),
        arch: "x64".into(),
        facts: "{}".into(),
        properties: r#"{"rack":"r\u00001"}"#.into(),
        max_concurrency: 1,
        remote_address: "127.0.0.1:1".into(),
        connection,
        owner,
        ..AgentRow::default()
    }
}

fn seen(connection: i64) -> Seen {
    Seen { agent_id: "a".into(), connection, silent_ms: 0, clock_skew_ms: Some(7), draining: true }
}

fn left(connection: i64) -> Left {
    Left { agent_id: "a".into(), connection, reason: format!("end of {connection}") }
}

async fn row(conn: &mut PgConnection) -> RosterRow {
    roster_get(conn, "a").await.unwrap().unwrap()
}

#[tokio::test]
async fn the_latest_connection_holds_the_row() {
    let (_db, store) = store().await;
    let presence = Presence::announce(&store).await.unwrap();
    let mut conn = store.connection().await.unwrap();
    let old = agent_connection(&mut conn).await.unwrap();
    let new = agent_connection(&mut conn).await.unwrap();
    assert!(old < new);
    let owner = presence.number();
    assert_eq!(agent_register(&mut conn, &agent(new, owner)).await.unwrap(), Registered::In);
    // The earlier connection comes late, from anywhere.
    let late = agent_register(&mut conn, &agent(old, owner)).await.unwrap();
    assert_eq!(late, Registered::Superseded);
    assert!(agent_seen(&mut conn, &[seen(old)]).await.unwrap().is_empty());
    agent_left(&mut conn, &[left(old)]).await.unwrap();
    let now = row(&mut conn).await;
    assert_eq!((now.draining, now.disconnected_at, now.clock_skew_ms), (false, None, None));

    assert_eq!(agent_seen(&mut conn, &[seen(new)]).await.unwrap(), ["a"]);
    agent_left(&mut conn, &[left(new)]).await.unwrap();
    let now = row(&mut conn).await;
    assert_eq!((now.draining, now.clock_skew_ms), (true, Some(7)));
    assert_eq!(now.disconnect_reason, Some(format!("end of {new}")));
    // Registering again on the same connection is no older one.
    assert_eq!(agent_register(&mut conn, &agent(new, owner)).await.unwrap(), Registered::In);
    assert!(row(&mut conn).await.disconnected_at.is_none());
}

#[tokio::test]
async fn an_id_belongs_to_one_token_while_its_agent_is_connected() {
    let (_db, store) = store().await;
    let first = Presence::announce(&store).await.unwrap();
    let second = Presence::announce(&store).await.unwrap();
    let mut conn = store.connection().await.unwrap();
    let with = |token: u128, connection: i64, owner: i32| AgentRow {
        token: Some(Uuid::from_u128(token)),
        ..agent(connection, owner)
    };
    let mine = with(1, 1, first.number());
    assert_eq!(agent_register(&mut conn, &mine).await.unwrap(), Registered::In);
    let other = with(2, 2, second.number());
    assert_eq!(agent_register(&mut conn, &other).await.unwrap(), Registered::Taken);
    // Once its orchestrator is gone nobody is connected, and the same when it leaves.
    first.leave().await;
    wait_for_orphans(&mut conn).await;
    assert_eq!(agent_register(&mut conn, &other).await.unwrap(), Registered::In);
    let again = with(1, 3, second.number());
    assert_eq!(agent_register(&mut conn, &again).await.unwrap(), Registered::Taken);
    agent_left(&mut conn, &[left(2)]).await.unwrap();
    assert_eq!(agent_register(&mut conn, &again).await.unwrap(), Registered::In);
}

/// The server drops a lock a moment after its connection.
async fn wait_for_orphans(conn: &mut PgConnection) {
    for _ in 0..500 {
        if agent_orphaned(conn).await.unwrap() > 0 {
            let reason = row(conn).await.disconnect_reason;
            assert_eq!(reason.as_deref(), Some("its orchestrator is gone"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the agent of a dead orchestrator counts as connected");
}

#[tokio::test]
async fn agents_that_are_away_are_forgotten_and_connected_ones_are_not() {
    let (_db, store) = store().await;
    let presence = Presence::announce(&store).await.unwrap();
    let mut conn = store.connection().await.unwrap();
    agent_register(&mut conn, &agent(1, presence.number())).await.unwrap();
    assert_eq!(agent_forget(&mut conn, Duration::ZERO, 10).await.unwrap(), 0);
    agent_left(&mut conn, &[left(1)]).await.unwrap();
    assert_eq!(agent_forget(&mut conn, Duration::from_secs(60), 10).await.unwrap(), 0);
    assert_eq!(roster_list(&mut conn, "", 10).await.unwrap().len(), 1);
    assert_eq!(agent_forget(&mut conn, Duration::ZERO, 10).await.unwrap(), 1);
    assert!(roster_list(&mut conn, "", 10).await.unwrap().is_empty());
}
