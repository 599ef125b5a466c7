//! Finds Node.js 24 or newer: `KICI_NODE`, else `node` on the PATH. Looked for once per process.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The oldest major version that can load our guest (`module.registerHooks`, import attributes).
const OLDEST: u32 = 24;

/// A usable Node.js.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The executable.
    pub(crate) path: PathBuf,
}

/// Why there is no usable Node.js.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeMissing {
    /// Nothing on the PATH.
    #[error(
        "there is no `node` on the PATH; install Node.js {OLDEST} or newer, or set KICI_NODE to its executable"
    )]
    NotFound,
    /// `KICI_NODE` leads nowhere.
    #[error("KICI_NODE is {path}, which cannot be run ({problem}); set it to the executable of Node.js {OLDEST} or newer", path = path.display())]
    BadOverride {
        /// The path that was set.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// Too old.
    #[error("{path} is version {version}; install Node.js {OLDEST} or newer, or set KICI_NODE to its executable", path = path.display())]
    TooOld {
        /// The executable.
        path: PathBuf,
        /// What it says it is.
        version: String,
    },
}

/// The Node.js of this process.
pub(crate) fn node() -> Result<&'static Node, &'static NodeMissing> {
    static FOUND: OnceLock<Result<Node, NodeMissing>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            find(std::env::var_os("KICI_NODE").as_deref(), std::env::var_os("PATH").as_deref())
        })
        .as_ref()
}

fn find(chosen: Option<&OsStr>, path: Option<&OsStr>) -> Result<Node, NodeMissing> {
    if let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) {
        let chosen = PathBuf::from(chosen);
        return match version(&chosen) {
            Ok(version) => accept(chosen, version),
            Err(problem) => Err(NodeMissing::BadOverride { path: chosen, problem }),
        };
    }
    let name = format!("node{}", std::env::consts::EXE_SUFFIX);
    let mut refused = None;
    for candidate in std::env::split_paths(path.unwrap_or_default()).map(|dir| dir.join(&name)) {
        let Ok(version) = version(&candidate) else { continue };
        match accept(candidate, version) {
            Ok(node) => return Ok(node),
            Err(missing) => refused = refused.or(Some(missing)),
        }
    }
    Err(refused.unwrap_or(NodeMissing::NotFound))
}

fn accept(path: PathBuf, version: String) -> Result<Node, NodeMissing> {
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= OLDEST => Ok(Node { path }),
        _ => Err(NodeMissing::TooOld { path, version }),
    }
}

fn version(path: &Path) -> Result<String, String> {
    // A clean environment: NODE_OPTIONS of the caller must not decide whether Node starts.
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("`--version` ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with a `node` that claims a version.
    fn fake(version: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node");
        std::fs::write(&file, format!("#!/bin/sh\necho {version}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[test]
    fn an_old_node_first_on_the_path_does_not_hide_a_new_one() {
        let (old, new) = (fake("v20.1.0"), fake("v24.3.0"));
        let path = std::env::join_paths([old.path(), new.path()]).unwrap();
        assert_eq!(find(None, Some(&path)).unwrap().path, new.path().join("node"));
    }

    #[test]
    fn only_an_old_node_is_named() {
        let old = fake("v20.1.0");
        let missing = find(None, Some(old.path().as_os_str())).unwrap_err();
        assert_eq!(
            missing.to_string(),
            format!(
                "{}/node is version v20.1.0; install Node.js 24 or newer, or set KICI_NODE to its executable",
                old.path().display()
            )
        );
    }

    #[test]
    fn no_node_says_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(
            find(None, Some(empty.path().as_os_str())).unwrap_err().to_string(),
            "there is no `node` on the PATH; install Node.js 24 or newer, or set KICI_NODE to its executable"
        );
    }

    #[test]
    fn the_override_wins_and_must_work() {
        let (chosen, other) = (fake("v26.0.0"), fake("v24.0.0"));
        let node = chosen.path().join("node");
        assert_eq!(
            find(Some(node.as_os_str()), Some(other.path().as_os_str())).unwrap().path,
            node
        );
        let wrong =
            find(Some(OsStr::new("/nowhere/node")), Some(other.path().as_os_str())).unwrap_err();
        assert!(
            wrong.to_string().starts_with("KICI_NODE is /nowhere/node, which cannot be run"),
            "{wrong}"
        );
    }
}
