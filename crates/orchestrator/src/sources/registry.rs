//! All sources in memory, as the webhook route and the forges read them.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use kici_model::ids::SourceId;
use kici_store::source::{source_active, source_version};
use kici_store::{Store, StoreError};
use tracing::warn;
use uuid::Uuid;

use super::check::Check;
use super::source::Source;
use crate::secrets::Sealer;

/// The sources of the database. Readers never wait for the database.
pub(crate) struct Sources {
    sealer: Sealer,
    snapshot: RwLock<Arc<Snapshot>>,
    /// One reload at a time, so that an older read cannot overwrite a newer one.
    reloading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Snapshot {
    version: String,
    by_id: HashMap<Uuid, Arc<Source>>,
    by_name: HashMap<String, HashMap<String, Arc<Source>>>,
}

impl Sources {
    pub(crate) fn new(sealer: Sealer) -> Sources {
        Sources { sealer, snapshot: RwLock::default(), reloading: tokio::sync::Mutex::default() }
    }

    /// What encrypts the sources' secrets.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// The enabled source that a webhook address names by id or by name.
    pub(crate) fn addressed(&self, org_id: &str, id_or_name: &str) -> Option<Arc<Source>> {
        let snapshot = self.snapshot();
        let by_id = || {
            let source = snapshot.by_id.get(&Uuid::try_parse(id_or_name).ok()?)?;
            (source.org_id == org_id).then_some(source)
        };
        let source = by_id().or_else(|| snapshot.by_name.get(org_id)?.get(id_or_name))?;
        source.enabled.then(|| source.clone())
    }

    /// The source with this id, also a disabled one: its deliveries are still worked on.
    pub(crate) fn by_id(&self, id: SourceId) -> Option<Arc<Source>> {
        self.snapshot().by_id.get(&id.0).cloned()
    }

    /// The source with this routing key, also a disabled one.
    pub(crate) fn by_routing_key(&self, routing_key: &str) -> Option<Arc<Source>> {
        let (_, id) = routing_key.strip_prefix("generic:")?.rsplit_once(':')?;
        let source = self.by_id(SourceId(Uuid::try_parse(id).ok()?))?;
        (source.routing_key == routing_key).then_some(source)
    }

    /// Reads all sources from the database.
    pub(crate) async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let _one = self.reloading.lock().await;
        let mut conn = store.connection().await?;
        // The version is read first: a change in between is seen again by the next look.
        let version = source_version(&mut conn).await?;
        let rows = source_active(&mut conn).await?;
        drop(conn);
        let mut next = Snapshot { version, ..Snapshot::default() };
        for row in rows {
            let source = Arc::new(Source::from_row(row, &self.sealer));
            if let Check::Misconfigured(why) = &source.check {
                warn!(source.id = %source.id, "source {} takes no deliveries: {why}", source.name);
            }
            next.by_name
                .entry(source.org_id.clone())
                .or_default()
                .insert(source.name.clone(), source.clone());
            next.by_id.insert(source.id.0, source);
        }
        *self.snapshot.write().expect("no panic while the lock is held") = Arc::new(next);
        Ok(())
    }

    /// Reads all sources again if something changed.
    pub(crate) async fn reload_if_changed(&self, store: &Store) -> Result<(), StoreError> {
        let mut conn = store.connection().await?;
        let version = source_version(&mut conn).await?;
        drop(conn);
        if version == self.snapshot().version { Ok(()) } else { self.reload(store).await }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().expect("no panic while the lock is held").clone()
    }
}
