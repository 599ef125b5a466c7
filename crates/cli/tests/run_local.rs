//! `kici run local` as its users meet it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Reads lines until one holds `text`; gives all that were read.
fn until(lines: &Receiver<String>, text: &str) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut read = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("no '{text}' in {read:#?}"));
        let found = line.contains(text);
        read.push(line);
        if found {
            return read;
        }
    }
}

/// A repository with this workflow.
fn repository(workflow: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let workflows = dir.path().join(".kici/workflows");
    std::fs::create_dir_all(&workflows).unwrap();
    std::fs::write(workflows.join("ci.ts"), workflow).unwrap();
    for args in [&["init", "-q", "-b", "main"][..], &["add", "-A"]] {
        assert!(Command::new("git").current_dir(dir.path()).args(args).status().unwrap().success());
    }
    dir
}

/// `kici run local` in it.
fn run_local(dir: &Path, engine: Option<&str>, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kici"));
    command.current_dir(dir).env_remove("KICI_JS_ENGINE").env_remove("KICI_SDK");
    command.envs(engine.map(|engine| ("KICI_JS_ENGINE", engine)));
    command.args(["run", "local"]).args(args).stdin(Stdio::null());
    command
}

/// Whether it succeeded, and `job status` in the order in which jobs ended, with what they have said.
fn played(dir: &Path, engine: &str, args: &[&str]) -> (bool, Vec<String>) {
    let home = tempfile::tempdir().unwrap();
    let output = run_local(dir, Some(engine), args).env("HOME", home.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut story = Vec::new();
    for line in text.lines() {
        let Some((job, what)) = line.split_once(" │ ") else { continue };
        let job = job.trim_end();
        if let Some((_, said)) = what.split_once("said ") {
            story.push(format!("{job} said {said}"));
        } else if let Some((state, _)) =
            what.split_once(" in ").filter(|(state, _)| !state.contains(' '))
        {
            let why = what.split_once(": ").map(|(_, why)| format!(" ({why})")).unwrap_or_default();
            story.push(format!("{job} {state}{why}"));
        } else if ["skipped: ", "failed: ", "drift_dropped: "]
            .iter()
            .any(|end| what.starts_with(end))
        {
            story.push(format!("{job} {what}"));
        }
    }
    assert!(!story.is_empty(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), story)
}

fn what_is_known_late_runs(engine: &str) {
    let dir = repository(include_str!("run_local/late.ts"));
    let (success, story) = played(dir.path(), engine, &["late"]);
    assert!(success, "{story:#?}");
    assert_eq!(
        story,
        [
            "src succeeded",
            "__dynamic__late__1 succeeded",
            "shard-1 said main push",
            "shard-1 succeeded",
            "shard-2 said main push",
            "shard-2 succeeded",
            "__dynamic__late__2 succeeded",
            "gen-x said shard-1 success,shard-2 success",
            "gen-x succeeded",
            "gen-y said shard-1 success,shard-2 success",
            "gen-y succeeded",
            "__init__late__test succeeded",
            "test (a) said a computed 0/3 stage",
            "test (a) succeeded",
            "test (b) said b computed 1/3 stage",
            "test (b) succeeded",
            "test (d) said d computed 2/3 stage",
            "test (d) succeeded",
            r#"fin said [["shard-1","shard-2"],["gen-x","gen-y"],["a","b","d"],{"of":"x"}]"#,
            "fin succeeded",
        ]
    );
    // A group alone, with what it needs.
    let (success, story) = played(dir.path(), engine, &["late", "--job", "aware"]);
    assert!(success, "{story:#?}");
    assert_eq!(story.iter().filter(|line| line.ends_with("succeeded")).count(), 7, "{story:#?}");

    let (success, story) = played(dir.path(), engine, &["wrong"]);
    assert!(!success);
    assert_eq!(
        story,
        [
            "__dynamic__wrong__0 failed (the job generator failed: no list today)",
            "after skipped: upstream_unmet: __dynamic__wrong__0 (failed)",
            "__init__wrong__throws failed (env of job 'throws' failed: no values today)",
            "throws failed: env of job 'throws' failed: no values today",
            "__init__wrong__empty succeeded",
            "empty failed: matrix for job 'empty' expands to zero combinations",
            "__dynamic__wrong__4 succeeded",
            "first succeeded",
            "second drift_dropped: determinism drift: job dropped by re-evaluation on executing agent",
            "halting (a) failed (Step 'step-1' failed: the first is bad)",
            "halting (b) skipped: fan-out halted by failFast",
            "anyway succeeded",
        ]
    );
}

#[test]
fn what_is_known_late_runs_on_the_embedded_engine() {
    what_is_known_late_runs("embedded");
}

#[test]
fn what_is_known_late_runs_on_node() {
    what_is_known_late_runs("node");
}

#[test]
fn ctrl_c_stops_the_job_and_those_after_it() {
    let dir = repository(
        "import { job, push, step, workflow } from '@kici-dev/sdk';
const first = job('first', { runsOn: 'linux', steps: [step('wait', async (ctx) => { await ctx.$`echo waiting; sleep 600`; })] });
const second = job('second', { runsOn: 'linux', steps: [step('never', async (ctx) => { await ctx.$`echo never`; })] });
export default workflow('ci', { on: push(), jobs: [first, second] });
",
    );
    let mut child = run_local(dir.path(), None, &["ci"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    until(&lines, "waiting");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let rest = until(&lines, "did not succeed");
    assert!(rest.iter().any(|line| line.contains("the run was cancelled")), "{rest:#?}");
    assert!(!rest.iter().any(|line| line.contains("never") && line.contains('|')), "{rest:#?}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
