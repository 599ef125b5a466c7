//! Where things are.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The folder that cargo builds into, wherever `CARGO_TARGET_DIR` or a config put it.
pub(crate) fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        cargo_metadata(&["--no-deps"])
            .ok()
            .and_then(|data| data["target_directory"].as_str().map(PathBuf::from))
            .unwrap_or_else(|| root().join("target"))
    })
}

/// How a program of ours is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }

    /// The path of a built program, e.g. `kici-agent`.
    pub(crate) fn program(self, name: &str) -> PathBuf {
        target().join(self.folder()).join(name)
    }
}

/// A command that starts in the checkout, with what `setup` installed first in PATH.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).env("PATH", path());
    command
}

/// Where `setup` puts the Node.js of the version that the Node engine needs.
pub(crate) fn node_bin() -> PathBuf {
    root().join("tools/node/node_modules/.bin")
}

/// PATH with the tools that `setup` installed first.
pub(crate) fn path() -> OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let ours = [node_bin(), root().join("tools/cargo/bin")].into_iter().filter(|dir| dir.is_dir());
    std::env::join_paths(ours.chain(std::env::split_paths(&inherited))).unwrap_or(inherited)
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Set for us by `cargo run`; a child that sees them thinks it is part of xtask's build.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    command
}

/// `cargo metadata` as JSON.
pub(crate) fn cargo_metadata(arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
    let mut command = cargo();
    command.args(["metadata", "--format-version=1"]).args(arguments);
    Ok(serde_json::from_str(&crate::shell::output(&mut command)?)?)
}
