//! A bare repository per clone URL that outlives jobs: a commit is fetched once per agent.
//!
//! Workspaces borrow its objects. `use.lock` is held, shared, as long as one does, so that nobody
//! replaces the mirror meanwhile; `fetch.lock` lets one fetch at a time. A repository on the same disk
//! is borrowed from directly: then there is nothing to fetch at all.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use kici_model::hash::sha256_hex;

use super::CheckoutError;
use super::fetch::Fetch;
use super::git::Git;
use super::source::Source;

/// A mirror with more commits than this is made anew: old ones are never thrown away singly.
const MOST_COMMITS: usize = 2_000;

/// The mirror of one URL, in use.
#[derive(Debug)]
pub(super) struct Mirror {
    dir: PathBuf,
    in_use: File,
}

impl Mirror {
    /// Opens the mirror, making it if there is none.
    pub(super) async fn open(mirrors: &Path, source: &Source) -> Result<Self, CheckoutError> {
        let dir = std::path::absolute(mirrors.join(name_of(&source.url)))
            .map_err(CheckoutError::file("find", mirrors))?;
        let local = source.local_path();
        tokio::task::spawn_blocking(move || Self::open_blocking(dir, local.as_deref()))
            .await
            .expect("opening a mirror does not panic")
    }

    fn open_blocking(dir: PathBuf, local: Option<&Path>) -> Result<Self, CheckoutError> {
        std::fs::create_dir_all(&dir).map_err(CheckoutError::file("create", &dir))?;
        let lock_path = dir.with_extension("use.lock");
        let in_use = open_lock(&lock_path)?;
        // Alone: whatever is wrong with the mirror, or too much, can be thrown away.
        match in_use.try_lock() {
            Ok(()) => {
                if is_worn_out(&dir) {
                    std::fs::remove_dir_all(&dir)
                        .and_then(|()| std::fs::create_dir_all(&dir))
                        .map_err(CheckoutError::file("replace", &dir))?;
                }
                if !dir.join("HEAD").exists() {
                    init(&dir, local)?;
                }
                in_use.unlock().map_err(CheckoutError::file("unlock", &lock_path))?;
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => {
                return Err(CheckoutError::file("lock", &lock_path)(source));
            }
        }
        // Someone else may be making it right now; then this waits.
        in_use.lock_shared().map_err(CheckoutError::file("lock", &lock_path))?;
        if !dir.join("HEAD").exists() {
            init(&dir, local)?;
        }
        Ok(Self { dir, in_use })
    }

    /// Whether the commit was fetched before, or may be in a repository on the same disk.
    pub(super) fn may_have(&self, sha: &str) -> bool {
        self.mark(sha).exists() || self.dir.join("objects/info/alternates").exists()
    }

    /// Fetches the commit, unless that was done before; returns its full id.
    pub(super) async fn bring(&self, source: &Source, git: &Git) -> Result<String, CheckoutError> {
        let _turn = self.fetch_lock().await?;
        // Another job may have fetched it while this one waited for its turn.
        if let Some(sha) = source.full_sha().filter(|sha| self.mark(sha).exists()) {
            return Ok(sha.to_owned());
        }
        let sha = Fetch { git, source, into: &self.dir }.commit().await?;
        let mark = self.mark(&sha);
        File::create(&mark).map_err(CheckoutError::file("create", &mark))?;
        Ok(sha)
    }

    /// Where the objects are.
    pub(super) fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    /// The commit turned out to be incomplete: the next job fetches it again.
    pub(super) fn distrust(&self, sha: &str) {
        let _no_mark = std::fs::remove_file(self.mark(sha));
    }

    /// Gives out the lock that says "in use".
    pub(super) fn keep(self) -> File {
        self.in_use
    }

    /// An empty file that says: this commit is here, with everything that belongs to it.
    fn mark(&self, sha: &str) -> PathBuf {
        self.dir.join("kici").join(sha)
    }

    async fn fetch_lock(&self) -> Result<File, CheckoutError> {
        let path = self.dir.join("fetch.lock");
        tokio::task::spawn_blocking(move || {
            let file = open_lock(&path)?;
            file.lock().map_err(CheckoutError::file("lock", &path))?;
            Ok(file)
        })
        .await
        .expect("taking a lock does not panic")
    }
}

fn open_lock(path: &Path) -> Result<File, CheckoutError> {
    File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(CheckoutError::file("open", path))
}

/// Writes an empty bare repository; HEAD comes last and says that it is complete.
fn init(dir: &Path, local: Option<&Path>) -> Result<(), CheckoutError> {
    let write = |path: &str, text: &str| {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("paths below dir have a parent"))
            .and_then(|()| std::fs::write(&path, text))
            .map_err(CheckoutError::file("write", &path))
    };
    std::fs::create_dir_all(dir.join("refs")).map_err(CheckoutError::file("create", dir))?;
    std::fs::create_dir_all(dir.join("kici")).map_err(CheckoutError::file("create", dir))?;
    write(
        "config",
        "[core]\n\trepositoryformatversion = 0\n\tbare = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n",
    )?;
    let info = dir.join("objects/info");
    std::fs::create_dir_all(&info).map_err(CheckoutError::file("create", info))?;
    if let Some(objects) = local.and_then(objects_of) {
        write("objects/info/alternates", &format!("{}\n", objects.display()))?;
    }
    write("HEAD", "ref: refs/heads/none\n")
}

/// The object directory of a plain local repository (SHA-1, not shallow, not borrowing itself).
fn objects_of(repository: &Path) -> Option<PathBuf> {
    let repository = repository.canonicalize().ok()?;
    let git_dir = [repository.join(".git"), repository]
        .into_iter()
        .find(|d| d.is_dir() && d.join("objects").is_dir())?;
    let config = std::fs::read_to_string(git_dir.join("config")).ok()?;
    let plain = !config.contains("extensions")
        && !git_dir.join("objects/info/alternates").exists()
        && !git_dir.to_string_lossy().contains(['\n', '"']);
    plain.then(|| git_dir.join("objects"))
}

fn is_worn_out(dir: &Path) -> bool {
    std::fs::read_dir(dir.join("kici")).is_ok_and(|marks| marks.count() > MOST_COMMITS)
}

/// A directory name for a URL: the end of its path for people, a hash for uniqueness.
fn name_of(url: &str) -> String {
    let readable: String = url
        .trim_end_matches('/')
        .trim_end_matches(".git")
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(40)
        .collect();
    format!("{readable}-{}", &sha256_hex(url.as_bytes())[..24])
}
