//! `cargo xtask demo`: shows that a push runs a TypeScript workflow, on a whole real installation.
//!
//! PostgreSQL, an orchestrator and an agent are started from what cargo built, a workflow of three
//! jobs is pushed with git to a repository of its own, and its run is shown live. Everything lives
//! in the target folder and ends with this process.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kici_devdb::Companion;
use serde_json::Value;

use crate::installation::{self, Installation, Repository};
use crate::report::{Counts, Outcome};
use crate::workspace::{self, Profile};
use crate::{setup, shell};

/// The workflow that is pushed.
const WORKFLOW: &str = include_str!("demo/ci.ts");

/// How long the push may take to become a run.
const RUN_LIMIT: Duration = Duration::from_secs(30);

/// How often the run is looked for.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Keep everything running afterwards, and say what to try next.
    #[arg(long)]
    stay: bool,
    /// Use release builds, which take longer to make.
    #[arg(long)]
    release: bool,
}

/// `cargo xtask demo`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let profile = if arguments.release { Profile::Release } else { Profile::Debug };
    heading("Setting up and building");
    setup::ensure()?;
    build(profile)?;
    let demo = Demo::start(profile)?;
    let success = demo.push_and_show()?;
    if arguments.stay {
        demo.stay()?;
    }
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The demo as a stage of `cargo xtask test`; everything is built by then.
pub(crate) fn stage() -> Result<Outcome> {
    Ok(Outcome::Ran(Counts::of(Demo::start(Profile::Debug)?.push_and_show()?)))
}

/// Builds the whole workspace: with less, cargo would choose other features for shared
/// dependencies, and `cargo xtask test` would compile them again.
fn build(profile: Profile) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--workspace", "--bins"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    shell::run(&mut cargo)
}

/// What runs. The agent ends first, while its orchestrator still listens.
struct Demo {
    _agent: Companion,
    installation: Installation,
    repository: Repository,
    profile: Profile,
}

impl Demo {
    fn start(profile: Profile) -> Result<Self> {
        heading("Starting PostgreSQL, an orchestrator and an agent");
        let folder = installation::fresh_folder("demo")?;
        let started = Instant::now();
        let installation = Installation::start(profile, &folder)?;
        let agent = installation.start_agent("demo-agent", &installation.agent_token()?)?;
        println!("All ready after {} ms, at {}", started.elapsed().as_millis(), installation.url());

        heading("Making a repository, and telling the orchestrator about it");
        let repository = repository(&folder, profile)?;
        let source = installation.add_local_source(&folder.join("app.git"))?;
        let id = source["id"].as_str().context("the source has no id")?;
        shell::run(installation.admin().args(["source", "install-hook", id]))?;
        Ok(Self { _agent: agent, installation, repository, profile })
    }

    /// Pushes, shows the run, and says whether it succeeded.
    fn push_and_show(&self) -> Result<bool> {
        heading("Pushing");
        let pushed = Instant::now();
        shell::run(self.repository.command().args(["push", "origin", "main"]))?;
        let run = self.wait_for_run()?;

        heading("The run, live");
        let mut follow = self.installation.admin();
        let status = follow.args(["runs", "logs", &run, "--follow", "--exit-status"]).status()?;
        let took = pushed.elapsed();

        heading("Summary");
        shell::run(self.installation.admin().args(["runs", "show", &run]))?;
        if status.success() {
            println!("\nThe run succeeded, {} ms after the push began.", took.as_millis());
        } else {
            println!("\nThe run did not succeed. Logs are in {}", self.folder().display());
        }
        Ok(status.success())
    }

    fn wait_for_run(&self) -> Result<String> {
        let deadline = Instant::now() + RUN_LIMIT;
        loop {
            let list = self.installation.admin_json(&["runs", "list", "--limit", "1"])?;
            if let Some(id) = list["runs"][0]["runId"].as_str() {
                return Ok(id.to_owned());
            }
            if Instant::now() > deadline {
                let log = self.installation.admin_json(&["event-log", "list"]);
                bail!(
                    "the push did not become a run within {RUN_LIMIT:?}; deliveries: {}; logs are in {}",
                    log.unwrap_or(Value::Null),
                    self.folder().display()
                );
            }
            std::thread::park_timeout(LOOK);
        }
    }

    /// Waits for Ctrl-C.
    fn stay(&self) -> Result<()> {
        let bin = self.profile.program("kici-admin");
        let bin = bin.parent().unwrap_or(Path::new("."));
        heading("Still running; try this in another terminal");
        println!("export PATH={}:$PATH", bin.display());
        println!("export KICI_ADMIN_URL={}", self.installation.url());
        println!("export KICI_ADMIN_TOKEN={}", self.installation.admin_token());
        println!("kici-admin runs list");
        println!("kici-admin agent list");
        println!("cd {}", self.repository.path().display());
        println!("$EDITOR .kici/workflows/ci.ts   # change something");
        println!("kici run local                  # try it without the server");
        println!("kici compile && git commit -am 'Try it' && git push");
        println!("\nCtrl-C ends everything.");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(tokio::signal::ctrl_c()).context("could not wait for Ctrl-C")
    }

    fn folder(&self) -> &Path {
        self.repository.path().parent().unwrap_or(self.repository.path())
    }
}

/// A work tree with the workflow, and the bare repository that it is pushed to.
fn repository(folder: &Path, profile: Profile) -> Result<Repository> {
    let bare = folder.join("app.git");
    shell::output(
        Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(&bare),
    )?;
    let repository = Repository::create(&folder.join("app"))?;
    repository.write("README.md", "# The demo's repository\n")?;
    repository.write("words.txt", "seven words are written in this file\n")?;
    repository.write(".kici/workflows/ci.ts", WORKFLOW)?;
    repository.write(".gitignore", "node_modules\n")?;
    installation::compile(profile, repository.path())?;
    repository.commit("A workflow with three jobs")?;
    repository.git(&[
        "remote",
        "add",
        "origin",
        bare.to_str().context("the path is not UTF-8")?,
    ])?;
    println!("{}", WORKFLOW.trim_end());
    Ok(repository)
}

fn heading(text: &str) {
    println!("\n── {text} ──");
}
