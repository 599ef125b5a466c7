//! All that CI does, and the tools around it: `cargo xtask <command>`.
//!
//! One module per command; `workspace` knows where things are, `shell` runs programs, `report`
//! counts what passed and failed.

mod arrows;
mod bench;
mod chaos;
mod demo;
mod installation;
mod processes;
mod report;
mod setup;
mod shell;
mod sim;
mod sqlx;
mod table;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, checks, shows and measures KiCI.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what building and testing need; safe to repeat.
    Setup(setup::Arguments),
    /// Everything that CI does; the last line sums up.
    Test,
    /// Push a workflow to a whole installation and watch it run.
    Demo(demo::Arguments),
    /// Format, clippy, crate arrows and committed SQL data, without tests.
    Lint,
    /// Renew the SQL data that crates/store is compiled against.
    Sqlx(sqlx::Arguments),
    /// Run a table of cases.
    Table(table::Arguments),
    /// Measure release builds.
    Bench(bench::Arguments),
    /// Many simulated agents that end every job at once, until standard input ends.
    #[command(hide = true)]
    SimAgents(sim::Arguments),
    /// Break a whole installation at random while it works, and check that nothing was lost.
    Chaos(chaos::Arguments),
    /// Check the dependency arrows between our crates.
    CheckArrows,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Setup(arguments) => setup::run(&arguments),
        Task::Test => test::run(),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Lint => test::lint(),
        Task::Sqlx(arguments) => sqlx::run(&arguments),
        Task::Table(arguments) => table::run(&arguments),
        Task::SimAgents(arguments) => sim::run(arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Chaos(arguments) => chaos::run(&arguments),
        Task::CheckArrows => arrows::run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
