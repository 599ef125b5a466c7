//! Where logs and caches are kept.

use std::path::PathBuf;

use super::vars::Vars;

/// Object storage.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// `KICI_STORAGE_FS_PATH`: root of the filesystem store; default `<data dir>/storage`.
    pub fs_path: Option<PathBuf>,
}

impl StorageConfig {
    pub(super) fn read(vars: &mut Vars) -> StorageConfig {
        let fs_path = vars.text("KICI_STORAGE_FS_PATH").map(PathBuf::from);
        match vars.text("KICI_STORAGE_TYPE").as_deref() {
            None => {}
            Some("filesystem") if fs_path.is_none() => {
                vars.problem("storage.fsPath", "KICI_STORAGE_TYPE=filesystem needs KICI_STORAGE_FS_PATH");
            }
            Some("filesystem") => {}
            Some("s3") if vars.text("KICI_STORAGE_BUCKET").is_none() => {
                vars.problem("storage.bucket", "KICI_STORAGE_TYPE=s3 needs KICI_STORAGE_BUCKET");
            }
            Some("s3") => vars.problem(
                "storage.type",
                "s3 is not available in this version: set KICI_STORAGE_TYPE=filesystem and KICI_STORAGE_FS_PATH",
            ),
            Some(other) => {
                let message = format!("expected filesystem or s3, found {other:?}");
                vars.problem("storage.type", message);
            }
        }
        if fs_path.as_ref().is_some_and(|path| !path.is_absolute()) {
            vars.problem("storage.fsPath", "KICI_STORAGE_FS_PATH must be an absolute path");
        }
        StorageConfig { fs_path }
    }
}
