//! `cargo xtask chaos`: breaks a whole installation at random while it works, and checks that nothing was lost.
//!
//! Two orchestrators, four agents and PostgreSQL work on a stream of deliveries (`load`, `scenarios`) while `schedule`, a
//! pure function of the seed, says what breaks (`faults`, `proxy`). Then the faults end, everything has to settle within
//! a stated time, and `check` compares the tables, read past the programs (`tables`), with a journal that the steps
//! wrote (`journal`). docs/design/testing.md says how to read the result.

mod check;
mod faults;
mod fleet;
mod http;
mod journal;
mod load;
mod member;
mod people;
mod proxy;
mod random;
mod report;
mod rows;
mod scenarios;
mod schedule;
mod tables;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::installation;
use crate::report::{Counts, Outcome};
use crate::workspace::{self, Profile};
use crate::{setup, shell};
use check::Evidence;
use faults::Faults;
use fleet::Fleet;
use journal::Journal;
use load::{Load, Target};
use report::Round;
use rows::Open;
use tables::Tables;

/// Within this time after the last fault, everything has to have ended.
const SETTLE: Duration = Duration::from_secs(90);

/// How often it is looked whether everything has ended.
const LOOK: Duration = Duration::from_millis(250);

/// The round in `cargo xtask test`.
const SHORT_ROUND: u64 = 25;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// How long faults happen; settling and checking come on top.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Repeat the faults of an earlier round; a random one by default.
    #[arg(long)]
    seed: Option<u64>,
    /// One JSON object a line on standard output, nothing else there.
    #[arg(long)]
    json: bool,
    /// Use what is built already.
    #[arg(long)]
    no_build: bool,
    /// Use release builds.
    #[arg(long)]
    release: bool,
    /// No faults: shows that the checker is content with a quiet system.
    #[arg(long)]
    quiet: bool,
    /// Keep the artifacts of a round without findings as well.
    #[arg(long)]
    keep: bool,
}

/// `cargo xtask chaos`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let profile = if arguments.release { Profile::Release } else { Profile::Debug };
    if !arguments.no_build {
        setup::ensure()?;
        build(profile)?;
    }
    let round = play(arguments, profile)?;
    round.print(arguments.json);
    Ok(if round.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A short round as a stage of `cargo xtask test`; everything is built by then.
pub(crate) fn stage() -> Result<Outcome> {
    let arguments = Arguments {
        seconds: SHORT_ROUND,
        seed: None,
        json: false,
        no_build: true,
        release: false,
        quiet: false,
        keep: false,
    };
    let round = play(&arguments, Profile::Debug)?;
    round.print(false);
    Ok(Outcome::Ran(Counts::of(round.is_clean())))
}

fn build(profile: Profile) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--workspace", "--bins"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    shell::run_quietly(&mut cargo)
}

/// One round.
fn play(arguments: &Arguments, profile: Profile) -> Result<Round> {
    let seed = arguments.seed.unwrap_or_else(any_seed);
    let folder = installation::fresh_folder(&format!("chaos-{seed}"))?;
    eprintln!("chaos: seed {seed}, {} s, in {}", arguments.seconds, folder.display());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let interrupted = interrupt(&runtime);
    let round = play_in(arguments, profile, seed, &folder, &runtime, &interrupted);
    match &round {
        Ok(round) if round.is_clean() && !arguments.keep => std::fs::remove_dir_all(&folder)?,
        Ok(round) => {
            std::fs::write(folder.join("findings.txt"), round.text())?;
            eprintln!("chaos: logs, journal and findings are in {}", folder.display());
        }
        Err(_) => eprintln!("chaos: logs are in {}", folder.display()),
    }
    round
}

fn play_in(
    arguments: &Arguments,
    profile: Profile,
    seed: u64,
    folder: &Path,
    runtime: &Runtime,
    interrupted: &Notify,
) -> Result<Round> {
    let length = Duration::from_secs(arguments.seconds);
    let journal = folder.join("journal");
    let sha = scenarios::repository(&folder.join("repository"), &journal, profile)?;
    let fleet = Fleet::start(runtime.handle(), profile, folder)?;
    let tables = fleet.tables();
    tables.audit()?;
    let admin = fleet.admin().clone();
    let target = source(&fleet, &folder.join("repository"), sha, seed)?;

    let _inside = runtime.enter();
    let mut load = Load::start(target, admin.clone(), tables.clone());
    let events = if arguments.quiet { Vec::new() } else { schedule::schedule(seed, length) };
    let faults = Faults::start(fleet, &events, !arguments.json)?;
    let sent = load.sent.clone();

    let began = Instant::now();
    let cut_short = runtime.block_on(async {
        tokio::select! {
            () = tokio::time::sleep(length) => false,
            () = interrupted.notified() => true,
        }
    });
    if cut_short {
        drop(faults.end()?);
        bail!("interrupted after {:.0} s", began.elapsed().as_secs_f64());
    }
    eprintln!("chaos: the faults end, everything has to settle within {SETTLE:?}");
    faults.calm();
    let calm = Instant::now();
    let deadline = calm + SETTLE;
    runtime.block_on(load.finish(deadline.into()));
    settle(&tables, deadline, &faults)?;
    load.end();
    let settled = calm.elapsed();
    let done = faults.end()?;
    let evidence = Evidence::gather(&sent, Journal::read(&journal)?, &tables)?;
    let mut findings = runtime.block_on(check::check(&evidence, &admin));
    findings.unexplained.extend(done.fleet.surprises());
    if !findings.is_clean() {
        tables.dump(folder)?;
    }
    drop(done.fleet);
    findings.count("requests", sent.requests());
    findings.count("settle_ms", u64::try_from(settled.as_millis()).unwrap_or(u64::MAX));
    Ok(Round { seed, length, findings, faults: done.counts })
}

/// Resolves at the first Ctrl-C.
fn interrupt(runtime: &Runtime) -> Arc<Notify> {
    let interrupted = Arc::new(Notify::new());
    let notify = interrupted.clone();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("chaos: interrupted, ending what runs");
            notify.notify_one();
        }
    });
    interrupted
}

/// A seed that is another one each time.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // Short enough to be typed.
    u64::from(now.subsec_micros())
}

/// Tells the orchestrators about the repository; all of them have to know it.
fn source(fleet: &Fleet, repository: &Path, sha: String, seed: u64) -> Result<Target> {
    let admin = fleet.admin();
    let path = repository.to_str().context("the repository's path is not UTF-8")?;
    let answer = admin.command(&[
        "source", "add", "local", "--org", "chaos", "--name", "chaos", "--path", path,
    ])?;
    let source = if answer["source"].is_object() { &answer["source"] } else { &answer };
    let text = |key: &str| source[key].as_str().with_context(|| format!("the source has no {key}"));
    admin.command(&["source", "update-generic", text("id")?, "--rate-limit", "100000000"])?;
    Ok(Target {
        ports: fleet.delivery_lines.iter().map(|line| line.port()).collect(),
        path: format!("/webhook/{}/generic/{}", text("customer_id")?, text("name")?),
        routing_key: text("routing_key")?.to_owned(),
        sha,
        seed,
    })
}

/// Waits until nothing is open, or until the time is over: the checker says what is.
fn settle(tables: &Tables, deadline: Instant, faults: &Faults) -> Result<()> {
    loop {
        if tables.open().is_ok_and(Open::is_none) || Instant::now() > deadline {
            return Ok(());
        }
        if faults.is_over() {
            bail!("the installation cannot be kept running any more");
        }
        std::thread::park_timeout(LOOK);
    }
}
