//! `kici run local` as its users meet it.

use std::io::{BufRead as _, BufReader};
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

#[test]
fn ctrl_c_stops_the_job_and_those_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let workflows = dir.path().join(".kici/workflows");
    std::fs::create_dir_all(&workflows).unwrap();
    std::fs::write(
        workflows.join("ci.ts"),
        "import { job, push, step, workflow } from '@kici-dev/sdk';
const first = job('first', { runsOn: 'linux', steps: [step('wait', async (ctx) => { await ctx.$`echo waiting; sleep 600`; })] });
const second = job('second', { runsOn: 'linux', steps: [step('never', async (ctx) => { await ctx.$`echo never`; })] });
export default workflow('ci', { on: push(), jobs: [first, second] });
",
    )
    .unwrap();
    for args in [&["init", "-q"][..], &["add", "-A"]] {
        assert!(Command::new("git").current_dir(dir.path()).args(args).status().unwrap().success());
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_kici"))
        .current_dir(dir.path())
        .env_remove("KICI_JS_ENGINE")
        .env_remove("KICI_SDK")
        .args(["run", "local", "ci"])
        .stdin(Stdio::null())
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
