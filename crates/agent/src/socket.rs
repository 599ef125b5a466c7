//! One WebSocket connection: a task that reads, a task that writes, nothing that decides.
//!
//! The writer has two queues. Facts, acknowledgements and heartbeats go through `prompt` and never wait
//! behind log frames in `bulk`. Neither can overflow: `outbox` hands over no more frames than fit, and
//! what does not fit of the rest (heartbeats on a stuck socket) is left out. Everything that happens
//! comes back as [`SocketEvent`]s in one bounded channel; when it is full the reader stops reading.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use kici_protocol::agent::{Close, ParseError, Parsed, ToAgent, limits};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::chain::Chain;
use crate::outbox::{Frame, LOG_WINDOW};

/// Facts in the window of the outbox, and some for heartbeats.
const PROMPT: usize = 64;
const EVENTS: usize = 64;
const BUFFER: usize = 16 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the rest of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What happened on the socket.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    /// It is open.
    Opened,
    /// A frame came.
    Frame(Box<Result<Parsed<ToAgent>, ParseError>>),
    /// This frame was given to the kernel.
    Written(u64),
    /// It is gone; the last event.
    Closed {
        /// Close code of the other side.
        code: Option<u16>,
        /// Reason of the other side, or what went wrong.
        reason: String,
    },
}

/// The agent's end of one connection. Dropping it cuts the connection.
#[derive(Debug)]
pub(crate) struct Socket {
    prompt: mpsc::Sender<Outgoing>,
    bulk: mpsc::Sender<Frame>,
    events: mpsc::Receiver<SocketEvent>,
    task: AbortHandle,
}

#[derive(Debug)]
enum Outgoing {
    Frame(Frame),
    /// A frame that nobody keeps.
    Passing(String),
    Close(Close),
}

impl Socket {
    /// Starts to connect.
    pub(crate) fn open(url: String) -> Self {
        let (prompt, prompt_out) = mpsc::channel(PROMPT);
        let (bulk, bulk_out) = mpsc::channel(LOG_WINDOW);
        let (events_in, events) = mpsc::channel(EVENTS);
        let task = tokio::spawn(async move {
            let (code, reason) = converse(&url, prompt_out, bulk_out, &events_in).await;
            // Nobody listens any more when the agent dropped the socket.
            let _ = events_in.send(SocketEvent::Closed { code, reason }).await;
        });
        Self { prompt, bulk, events, task: task.abort_handle() }
    }

    /// The next event; `None` after `Closed`.
    pub(crate) async fn event(&mut self) -> Option<SocketEvent> {
        self.events.recv().await
    }

    /// Sends a frame of the outbox.
    pub(crate) fn send_fact(&self, frame: Frame) {
        self.try_prompt(Outgoing::Frame(frame));
    }

    /// Sends a log frame of the outbox.
    pub(crate) fn send_log(&self, frame: Frame) {
        if self.bulk.try_send(frame).is_err() {
            tracing::debug!("the socket closed while a log frame was handed over");
        }
    }

    /// Sends what is only worth something now.
    pub(crate) fn send_now(&self, text: String) {
        self.try_prompt(Outgoing::Passing(text));
    }

    /// Closes after everything handed over before.
    pub(crate) fn close(&self, close: Close) {
        self.try_prompt(Outgoing::Close(close));
    }

    fn try_prompt(&self, outgoing: Outgoing) {
        if self.prompt.try_send(outgoing).is_err() {
            // Full or closed: in both cases the socket is about to be replaced.
            tracing::debug!("the socket took no more frames");
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects and talks until one side has enough; the answer is the close code and the reason.
async fn converse(
    url: &str,
    prompt: mpsc::Receiver<Outgoing>,
    bulk: mpsc::Receiver<Frame>,
    events: &mpsc::Sender<SocketEvent>,
) -> (Option<u16>, String) {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(2 * limits::AGENT_MAX_FRAME)
        .max_message_size(Some(limits::MAX_FRAME))
        .max_frame_size(Some(limits::MAX_FRAME));
    let connecting = connect_async_with_config(url, Some(config), true);
    let stream = match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok((stream, _))) => stream,
        Ok(Err(error)) => return (None, connect_problem(url, &error)),
        Err(_) => return (None, format!("no connection to {url} within {CONNECT_TIMEOUT:?}")),
    };
    if events.send(SocketEvent::Opened).await.is_err() {
        return (None, String::new());
    }
    let (sink, stream) = stream.split();
    let writer = write(sink, prompt, bulk, events);
    let reader = read(stream, events);
    tokio::pin!(writer, reader);
    tokio::select! {
        closed = &mut reader => closed,
        ended = &mut writer => match ended {
            Ok(()) => {
                // Our close is out: wait for theirs.
                timeout(CLOSE_TIMEOUT, reader).await.unwrap_or((Some(1000), String::new()))
            }
            Err(error) => (None, Chain(&error).to_string()),
        },
    }
}

fn connect_problem(url: &str, error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => format!(
            "{url} answered {} instead of a WebSocket; check KICI_ORCHESTRATOR_URL",
            response.status()
        ),
        other => format!("no connection to {url}: {}", Chain(other)),
    }
}

async fn read(
    mut stream: SplitStream<Stream>,
    events: &mpsc::Sender<SocketEvent>,
) -> (Option<u16>, String) {
    loop {
        // Any frame counts as a sign of life; our pings make sure that there is one.
        let message = match timeout(limits::PING_TIMEOUT, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return (None, Chain(&error).to_string()),
            Ok(None) => return (None, "the connection ended without a close".to_owned()),
            Err(_) => return (None, format!("no sign of life for {:?}", limits::PING_TIMEOUT)),
        };
        match message {
            Message::Text(text) => {
                let frame = Box::new(ToAgent::parse(&text));
                if events.send(SocketEvent::Frame(frame)).await.is_err() {
                    return (None, String::new());
                }
            }
            Message::Close(frame) => {
                return frame.map_or((None, String::new()), |frame| {
                    (Some(frame.code.into()), frame.reason.to_string())
                });
            }
            Message::Binary(_) => tracing::warn!("ignored a binary frame"),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

async fn write(
    mut sink: SplitSink<Stream, Message>,
    mut prompt: mpsc::Receiver<Outgoing>,
    mut bulk: mpsc::Receiver<Frame>,
    events: &mpsc::Sender<SocketEvent>,
) -> Result<(), tungstenite::Error> {
    let mut ping = interval(limits::PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    loop {
        let (message, ticket) = tokio::select! {
            biased;
            outgoing = prompt.recv() => match outgoing {
                Some(Outgoing::Frame(frame)) => (Message::text(frame.text), Some(frame.ticket)),
                Some(Outgoing::Passing(text)) => (Message::text(text), None),
                Some(Outgoing::Close(close)) => {
                    let code = WireCode::from(close.code as u16);
                    let frame = CloseFrame { code, reason: close.reason.into() };
                    return sink.send(Message::Close(Some(frame))).await;
                }
                None => return Ok(()),
            },
            _ = ping.tick() => (Message::Ping(Bytes::new()), None),
            Some(frame) = bulk.recv() => (Message::text(frame.text), Some(frame.ticket)),
        };
        sink.send(message).await?;
        if let Some(ticket) = ticket
            && events.send(SocketEvent::Written(ticket)).await.is_err()
        {
            return Ok(());
        }
    }
}
