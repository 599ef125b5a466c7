//! The folder of one job: fresh, private, and gone afterwards.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Left over by an agent that was killed.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// The folders of a job.
#[derive(Debug)]
pub(crate) struct Folders {
    /// The repository's files.
    pub(crate) work: PathBuf,
    /// What the job keeps beside them; its steps have a path in it in their environment.
    pub(crate) temp: PathBuf,
}

impl Folders {
    /// Makes both.
    pub(crate) fn create() -> io::Result<Self> {
        let work = create()?;
        match create() {
            Ok(temp) => Ok(Self { work, temp }),
            Err(error) => {
                // Empty, and of no use alone.
                let _ = remove(&work);
                Err(error)
            }
        }
    }

    /// Removes both; an error says which.
    pub(crate) fn remove(&self) -> Result<(), (&Path, io::Error)> {
        let work = remove(&self.work).map_err(|error| (self.work.as_path(), error));
        let temp = remove(&self.temp).map_err(|error| (self.temp.as_path(), error));
        work.and(temp)
    }
}

/// Makes `kici-XXXXXX` under the system's temporary folder, for this user alone.
fn create() -> io::Result<PathBuf> {
    let folder = tempfile::Builder::new()
        .prefix("kici-")
        .rand_bytes(6)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir()?;
    Ok(folder.keep())
}

/// Removes it, also when a job made parts of it read-only.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(folder);
            fs::remove_dir_all(folder)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn open_up(folder: &Path) {
    // What cannot be changed is reported by the removal that follows.
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

/// Removes folders of jobs that ended more than a day ago; the answer is how many.
pub(crate) fn sweep(temp: &Path) -> usize {
    let Ok(entries) = fs::read_dir(temp) else { return 0 };
    let stale = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("kici-pnpm-store-")
                || name.strip_prefix("kici-").is_some_and(|rest| rest.len() == 6)
        });
        ours && entry.metadata().is_ok_and(|data| data.is_dir() && is_stale(&data))
    });
    stale.filter(|entry| remove(&entry.path()).is_ok()).count()
}

fn is_stale(data: &fs::Metadata) -> bool {
    let age = |modified| SystemTime::now().duration_since(modified).unwrap_or_default();
    data.modified().is_ok_and(|modified| age(modified) > STALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_private_and_goes_with_everything_in_it() {
        let folder = create().unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let inner = folder.join("cache/mod");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o500)).unwrap();
        remove(&folder).unwrap();
        assert!(!folder.exists());
        remove(&folder).unwrap();
    }

    #[test]
    fn only_old_folders_of_ours_are_swept() {
        let temp = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - STALE - Duration::from_secs(60);
        for (name, is_old) in [
            ("kici-abcdef", true),
            ("kici-pnpm-store-1", true),
            ("kici-ghijkl", false),
            ("kici-agents-work", true),
            ("other", true),
        ] {
            let path = temp.path().join(name);
            fs::create_dir(&path).unwrap();
            if is_old {
                fs::File::open(&path).unwrap().set_modified(old).unwrap();
            }
        }
        assert_eq!(sweep(temp.path()), 2);
        assert!(temp.path().join("kici-ghijkl").exists());
        assert!(temp.path().join("kici-agents-work").exists());
    }
}
