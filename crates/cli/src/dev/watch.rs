//! Wakes `kici dev` when branches or workflows may have changed.
//!
//! A wake-up is a hint only: whoever is woken looks for itself, and also looks now and then without
//! one, because file systems lose events.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use std::sync::Arc;

use super::commits;

/// Keeps watching until it is dropped.
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
    /// Branches may have moved.
    pub(super) git: Arc<Notify>,
    /// Workflow sources may have changed.
    pub(super) workflows: Arc<Notify>,
}

impl Watch {
    /// Watches the repository at `root`.
    pub(super) fn start(root: &Path) -> Result<Self> {
        let git_dir =
            commits::git(root, &["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
        let git_dir = PathBuf::from(git_dir);
        let kici = root.join(".kici");
        let (git, workflows) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (wake_git, wake_workflows, sources) = (git.clone(), workflows.clone(), kici.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Lost events are made up for by looking now and then.
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            let (in_kici, in_git): (Vec<_>, Vec<_>) =
                event.paths.iter().partition(|path| path.starts_with(&sources));
            if in_kici.iter().any(|path| is_source(path)) {
                wake_workflows.notify_one();
            }
            if !in_git.is_empty() {
                wake_git.notify_one();
            }
        })
        .context("could not watch files")?;
        // `packed-refs` and `HEAD` lie in the folder itself, branches below `refs/heads`.
        let folders = [
            (git_dir.clone(), RecursiveMode::NonRecursive),
            (git_dir.join("refs/heads"), RecursiveMode::Recursive),
            (kici.clone(), RecursiveMode::NonRecursive),
            (kici.join("workflows"), RecursiveMode::Recursive),
        ];
        for (folder, mode) in folders {
            if folder.is_dir() {
                watcher
                    .watch(&folder, mode)
                    .with_context(|| format!("could not watch {}", folder.display()))?;
            }
        }
        Ok(Self { _watcher: watcher, git, workflows })
    }
}

/// What `kici compile` reads; its own result must not wake it again.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    name != "kici.lock.json"
        && !path.components().any(|part| part.as_os_str() == "node_modules")
        && matches!(&*extension, "ts" | "mts" | "cts" | "js" | "mjs" | "cjs" | "json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kici_testkit::Repo;
    use std::time::Duration;

    async fn woken(notify: &Notify) {
        tokio::time::timeout(Duration::from_secs(10), notify.notified()).await.expect("woken");
    }

    #[tokio::test]
    async fn a_commit_and_an_edit_wake() {
        let repo = Repo::init();
        repo.write(".kici/workflows/ci.ts", "1").commit("first");
        let watch = Watch::start(repo.path()).unwrap();
        repo.write(".kici/workflows/ci.ts", "2");
        woken(&watch.workflows).await;
        repo.commit("second");
        woken(&watch.git).await;
    }

    #[test]
    fn the_result_of_compiling_is_no_source() {
        assert!(is_source(Path::new(".kici/workflows/ci.ts")));
        assert!(is_source(Path::new(".kici/package.json")));
        assert!(!is_source(Path::new(".kici/kici.lock.json")));
        assert!(!is_source(Path::new(".kici/workflows/node_modules/x/index.js")));
        assert!(!is_source(Path::new(".kici/workflows/.ci.ts.swp")));
    }
}
