//! `kici compile --watch`: compiles again after each change, until Ctrl-C.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use notify::{Event, RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{LOCK_FILE, once};
use crate::project::Project;

/// Editors write in several moves: wait until nothing has happened for this long.
const SETTLED: Duration = Duration::from_millis(80);

/// Watches until Ctrl-C. Errors in workflows are shown and do not end it.
pub(super) async fn watch(project: &Project) -> anyhow::Result<ExitCode> {
    let (wake, mut woken) = mpsc::channel(1);
    let root = project.root.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // A full channel already means "look again"; a lost event too.
        if event.map_or(true, |event| concerns(&root, &event)) {
            let _ = wake.try_send(());
        }
    })
    .context("could not watch files")?;
    let kici = project.kici();
    watcher
        .watch(&kici, RecursiveMode::Recursive)
        .with_context(|| format!("could not watch {}", kici.display()))?;
    // One listener for all the time: a Ctrl-C between two waits must not get lost.
    let mut interrupts = signal(SignalKind::interrupt()).context("could not listen for Ctrl-C")?;
    loop {
        tokio::select! {
            result = once(project, false) => drop(result?),
            _ = interrupts.recv() => return Ok(ExitCode::SUCCESS),
        }
        println!("watching {}, Ctrl-C ends it", kici.display());
        tokio::select! {
            _ = woken.recv() => {}
            _ = interrupts.recv() => return Ok(ExitCode::SUCCESS),
        }
        while tokio::time::timeout(SETTLED, woken.recv()).await.is_ok() {}
    }
}

/// Whether the event may change what compiling gives. The lock file itself does not count.
fn concerns(root: &Path, event: &Event) -> bool {
    let own = |path: &Path| {
        let path = path.strip_prefix(root).unwrap_or(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path == Path::new(LOCK_FILE)
            || name.starts_with(".kici.lock.")
            || path.components().any(|part| part.as_os_str() == "node_modules")
    };
    !event.kind.is_access() && !event.paths.iter().all(|path| own(path))
}

#[cfg(test)]
mod tests {
    use notify::EventKind;
    use notify::event::{AccessKind, ModifyKind};

    use super::*;

    #[test]
    fn our_own_writing_does_not_wake_us() {
        let event = |kind, path: &str| {
            concerns(Path::new("/r"), &Event::new(kind).add_path(Path::new("/r").join(path)))
        };
        let modify = EventKind::Modify(ModifyKind::Any);
        assert!(event(modify, ".kici/workflows/ci.ts"));
        assert!(event(modify, ".kici/lib/shared.ts"));
        assert!(!event(modify, ".kici/kici.lock.json"));
        assert!(!event(modify, ".kici/.kici.lock.abc"));
        assert!(!event(modify, ".kici/node_modules/x/index.js"));
        assert!(!event(EventKind::Access(AccessKind::Any), ".kici/workflows/ci.ts"));
    }
}
