//! Listening, serving and stopping.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use kici_store::{Connect, Presence, Store, StoreError};
use secrecy::ExposeSecret as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::router;
use crate::app::App;
use crate::config::Config;
use crate::logging::Chain;

/// What a stop waits for at most: requests and sockets first, then what is still to be written.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether others can still see this process.
const PRESENCE_LOOK: Duration = Duration::from_secs(1);

/// How to start.
#[derive(Debug)]
pub struct Start {
    /// The configuration.
    pub config: Config,
}

/// Why the orchestrator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database is not there or not usable.
    #[error("could not prepare the database")]
    Database(#[source] StoreError),
    /// `KICI_AUTO_MIGRATE=false`, and there is something to migrate.
    #[error(
        "the database lacks {count} migration(s): {names}; run `kici-admin db migrate` or start once without \
         KICI_AUTO_MIGRATE=false",
        count = .pending.len(),
        names = .pending.iter().map(|(number, name)| format!("{number:04} {name}")).collect::<Vec<_>>().join(", ")
    )]
    Pending {
        /// Number and name of each.
        pending: Vec<(i64, String)>,
    },
    /// The port is taken or not allowed.
    #[error("could not listen on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part could not be made.
    #[error("could not start: {0:#}")]
    Part(anyhow::Error),
}

/// A running orchestrator.
pub struct Server {
    /// Its parts.
    pub app: App,
    /// Where it listens.
    pub address: SocketAddr,
    leave: oneshot::Sender<()>,
    present: JoinHandle<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Start {
    /// Connects, migrates, starts all tasks and listens.
    pub async fn run(self) -> Result<Server, StartError> {
        let config = self.config;
        let how = Connect { application: "kici-orchestrator".into(), ..Connect::default() };
        let store = Store::connect(config.server.database_url.expose_secret(), how)
            .await
            .map_err(StartError::Database)?;
        migrate(&config, &store).await?;
        let presence = Presence::announce(&store).await.map_err(StartError::Database)?;
        let port = config.server.port;
        let listener = listen(config.server.listen_address, port)
            .map_err(|source| StartError::Listen { port, source })?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { port, source })?;
        let (app, work) = App::new(config, store, presence.number()).map_err(StartError::Part)?;
        app.set_port(address.port());
        crate::access::prepare(&app).await.map_err(StartError::Database)?;
        crate::sources::prepare(&app).await.map_err(StartError::Database)?;
        // Deliveries that an earlier process left behind need the sources.
        work.spawn(&app);
        let (leave, left) = oneshot::channel();
        let present = tokio::spawn(stay_present(app.clone(), presence, left));
        let service = router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let stop = app.stop.clone();
        let serving = tokio::spawn(async move {
            axum::serve(listener, service)
                .with_graceful_shutdown(async move { stop.cancelled().await })
                .await
        });
        info!(
            port = address.port(),
            base_path = app.config.server.base_path.as_str(),
            "orchestrator is listening on port {}",
            address.port()
        );
        Ok(Server { app, address, leave, present, serving })
    }
}

impl Server {
    /// Stops: takes nothing new, closes the agents' sockets, writes what is in hand, leaves.
    pub async fn stop(self) {
        info!("stopping");
        self.app.stop.cancel();
        self.app.tasks.close();
        let rest = async {
            match self.serving.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "the listener ended with an error"),
                Err(error) => warn!(%error, "the listener's task failed"),
            }
            self.app.tasks.wait().await;
        };
        if tokio::time::timeout(STOP_WITHIN, rest).await.is_err() {
            warn!(
                "some work did not end within {} s; it is taken up again from the database",
                STOP_WITHIN.as_secs()
            );
        }
        // Last, so that nobody takes over what is still being written.
        drop(self.leave);
        if let Err(error) = self.present.await {
            warn!(%error, "the task that shows that this process lives failed");
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), self.app.store.close()).await;
        info!("stopped");
    }
}

/// Keeps the lock that shows others that this process lives.
async fn stay_present(app: App, mut presence: Presence, mut left: oneshot::Receiver<()>) {
    let mut look = tokio::time::interval(PRESENCE_LOOK);
    loop {
        tokio::select! {
            _ = &mut left => return presence.leave().await,
            _ = look.tick() => {}
        }
        let renewed = match presence.renew(&app.store).await {
            Ok(true) => crate::reconcile::reclaim(&app).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = renewed {
            warn!(error = %Chain(&error), "could not renew the lock that shows that this process lives");
        }
    }
}

async fn migrate(config: &Config, store: &Store) -> Result<(), StartError> {
    if config.server.auto_migrate {
        return store.migrate().await.map_err(StartError::Database);
    }
    let pending = store.migrations().await.map_err(StartError::Database)?.pending;
    if pending.is_empty() { Ok(()) } else { Err(StartError::Pending { pending }) }
}

/// One interface, or all: IPv4 and IPv6 on one socket; IPv4 alone where the machine has no IPv6.
fn listen(interface: Option<IpAddr>, port: u16) -> std::io::Result<TcpListener> {
    let bound = |socket: std::io::Result<TcpSocket>, address: SocketAddr| {
        let socket = socket?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(1024)
    };
    match interface {
        Some(address @ IpAddr::V4(_)) => return bound(TcpSocket::new_v4(), (address, port).into()),
        Some(address @ IpAddr::V6(_)) => return bound(TcpSocket::new_v6(), (address, port).into()),
        None => {}
    }
    match bound(TcpSocket::new_v6(), (Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
            bound(TcpSocket::new_v4(), ([0, 0, 0, 0], port).into())
        }
        done => done,
    }
}
