//! Cargo subcommands that CI uses when they are there, compiled into `tools/cargo`.

use anyhow::Result;

use crate::{shell, workspace};

const TOOLS: [&str; 2] = ["cargo-nextest", "cargo-deny"];

pub(super) fn install() -> Result<()> {
    for tool in TOOLS {
        if shell::succeeds(workspace::command(tool).arg("--version")) {
            continue;
        }
        println!("Compiling {tool} into tools/cargo");
        shell::run(
            workspace::cargo()
                .args(["install", "--locked", "--root"])
                .arg(workspace::root().join("tools/cargo"))
                .arg(tool),
        )?;
    }
    Ok(())
}
