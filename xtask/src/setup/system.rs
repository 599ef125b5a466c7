//! Programs of the system: a C compiler, git, npm and PostgreSQL.

use std::process::Command;

use anyhow::{Context, Result, bail};
use kici_devdb::Binaries;
use nix::unistd::geteuid;

use crate::shell;

/// A program, and the Debian package that has it.
const PROGRAMS: [(&str, &str); 3] = [("cc", "build-essential"), ("git", "git"), ("npm", "npm")];

pub(super) fn ensure() -> Result<()> {
    let mut missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|(program, _)| !shell::succeeds(Command::new(program).arg("--version")))
        .map(|(_, package)| package)
        .collect();
    if Binaries::find().is_err() {
        missing.push("postgresql");
    }
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    Binaries::find().context("PostgreSQL was installed, but it is not usable")?;
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !shell::succeeds(Command::new("apt-get").arg("--version")) {
        bail!(
            "this machine lacks {list} (names of Debian packages); install them with its package \
             manager and try again"
        );
    }
    let as_root = if geteuid().is_root() {
        Vec::new()
    } else if shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
        vec!["sudo", "-n"]
    } else {
        bail!("this machine lacks {list}; run `sudo apt-get install {list}` and try again");
    };
    println!("Installing system packages: {list}");
    apt(&as_root, &["update", "-q"])?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&as_root, &arguments)
}

fn apt(as_root: &[&str], arguments: &[&str]) -> Result<()> {
    let words: Vec<&str> =
        as_root.iter().copied().chain(["apt-get"]).chain(arguments.iter().copied()).collect();
    shell::run(Command::new(words[0]).args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
}
