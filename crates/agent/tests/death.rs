//! What a job's end says about why something died.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::real::Setup;
use common::{Link, terminal};
use serde_json::{Value, json};

async fn run(setup: &Setup, link: &mut Link, job: &str) -> (Value, Value) {
    link.send(setup.dispatch(job)).await;
    let said = link.whole_job().await;
    let step = said.iter().find(|m| m["type"] == "step.status" && m["state"] == "failed");
    (step.expect("a failed step").clone(), terminal(&said).clone())
}

#[tokio::test]
async fn a_killed_command_is_told_with_its_signal() {
    let setup = Setup::start(&[]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    let (step, end) = run(&setup, &mut link, "dying").await;
    assert_eq!(step["data"]["error"]["signal"], "SIGKILL", "{step}");
    assert_eq!(step["data"]["error"].get("cause"), None, "nobody knows who it was: {step}");
    assert_eq!(end["state"], "failed");
}

/// A control group with little memory, version 1 or 2; gone with its processes.
struct SmallGroup(PathBuf);

impl SmallGroup {
    fn new() -> Result<Self, String> {
        let name = format!("kici-test-{}", std::process::id());
        let attempts =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        for (mount, limit) in attempts {
            let folder = Path::new(mount).join(&name);
            if !Path::new(mount).join("cgroup.procs").exists()
                || std::fs::create_dir(&folder).is_err()
            {
                continue;
            }
            let group = Self(folder);
            if std::fs::write(group.0.join(limit), "157286400").is_ok() {
                return Ok(group);
            }
        }
        Err("no control group with a memory limit can be made here".to_owned())
    }

    fn take(&self, pid: i32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for SmallGroup {
    fn drop(&mut self) {
        // Processes of the test may still be on their way out.
        let deadline = std::time::Instant::now() + common::SOON;
        while std::fs::remove_dir(&self.0).is_err() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn a_command_that_takes_too_much_memory_is_told_so() {
    let group = match SmallGroup::new() {
        Ok(group) => group,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let mut setup = Setup::start(&[]).await;
    group.take(setup.agent.pid());
    // The job process that waits was started outside of the group: this one ends it.
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    link.send(setup.dispatch("build")).await;
    link.whole_job().await;
    link.send(setup.dispatch("build")).await;
    link.whole_job().await;
    let (step, end) = run(&setup, &mut link, "hungry").await;
    assert_eq!(step["data"]["error"]["cause"], "out-of-memory", "{step} {end}");
    assert_eq!(end["data"]["cause"], json!({ "kind": "out-of-memory" }));
    let error = end["data"]["error"].as_str().unwrap();
    assert!(error.contains("out of memory") && error.contains("150 MiB are allowed"), "{error}");
    setup.agent.kill();
    drop(setup);
}

/// A file system of two megabytes.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(|error| error.to_string())?;
        if mounted.status.success() {
            Ok(Self(folder))
        } else {
            Err(String::from_utf8_lossy(&mounted.stderr).into_owned())
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_so() {
    let disk = match SmallDisk::new() {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("skipped, no small file system can be mounted: {reason}"),
    };
    let place = disk.0.path().to_str().unwrap();
    let setup = Setup::start(&[("TMPDIR", place)]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    let (step, end) = run(&setup, &mut link, "greedy").await;
    assert_eq!(step["data"]["error"]["cause"], "disk-full", "{step} {end}");
    let error = end["data"]["error"].as_str().unwrap();
    assert!(error.contains("the disk is full") && error.contains(place), "{error}");
}

#[tokio::test]
async fn an_outbox_without_room_goes_on_in_memory() {
    let disk = match SmallDisk::new() {
        Ok(disk) => disk,
        Err(reason) => return eprintln!("skipped, no small file system can be mounted: {reason}"),
    };
    let place = disk.0.path().join("data");
    std::fs::create_dir(&place).unwrap();
    let mut setup = Setup::start(&[("KICI_DATA_DIR", place.to_str().unwrap())]).await;
    let (mut link, _) = setup.orchestrator.accept_registered().await;
    link.next_of("config.ack").await;
    // Fills the disk; what could not be written of it does not matter.
    let _ = std::fs::write(disk.0.path().join("big"), vec![1; 4_000_000]);
    let mut dispatch = setup.dispatch("chatty");
    dispatch["jobConfig"]["checkout"] = json!(true);
    link.send(dispatch).await;
    let said = link.whole_job().await;
    // The git mirror needs the disk as well, so the job may fail; what counts is that its end is told.
    assert!(terminal(&said)["state"].is_string());
    setup.agent.wait_for_line("the outbox cannot be written", common::SOON);
}
