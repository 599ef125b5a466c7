//! The SQL data that `crates/store` is compiled against: renews it, or checks that it is fresh.
//!
//! A private PostgreSQL gets all migrations; the crate is then compiled against it, and the query
//! macros write what they learn into a scratch folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use kici_devdb::{Cluster, Purpose};

use crate::report::{Counts, Outcome};
use crate::{shell, workspace};

/// The database that the queries are checked against.
const DATABASE: &str = "kici";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail when the committed data is out of date.
    #[arg(long)]
    check: bool,
}

/// `cargo xtask sqlx`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let fresh = compile()?;
    let differences = differences(&fresh)?;
    if arguments.check {
        report(&differences);
        let ok = differences.is_empty();
        return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    write(&fresh)?;
    println!("{} queries in crates/store/.sqlx, {} changed", fresh.len(), differences.len());
    Ok(ExitCode::SUCCESS)
}

/// The check as a stage.
pub(crate) fn stage() -> Result<Outcome> {
    let differences = differences(&compile()?)?;
    report(&differences);
    Ok(Outcome::Ran(Counts::of(differences.is_empty())))
}

fn report(differences: &[String]) {
    for difference in differences {
        println!("{difference}");
    }
    if !differences.is_empty() {
        println!("crates/store/.sqlx is out of date; run `cargo xtask sqlx` and commit the result");
    }
}

/// File name to content.
type Queries = BTreeMap<String, Vec<u8>>;

/// Compiles the store against a migrated database and gives what the macros learned.
fn compile() -> Result<Queries> {
    let scratch = workspace::target().join("xtask-sqlx");
    let _left_by_a_crash = fs::remove_dir_all(&scratch);
    let cluster = Cluster::start(&scratch.join("postgres"), Purpose::Tests)?;
    cluster.ensure_database(DATABASE)?;
    migrate(&cluster)?;

    let learned = scratch.join("queries");
    fs::create_dir_all(&learned)?;
    // A target folder of its own: the store must be compiled again here, and nowhere else.
    let target = workspace::target().join("xtask-sqlx-build");
    forget_store(&target)?;
    shell::run(
        workspace::cargo()
            .args(["check", "--quiet", "--package", "kici-store", "--all-targets"])
            .env("CARGO_TARGET_DIR", &target)
            .env("DATABASE_URL", cluster.url(DATABASE))
            .env("SQLX_OFFLINE", "false")
            .env("SQLX_OFFLINE_DIR", &learned),
    )?;
    let queries = read(&learned)?;
    drop(cluster);
    fs::remove_dir_all(&scratch).with_context(|| format!("could not remove {scratch:?}"))?;
    Ok(queries)
}

fn migrate(cluster: &Cluster) -> Result<()> {
    let folder = workspace::root().join("crates/store/migrations");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .with_context(|| format!("could not read {}", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    for file in files {
        let output = cluster
            .client_command("psql")
            .args(["--no-psqlrc", "--quiet", "--single-transaction", "-v", "ON_ERROR_STOP=1"])
            .args(["--dbname", DATABASE, "--file"])
            .arg(&file)
            .output()
            .context("could not run psql")?;
        if !output.status.success() {
            bail!("{}:\n{}", file.display(), String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}

fn differences(fresh: &Queries) -> Result<Vec<String>> {
    let committed = read(&committed_folder())?;
    let mut differences = Vec::new();
    for (name, content) in fresh {
        match committed.get(name) {
            None => differences.push(format!("missing: {name}")),
            Some(old) if !same_json(old, content) => differences.push(format!("changed: {name}")),
            Some(_) => {}
        }
    }
    let unused = committed.keys().filter(|name| !fresh.contains_key(*name));
    differences.extend(unused.map(|name| format!("no longer used: {name}")));
    Ok(differences)
}

/// Compares data, not white space.
fn same_json(one: &[u8], other: &[u8]) -> bool {
    let parse = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    parse(one).is_some_and(|value| Some(value) == parse(other))
}

fn write(fresh: &Queries) -> Result<()> {
    let folder = committed_folder();
    fs::create_dir_all(&folder)?;
    for name in read(&folder)?.keys().filter(|name| !fresh.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    for (name, content) in fresh {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Queries> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Queries::new()) };
    entries
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?))
        })
        .filter(|file| !matches!(file, Ok((name, _)) if !name.starts_with("query-")))
        .collect()
}

fn committed_folder() -> std::path::PathBuf {
    workspace::root().join("crates/store/.sqlx")
}

/// Makes cargo compile the store again: the macros run only then, and cargo sees no reason to.
fn forget_store(target: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(target.join("debug/.fingerprint")) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("kici-store-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
