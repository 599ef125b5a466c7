//! What every part of the orchestrator shares, made once at the start.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Instant;

use kici_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::AdminTokens;
use crate::agents::{Agents, Roster};
use crate::audit::Audit;
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::fleet::Fleet;
use crate::forge::Forge;
use crate::inbox::Inbox;
use crate::jobs::Facts;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::reconcile::Leadership;
use crate::runs::{Feed, StoredContents};
use crate::secrets::Sealer;
use crate::slots::Slots;
use crate::sources::Sources;
use crate::webhooks::Webhooks;

/// The orchestrator's parts. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// See [`App`].
pub struct Parts {
    /// What the operator set.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// This process's number, written beside everything that it leases.
    pub(crate) number: i32,
    /// Cancelled when the process shall stop: finish what is in hand, take nothing new.
    pub stop: CancellationToken,
    /// Tasks that are waited for at a stop.
    pub(crate) tasks: TaskTracker,
    pub(crate) started: Instant,
    pub(crate) metrics: Metrics,
    pub(crate) inbox: Inbox,
    pub(crate) forge: Forge,
    pub(crate) access: AdminTokens,
    pub(crate) sources: Arc<Sources>,
    pub(crate) webhooks: Webhooks,
    pub(crate) agents: Agents,
    pub(crate) roster: Roster,
    pub(crate) fleet: Fleet,
    pub(crate) dispatch: Dispatch,
    pub(crate) facts: Facts,
    pub(crate) slots: Slots,
    pub(crate) logs: Logs,
    /// Wakes followers of runs.
    pub(crate) feed: Arc<Feed>,
    pub(crate) audit: Audit,
    /// Whether this process does what only one may do.
    pub(crate) leader: Leadership,
    /// Workflows and selectors that are stored.
    pub(crate) contents: StoredContents,
    port: AtomicU16,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the parts together. Their tasks start with [`Work::spawn`].
    pub(crate) fn new(config: Config, store: Store, number: i32) -> anyhow::Result<(App, Work)> {
        let (inbox, inbox_work) = Inbox::new(&config);
        let (dispatch, dispatch_work) = Dispatch::new();
        let (facts, facts_work) = Facts::new();
        let (slots, slots_work) = Slots::new();
        let (audit, audit_work) = Audit::new();
        let sealer =
            Sealer::new(config.server.secret_key.as_ref(), config.server.old_secret_key.as_ref());
        let sources = Arc::new(Sources::new(sealer));
        let app = App(Arc::new(Parts {
            metrics: Metrics::new(),
            inbox,
            forge: Forge::new(sources.clone()),
            access: AdminTokens::new(store.clone()),
            sources,
            webhooks: Webhooks::new(&config),
            agents: Agents::new(),
            roster: Roster::new(),
            fleet: Fleet::new(),
            dispatch,
            facts,
            slots,
            logs: Logs::open(&config)?,
            feed: Arc::default(),
            audit,
            leader: Leadership::default(),
            contents: StoredContents::default(),
            number,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            started: Instant::now(),
            port: AtomicU16::new(config.server.port),
            config,
            store,
        }));
        Ok((
            app,
            Work {
                inbox: inbox_work,
                dispatch: dispatch_work,
                facts: facts_work,
                slots: slots_work,
                audit: audit_work,
            },
        ))
    }

    /// The port that is listened on; the configured one may have been 0.
    pub fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    pub(crate) fn set_port(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// Runs a task until its end; a stop waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

/// The tasks of the parts, not running yet.
pub(crate) struct Work {
    inbox: crate::inbox::Work,
    dispatch: crate::dispatch::Work,
    facts: crate::jobs::Work,
    slots: crate::slots::Work,
    audit: crate::audit::Work,
}

impl Work {
    /// Starts them.
    pub(crate) fn spawn(self, app: &App) {
        self.facts.spawn(app);
        self.audit.spawn(app);
        self.inbox.spawn(app);
        self.dispatch.spawn(app);
        self.slots.spawn(app);
        crate::logs::spawn(app);
        crate::agents::spawn(app);
        crate::reconcile::spawn(app);
    }
}
