//! Keeps the roster (the table of agents) in step with who is connected here.
//!
//! Registrations are written by [`super::enter`] at once. Signs of life are gathered and written together every few
//! seconds, and so are connections that ended: ten thousand idle agents cost one statement now and then. A row that
//! turns out to belong to a later connection means that the agent is connected elsewhere, so the one here is closed.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kici_store::agent::{
    AgentRow, Left, Seen, agent_forget, agent_left, agent_orphaned, agent_seen,
};
use kici_store::{Heard, Listener, StoreError};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::connected::Connected;
use crate::app::App;
use crate::logging::Chain;

/// How often signs of life are looked for …
const TICK: Duration = Duration::from_secs(5);

/// … and how old what was written about an agent may get.
const WRITE_AFTER: Duration = Duration::from_secs(25);

/// Ticks between two looks for agents of dead orchestrators and for those to forget.
const TIDY_EVERY: u32 = 3;

/// Agents that one look forgets.
const FORGET: i64 = 1000;

/// Connections that ended and are not in the table yet.
pub(crate) struct Roster {
    left: Mutex<Vec<Left>>,
    wake: Notify,
}

impl Roster {
    pub(crate) fn new() -> Roster {
        Roster { left: Mutex::default(), wake: Notify::new() }
    }

    /// Notes that a connection ended.
    pub(super) fn left(&self, agent: &Connected, reason: String) {
        let left = Left { agent_id: agent.id.clone(), connection: agent.connection, reason };
        self.left.lock().expect("nothing panics while it is held").push(left);
        self.wake.notify_one();
    }

    fn take(&self) -> Vec<Left> {
        std::mem::take(&mut *self.left.lock().expect("nothing panics while it is held"))
    }
}

/// Runs until the last socket is gone.
pub(crate) async fn keep(app: App) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut listener = None;
    let mut ticks = 0u32;
    loop {
        let mut stopping = false;
        let mut ticked = false;
        tokio::select! {
            () = app.agents.all_gone(&app.stop) => stopping = true,
            _ = tick.tick() => ticked = true,
            () = app.roster.wake.notified() => {}
            moved = heard(&mut listener) => if let Some((connection, agent)) = moved {
                close_older(&app, &agent, connection);
                continue;
            },
        }
        if ticked && listener.is_none() {
            listener = app.store.listen(&["agent_moved"]).await.ok();
        }
        report(write_left(&app).await);
        if stopping {
            return;
        }
        if ticked {
            report(write_seen(&app).await);
            if ticks.is_multiple_of(TIDY_EVERY) {
                report(tidy(&app).await);
            }
            ticks = ticks.wrapping_add(1);
        }
    }
}

/// The next agent that registered somewhere while it was connected.
async fn heard(listener: &mut Option<Listener>) -> Option<(i64, String)> {
    let said = match listener {
        Some(open) => open.next().await,
        None => std::future::pending().await,
    };
    match said {
        Ok(Heard::Said { payload, .. }) => {
            let (connection, agent) = payload.split_once(' ')?;
            Some((connection.parse().ok()?, agent.to_owned()))
        }
        // What was missed is found by the next sign of life.
        Ok(Heard::Gap) => None,
        Err(_) => {
            *listener = None;
            None
        }
    }
}

fn close_older(app: &App, agent: &str, connection: i64) {
    if let Some(here) = app.agents.get(agent).filter(|here| here.connection < connection) {
        replaced(&here);
    }
}

fn replaced(agent: &Arc<Connected>) {
    info!(agent.id = %agent.id, "agent {} is connected to another orchestrator", agent.id);
    agent.replaced.cancel();
}

async fn write_seen(app: &App) -> Result<(), StoreError> {
    let due: Vec<(Arc<Connected>, Seen)> = app
        .agents
        .all()
        .into_iter()
        .filter_map(|agent| Some((Arc::clone(&agent), agent.life.due(&agent, WRITE_AFTER)?)))
        .collect();
    if due.is_empty() {
        return Ok(());
    }
    let seen: Vec<Seen> = due.iter().map(|(_, seen)| seen.clone()).collect();
    let mut conn = app.store.connection().await?;
    let ours: HashSet<String> = agent_seen(&mut conn, &seen).await?.into_iter().collect();
    for (agent, seen) in due {
        if ours.contains(&agent.id) {
            agent.life.written(&seen, agent.draining.load(Ordering::Relaxed));
        } else {
            replaced(&agent);
        }
    }
    Ok(())
}

async fn write_left(app: &App) -> Result<(), StoreError> {
    let left = app.roster.take();
    if left.is_empty() {
        return Ok(());
    }
    let written = async {
        let mut conn = app.store.connection().await?;
        agent_left(&mut conn, &left).await
    };
    let written = written.await;
    if written.is_err() {
        app.roster.left.lock().expect("nothing panics while it is held").extend(left);
    }
    written
}

async fn tidy(app: &App) -> Result<(), StoreError> {
    let mut conn = app.store.connection().await?;
    let orphaned = agent_orphaned(&mut conn).await?;
    let forgotten = agent_forget(&mut conn, app.config.agents.roster_ttl, FORGET).await?;
    if orphaned + forgotten > 0 {
        info!(
            orphaned,
            forgotten,
            "agents of dead orchestrators and agents long away were taken out of the roster"
        );
    }
    Ok(())
}

fn report(done: Result<(), StoreError>) {
    if let Err(error) = done {
        warn!(error = %Chain(&error), "could not bring the roster of agents up to date, trying again");
    }
}

/// The row of an agent that registers.
pub(super) fn row(
    agent: &Connected,
    register: &kici_protocol::agent::Register,
    owner: i32,
) -> AgentRow {
    let facts = serde_json::json!({
        "osRelease": register.os_release, "osVersion": register.os_version, "nodeVersion": register.node_version,
        "runningAsUser": register.running_as_user, "runningAsUid": register.running_as_uid,
        "totalMemoryMb": register.total_memory_mb, "cpuCount": register.cpu_count,
    });
    AgentRow {
        agent_id: agent.id.clone(),
        hostname: register.hostname.as_deref().map(clean),
        labels: register.labels.iter().map(|label| clean(label)).collect(),
        mandatory_labels: agent.labels.mandatory.iter().cloned().collect(),
        platform: clean(register.platform.as_deref().unwrap_or("linux")),
        arch: clean(register.arch.as_deref().unwrap_or("x64")),
        version: register.version.as_deref().map(clean),
        facts: facts.to_string(),
        properties: serde_json::to_string(&register.properties).expect("texts, numbers and flags"),
        max_concurrency: i32::try_from(agent.max).unwrap_or(i32::MAX),
        token: agent.token.map(|token| token.0),
        scaler_managed: agent.scaler_managed,
        remote_address: agent.from.to_string(),
        connection: agent.connection,
        owner,
        clock_skew_ms: agent.life.skew(),
    }
}

/// Without NUL, which PostgreSQL does not take.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
