//! Where sealed objects are kept: object storage, a folder by default.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use uuid::Uuid;

use crate::config::Config;

/// The name of an object within an attempt. Each writer has names of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object {
    pub(super) number: i32,
    pub(super) writer: i32,
}

/// Objects of logs.
pub(super) struct Storage(Arc<dyn ObjectStore>);

impl Storage {
    pub(super) fn open(config: &Config) -> anyhow::Result<Storage> {
        let root: PathBuf = config
            .storage
            .fs_path
            .clone()
            .unwrap_or_else(|| config.server.data_dir.join("storage"));
        std::fs::create_dir_all(&root)
            .with_context(|| format!("could not make the folder for logs at {}", root.display()))?;
        let store = LocalFileSystem::new_with_prefix(&root)
            .with_context(|| format!("could not open the folder for logs at {}", root.display()))?
            // Folders go with the last object in them.
            .with_automatic_cleanup(true);
        Ok(Storage(Arc::new(store)))
    }

    pub(super) async fn put(
        &self,
        job: Uuid,
        attempt: i32,
        object: Object,
        bytes: Bytes,
    ) -> anyhow::Result<()> {
        let path = path(job, attempt, object);
        self.0.put(&path, bytes.into()).await.with_context(|| format!("could not store {path}"))?;
        Ok(())
    }

    pub(super) async fn get(
        &self,
        job: Uuid,
        attempt: i32,
        object: Object,
        range: std::ops::Range<u64>,
    ) -> Result<Bytes, object_store::Error> {
        self.0.get_range(&path(job, attempt, object), range).await
    }
}

impl Storage {
    /// Removes everything that was stored for a job; answers how many objects that were.
    pub(super) async fn remove(&self, job: Uuid) -> anyhow::Result<usize> {
        let folder = folder(job);
        let objects: Vec<Path> = self
            .0
            .list(Some(&folder))
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .with_context(|| format!("could not list {folder}"))?;
        for object in &objects {
            match self.0.delete(object).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("could not remove {object}"));
                }
            }
        }
        Ok(objects.len())
    }

    /// The jobs that something is stored for, in one of 256 parts.
    pub(super) async fn jobs(&self, part: u8) -> anyhow::Result<Vec<Uuid>> {
        let folder = Path::from(format!("logs/{part:02x}"));
        let found = self.0.list_with_delimiter(Some(&folder)).await;
        let found = found.with_context(|| format!("could not list {folder}"))?;
        let names = found.common_prefixes.iter().filter_map(|prefix| prefix.filename());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }
}

/// Jobs are spread over folders by the random end of their ids.
fn path(job: Uuid, attempt: i32, Object { number, writer }: Object) -> Path {
    let name = if writer == 0 { format!("{number:06}") } else { format!("{number:06}-{writer}") };
    Path::from(format!("{}/{attempt}/{name}.log", folder(job)))
}

fn folder(job: Uuid) -> Path {
    let id = job.simple().to_string();
    Path::from(format!("logs/{}/{job}", &id[30..]))
}
