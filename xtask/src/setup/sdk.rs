//! The SDK bundle that `crates/workflow` embeds, built from `packages/sdk` with npm.

use std::path::Path;

use anyhow::{Context, Result};

use super::stamp::Stamp;
use crate::{shell, workspace};

/// What the bundle is not made from.
const NO_SOURCES: [&str; 3] = ["node_modules", "dist", "test"];

pub(super) fn ensure() -> Result<()> {
    let folder = workspace::root().join("packages/sdk");
    let packages = Stamp::of(&folder, &["package.json", "package-lock.json"])?;
    let packages_file = folder.join("node_modules/.kici-stamp");
    if !packages.is_in(&packages_file) {
        println!("Installing the Node packages of packages/sdk");
        let mut npm = workspace::command("npm");
        // Not `npm ci`: it demands optional packages of other platforms, which mirrors may lack.
        npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
        npm.current_dir(&folder);
        shell::run(&mut npm)?;
        packages.write(&packages_file)?;
    }
    let bundle = Stamp::of(&folder, &sources(&folder)?)?;
    let bundle_file = folder.join("dist/.kici-stamp");
    if !bundle.is_in(&bundle_file) {
        println!("Building the SDK bundle in packages/sdk/dist");
        let mut npm = workspace::command("npm");
        npm.args(["run", "--silent", "build"]).current_dir(&folder);
        shell::run(&mut npm)?;
        bundle.write(&bundle_file)?;
    }
    Ok(())
}

fn sources(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("could not read {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| !matches!(name, Ok(name) if NO_SOURCES.contains(&name.as_str()))).collect()
}
