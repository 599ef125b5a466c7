//! `cargo xtask setup`: installs what building, testing and the demo need.
//!
//! Each part looks first and does nothing when all is there, so that other commands can call
//! [`ensure`] every time. Everything but the system packages stays inside the checkout.

mod node;
mod sdk;
mod stamp;
mod system;
mod tools;

use std::process::ExitCode;

use anyhow::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also install cargo-nextest and cargo-deny into tools/cargo (compiles them: some minutes).
    #[arg(long)]
    all: bool,
}

/// `cargo xtask setup`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    ensure()?;
    if arguments.all {
        tools::install()?;
    }
    println!("Everything is in place.");
    Ok(ExitCode::SUCCESS)
}

/// Installs what is missing; says what it does, and nothing when there is nothing to do.
pub(crate) fn ensure() -> Result<()> {
    system::ensure()?;
    node::ensure()?;
    sdk::ensure()
}
