//! The main loop: sees commits, delivers them, keeps the lock file fresh.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kici_client::{Client, Delivery};
use kici_protocol::http::deliveries::DeliveryView;
use serde_json::json;
use tokio::time::{Instant, interval, sleep};
use uuid::Uuid;

use super::Args;
use super::commits::{self, Branches, Push};
use super::compile::{LOCK_FILE, compile};
use super::folder::Folder;
use super::follow::Follower;
use super::services::Address;
use super::setup::{ORG, Running, SOURCE};
use super::watch::Watch;

/// How often branches and programs are looked at without a hint.
const LOOK: Duration = Duration::from_secs(2);

/// How long an editor may take to write all of its files.
const SETTLE: Duration = Duration::from_millis(150);

/// How long a delivery may take to become runs.
const PROCESSING: Duration = Duration::from_secs(30);

/// Starts everything and runs until something breaks.
pub(super) async fn run(
    root: &Path,
    folder: &Folder,
    args: &Args,
    running: &mut Running,
) -> Result<()> {
    println!("Starting PostgreSQL, the orchestrator and an agent …");
    let (client, address) = running.start(root, folder, args.port).await?;
    greet(root, folder, &address);
    let watch = Watch::start(root)?;
    compile(root).await?;
    let mut branches = Branches::read(root)?;
    let follower = Follower::start(client.clone()).await?;
    if args.now {
        now(root, &client, &branches).await?;
    }
    println!("Waiting for commits. Ctrl-C ends everything.");
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            () = watch.git.notified() => {}
            _ = look.tick() => {}
            () = watch.workflows.notified() => {
                sleep(SETTLE).await;
                compile(root).await?;
            }
            error = follower.failed() => return Err(error),
        }
        if let Some(program) = running.ended() {
            bail!(
                "the {program} has ended; its log is {}",
                folder.join(program).with_extension("log").display()
            );
        }
        let seen = Branches::read(root)?;
        for push in seen.since(&branches) {
            // One commit that fails must not end the watch over the next.
            if let Err(error) = deliver(root, &client, &push).await {
                println!("! {error:#}");
            }
        }
        branches = seen;
    }
}

fn greet(root: &Path, folder: &Folder, address: &Address) {
    println!("Repository    {}", root.display());
    println!("Orchestrator  {}", address.url());
    println!("Operate it    export KICI_ADMIN_URL={}", address.url());
    println!(
        "              export KICI_ADMIN_TOKEN=$(cat {})",
        folder.join("admin-token").display()
    );
    println!("Logs          {}", folder.join("*.log").display());
}

/// Delivers the branch that is checked out, as if it had just been made.
async fn now(root: &Path, client: &Client, branches: &Branches) -> Result<()> {
    let head = commits::git(root, &["symbolic-ref", "HEAD"])
        .context("--now needs a branch that is checked out")?;
    let pushes = branches.since(&Branches::default());
    match pushes.into_iter().find(|push| push.reference == head) {
        Some(push) => deliver(root, client, &push).await,
        None => bail!("--now needs a commit; there is none on this branch"),
    }
}

/// Delivers a push and says what is wrong when no run comes of it.
async fn deliver(root: &Path, client: &Client, push: &Push) -> Result<()> {
    println!("\nCommit {} on {}", push.after.get(..7).unwrap_or(&push.after), push.branch());
    if !commits::has_file(root, &push.after, LOCK_FILE) {
        println!("! The commit has no {LOCK_FILE}: run `kici compile` and commit the file.");
        return Ok(());
    }
    if commits::is_uncommitted(root, LOCK_FILE)? {
        println!("! {LOCK_FILE} has changes that are not committed; this commit runs the old one.");
    }
    let id = Uuid::now_v7().to_string();
    let body = json!({
        "ref": push.reference,
        "before": push.before,
        "after": push.after,
        // The source's folder is the repository itself.
        "repository": { "full_name": ".", "default_branch": default_branch(root) },
    });
    let delivery =
        Delivery { org_id: ORG, source: SOURCE, event: "push", delivery_id: &id, body: &body };
    let accepted =
        client.deliver(&delivery).await.context("the orchestrator did not take the commit")?;
    let Some(kept_as) = accepted.delivery_id else {
        println!(
            "! {}",
            accepted.reason.as_deref().unwrap_or("The orchestrator ignored the commit.")
        );
        return Ok(());
    };
    let processed = processed(client, &kept_as).await?;
    if let Some(problem) = &processed.error_message {
        println!("! {problem}");
    } else if processed.matched_count == 0 {
        println!("! No workflow is triggered by a push to {}.", push.branch());
    }
    Ok(())
}

async fn processed(client: &Client, id: &str) -> Result<DeliveryView> {
    let deadline = Instant::now() + PROCESSING;
    loop {
        let delivery = client.delivery_get(ORG, id, false).await?.delivery;
        if delivery.status != "received" {
            return Ok(delivery);
        }
        if Instant::now() > deadline {
            bail!("the orchestrator has not processed the commit within {PROCESSING:?}");
        }
        sleep(Duration::from_millis(30)).await;
    }
}

/// What the repository calls its main branch; the one that is checked out if it does not say.
fn default_branch(root: &Path) -> String {
    let remote = commits::git(root, &["symbolic-ref", "--short", "refs/remotes/origin/HEAD"]);
    remote
        .map(|name| name.trim_start_matches("origin/").to_owned())
        .or_else(|_| commits::git(root, &["symbolic-ref", "--short", "HEAD"]))
        .unwrap_or_else(|_| "main".into())
}
