//! What an operator asks for by signal.

use std::io;

use tokio::signal::unix::{Signal as Source, SignalKind, signal};
use tokio::sync::mpsc;

/// A wish of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGUSR1: finish the running job, take no other, then go.
    Drain,
    /// SIGTERM, SIGINT: the same, but the running job has only a grace time. A second one ends it.
    Terminate,
}

/// Listens from now on.
///
/// # Errors
/// The operating system refuses to install a handler.
pub fn listen() -> io::Result<mpsc::Receiver<Signal>> {
    // A few are enough: more than two mean nothing new, so a full channel drops them.
    let (sender, receiver) = mpsc::channel(8);
    for (kind, wish) in [
        (SignalKind::terminate(), Signal::Terminate),
        (SignalKind::interrupt(), Signal::Terminate),
        (SignalKind::user_defined1(), Signal::Drain),
    ] {
        tokio::spawn(forward(signal(kind)?, wish, sender.clone()));
    }
    Ok(receiver)
}

async fn forward(mut source: Source, wish: Signal, sender: mpsc::Sender<Signal>) {
    while source.recv().await.is_some() {
        if matches!(sender.try_send(wish), Err(mpsc::error::TrySendError::Closed(_))) {
            return;
        }
    }
}
