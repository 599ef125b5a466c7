//! A TCP proxy on this machine whose line can be cut, swallow bytes, stall, be slow or narrow.
//!
//! Each new connection goes to one of the targets, whichever answers: an agent may find itself at another
//! orchestrator after a reconnect. A connection that lost bytes can never be whole again: it stays silent until it is
//! reset, which happens when the line recovers, unless the connection is to be forgotten.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::schedule::Trouble;

const BUFFER: usize = 16 * 1024;

/// A line with a listening port.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    state: watch::Sender<State>,
}

/// How the line is; `epoch` rises when all connections have to break.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    epoch: u64,
    trouble: Option<Trouble>,
}

/// Which way bytes go: up is towards the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Proxy {
    /// Listens, and passes on to the targets. Must be called inside a runtime, which ends it.
    pub(super) async fn start(targets: Vec<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for a proxy")?;
        let port = listener.local_addr()?.port();
        let (state, watched) = watch::channel(State::default());
        tokio::spawn(accept(listener, Arc::new(targets), watched));
        Ok(Self { port, state })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Makes the line misbehave.
    pub(super) fn trouble(&self, trouble: Trouble) {
        self.state.send_modify(|state| {
            state.epoch += u64::from(trouble == Trouble::Cut);
            state.trouble = Some(trouble);
        });
    }

    /// Makes it pass bytes again.
    pub(super) fn recover(&self) {
        self.state.send_modify(|state| {
            let reset = matches!(state.trouble, Some(Trouble::Silent { forgotten: false, .. }));
            state.epoch += u64::from(reset);
            state.trouble = None;
        });
    }

    /// The same, and all connections break, those that are silent for ever too.
    pub(super) fn renew(&self) {
        self.state.send_modify(|state| *state = State { epoch: state.epoch + 1, trouble: None });
    }
}

async fn accept(
    listener: TcpListener,
    targets: Arc<Vec<SocketAddr>>,
    state: watch::Receiver<State>,
) {
    let turn = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if state.borrow().trouble == Some(Trouble::Cut) {
            reset(&stream);
            continue;
        }
        tokio::spawn(serve(stream, targets.clone(), turn.clone(), state.clone()));
    }
}

/// One connection to its end.
async fn serve(
    client: TcpStream,
    targets: Arc<Vec<SocketAddr>>,
    turn: Arc<AtomicUsize>,
    mut state: watch::Receiver<State>,
) {
    let epoch = state.borrow_and_update().epoch;
    let Some(target) = reach(&targets, &turn).await else {
        reset(&client);
        return;
    };
    let _best_effort = (client.set_nodelay(true), target.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_target, to_target) = target.into_split();
    let up = pump(from_client, to_target, Way::Up, state.clone());
    let down = pump(from_target, to_client, Way::Down, state.clone());
    let broken = async {
        loop {
            if state.borrow_and_update().epoch != epoch || state.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = async { tokio::join!(up, down); } => {}
        () = broken => {}
    }
}

/// The first target that answers, beginning with another one each time.
async fn reach(targets: &[SocketAddr], turn: &AtomicUsize) -> Option<TcpStream> {
    let first = turn.fetch_add(1, Ordering::Relaxed);
    for offset in 0..targets.len() {
        let target = targets[(first + offset) % targets.len()];
        if let Ok(stream) = TcpStream::connect(target).await {
            return Some(stream);
        }
    }
    None
}

/// Passes bytes on, as well as the line lets them.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; BUFFER];
    let mut lost = false;
    loop {
        let Ok(length) = from.read(&mut buffer).await else { return };
        let mut rest = &buffer[..length];
        while !rest.is_empty() && !lost {
            let trouble = state.borrow_and_update().trouble;
            match trouble {
                Some(Trouble::Silent { up, down, .. }) if silent(way, up, down) => lost = true,
                Some(Trouble::Stall) => {
                    if state.changed().await.is_err() {
                        return;
                    }
                }
                Some(Trouble::Slow { delay }) => {
                    tokio::time::sleep(delay).await;
                    if to.write_all(rest).await.is_err() {
                        return;
                    }
                    rest = &[];
                }
                Some(Trouble::Narrow { bytes_per_s }) => {
                    let tenth = usize::try_from(bytes_per_s / 10).unwrap_or(1).clamp(1, rest.len());
                    if to.write_all(&rest[..tenth]).await.is_err() {
                        return;
                    }
                    rest = &rest[tenth..];
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Some(Trouble::Cut | Trouble::Silent { .. }) | None => {
                    if to.write_all(rest).await.is_err() {
                        return;
                    }
                    rest = &[];
                }
            }
        }
        if length == 0 {
            // The end travels like bytes do.
            if lost {
                std::future::pending::<()>().await;
            }
            let _gone = to.shutdown().await;
            return;
        }
    }
}

fn silent(way: Way, up: bool, down: bool) -> bool {
    match way {
        Way::Up => up,
        Way::Down => down,
    }
}

/// Makes the close of a connection a reset.
fn reset(stream: &TcpStream) {
    let _best_effort = stream.set_zero_linger();
}
