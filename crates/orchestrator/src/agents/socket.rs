//! The edge of an agent's connection: one task reads ([`super::reader`]), one writes, and what follows when it ends.
//!
//! Orders (dispatch, cancel, pings) have their own way out and do not wait for reports.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt as _, StreamExt as _};
use kici_protocol::agent::ToAgent;
use kici_protocol::agent::limits::{MAX_MESSAGE, PING_INTERVAL};
use kici_store::StoreError;
use kici_store::lease::job_agent_lost;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::acks::Acks;
use super::connected::{Connected, ORDERS, Order};
use super::link::Link;
use super::reader::{CLOSE_WITHIN, Reader};
use crate::app::App;
use crate::logging::Chain;

/// Memory of an idle connection; larger messages get more while they last.
const BUFFER: usize = 16 * 1024;

/// Above [`MAX_MESSAGE`] the agent is told; far above, the library hangs up (1009).
const HARD_LIMIT: usize = 2 * MAX_MESSAGE;

/// How long a message may take to leave.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// The pause between two tries to record that an agent is gone.
const PAUSE: Duration = Duration::from_millis(500);

/// `GET /ws`. What is not an upgrade is not found.
pub(super) async fn upgrade(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Err(_) => (StatusCode::NOT_FOUND, "404 Not Found").into_response(),
        Ok(upgrade) => upgrade
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(HARD_LIMIT)
            .max_frame_size(HARD_LIMIT)
            .on_upgrade(move |socket| Box::pin(serve(app, socket, from))),
    }
}

async fn serve(app: App, socket: WebSocket, from: SocketAddr) {
    let connection = Uuid::new_v4();
    let _open = app.agents.open(connection, from);
    let (sink, stream) = socket.split();
    let (orders, outgoing) = mpsc::channel(ORDERS);
    let closing = CancellationToken::new();
    let acks = Arc::new(Acks::default());
    let writer = tokio::spawn(write(sink, outgoing, Arc::clone(&acks), closing.clone()));
    let link = Arc::new(Mutex::new(Link::new(app.config.agents.auth, connection.to_string())));
    let mut reader = Reader {
        app: app.clone(),
        connection,
        from,
        number: None,
        link,
        acks,
        orders,
        closing,
        stream,
        agent: None,
        replaced: CancellationToken::new(),
        done: CancellationToken::new(),
        ended: "connection lost".to_owned(),
    };
    reader.run().await;
    reader.done.cancel();
    if let Some(agent) = reader.agent.take() {
        disconnected(&app, &agent, std::mem::take(&mut reader.ended)).await;
    }
    // The writer ends with its channel, after the close frame; somebody may still hold the other end for a moment.
    drop(reader);
    let abort = writer.abort_handle();
    if timeout(CLOSE_WITHIN, writer).await.is_err() {
        abort.abort();
    }
}

/// Writes orders, acknowledgements and pings until a close, or until the agent does not take them.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut orders: mpsc::Receiver<Order>,
    acks: Arc<Acks>,
    closing: CancellationToken,
) {
    let mut pings = tokio::time::interval(PING_INTERVAL);
    pings.reset();
    loop {
        let message = tokio::select! {
            order = orders.recv() => match order {
                None => break,
                Some(Order::Send(message)) => Message::Text(message.to_text().into()),
                Some(Order::Close(close)) => {
                    // What is durable by now need not come again.
                    while let Some(ack) = acks.take() {
                        let text = Message::Text(ToAgent::Ack(ack).to_text().into());
                        if !matches!(timeout(SEND_WITHIN, sink.send(text)).await, Ok(Ok(()))) {
                            break;
                        }
                    }
                    let frame = CloseFrame { code: close.code as u16, reason: close.reason.into() };
                    let _ = timeout(SEND_WITHIN, sink.send(Message::Close(Some(frame)))).await;
                    break;
                }
            },
            () = acks.gathered() => match acks.take() {
                Some(ack) => Message::Text(ToAgent::Ack(ack).to_text().into()),
                None => continue,
            },
            _ = pings.tick() => Message::Ping(Vec::new().into()),
        };
        if !matches!(timeout(SEND_WITHIN, sink.send(message)).await, Ok(Ok(()))) {
            break;
        }
    }
    closing.cancel();
}

/// The jobs of an agent that is gone wait for it, unless a newer connection has them already.
async fn disconnected(app: &App, agent: &Arc<Connected>, why: String) {
    if !app.agents.leave(agent) {
        return;
    }
    info!(agent.id = %agent.id, "agent {} disconnected: {why}", agent.id);
    app.roster.left(agent, why);
    if app.stop.is_cancelled() {
        // The next orchestrator finds the jobs by the lock that this one held.
        return;
    }
    app.facts.flush().await;
    let lost = async || -> Result<u64, StoreError> {
        let mut conn = app.store.connection().await?;
        job_agent_lost(&mut conn, &agent.id, app.number, app.config.agents.recovery_window()).await
    };
    loop {
        match lost().await {
            Ok(0) => return,
            Ok(jobs) => {
                return info!(agent.id = %agent.id, jobs, "jobs wait for their agent to come back");
            }
            // Unless the agent is back, which has settled its jobs.
            Err(error) if error.is_transient() && app.agents.get(&agent.id).is_none() => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                return warn!(agent.id = %agent.id, error = %Chain(&error), "could not record that an agent is gone");
            }
        }
    }
}
