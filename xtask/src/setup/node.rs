//! The Node.js that the Node engine needs, from npm, in `tools/node`.

use std::process::Command;

use anyhow::{Context, Result};

use super::stamp::Stamp;
use crate::{shell, workspace};

pub(super) fn ensure() -> Result<()> {
    let folder = workspace::root().join("tools/node");
    let stamp = Stamp::of(&folder, &["package.json", "package-lock.json"])?;
    let stamp_file = folder.join("node_modules/.kici-stamp");
    let node = workspace::node_bin().join("node");
    if stamp.is_in(&stamp_file) && shell::succeeds(Command::new(&node).arg("--version")) {
        return Ok(());
    }
    println!("Installing Node.js 24 into tools/node");
    shell::run(
        workspace::command("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&folder),
    )?;
    shell::output(Command::new(&node).arg("--version"))
        .context("npm installed a Node.js that does not run on this machine")?;
    stamp.write(&stamp_file)
}
