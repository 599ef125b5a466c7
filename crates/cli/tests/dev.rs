//! `kici dev` as its user sees it: a commit runs, Ctrl-C leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kici_testkit::{Process, Repo};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(90);

const WORKFLOW: &str = r"import { job, push, step, workflow } from '@kici-dev/sdk';

const only = job('only', {
  runsOn: 'linux',
  steps: [step('greet', async ({ $ }) => { await $`echo hello from a commit`; })],
});

export default workflow('ci', { on: push(), jobs: [only] });
";

fn dev(repo: &Repo, arguments: &[&str]) -> Process {
    let kici = PathBuf::from(env!("CARGO_BIN_EXE_kici"));
    for beside in ["kici-orchestrator", "kici-agent"] {
        let program = kici.with_file_name(beside);
        assert!(
            program.is_file(),
            "{} is missing; `cargo build --workspace` makes it",
            program.display()
        );
    }
    let mut command = Command::new(kici);
    command.args(["dev", "--port", "0"]).args(arguments).current_dir(repo.path());
    // Stays away from binaries that the user of this machine may have downloaded.
    command.env("XDG_CACHE_HOME", repo.path().join(".git/cache"));
    Process::spawn(command)
}

/// All processes below `pid`.
fn descendants(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children: Vec<i32> = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()
        })
        .collect();
    children.iter().flat_map(|child| [vec![*child], descendants(*child)].concat()).collect()
}

fn is_alive(pid: i32) -> bool {
    // A zombie waits only for somebody to read its exit code.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn assert_all_end(pids: &[i32]) {
    let deadline = Instant::now() + LIMIT;
    while let Some(pid) = pids.iter().find(|pid| is_alive(**pid)) {
        let name = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(Instant::now() < deadline, "process {pid} was left behind: {name}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_commit_runs_its_workflows_and_ctrl_c_leaves_no_process() {
    let repo = Repo::init();
    repo.write(".kici/workflows/ci.ts", WORKFLOW).commit("a workflow without its lock file");
    let mut dev = dev(&repo, &["--now"]);
    dev.wait_for_line("Compiled: .kici/kici.lock.json is new", LIMIT);
    dev.wait_for_line("The commit has no .kici/kici.lock.json: run `kici compile`", LIMIT);
    dev.wait_for_line("Waiting for commits", LIMIT);

    repo.commit("the lock file");
    dev.wait_for_line("hello from a commit", LIMIT);
    dev.wait_for_line("✓ only success", LIMIT);
    dev.wait_for_line("✓ run success", LIMIT);

    repo.git(&["commit", "--quiet", "--allow-empty", "-m", "nothing new"]);
    repo.write(".kici/workflows/ci.ts", WORKFLOW.replace("hello", "welcome"));
    // Two lines say so by now: the one at the start, and this one.
    let deadline = Instant::now() + LIMIT;
    while dev.printed().matches("is new; commit it").count() < 2 {
        assert!(Instant::now() < deadline, "an edit was not compiled:\n{}", dev.printed());
        std::thread::park_timeout(Duration::from_millis(20));
    }

    let below = descendants(dev.pid());
    assert!(below.len() >= 3, "PostgreSQL, orchestrator and agent: {below:?}");
    dev.signal(Signal::SIGINT);
    assert!(dev.wait(LIMIT).success(), "{}", dev.printed());
    assert_all_end(&below);
    let left = repo.git(&["status", "--porcelain"]);
    assert_eq!(
        left, "M .kici/kici.lock.json\n M .kici/workflows/ci.ts",
        "only what was edited and compiled"
    );
}

#[test]
fn killed_it_takes_its_programs_along_and_starts_again() {
    let repo = Repo::init();
    repo.write(".kici/workflows/ci.ts", WORKFLOW).commit("a workflow");
    let mut first = dev(&repo, &[]);
    first.wait_for_line("Waiting for commits", LIMIT);
    let below = descendants(first.pid());
    first.kill();
    assert_all_end(&below);

    let mut second = dev(&repo, &[]);
    second.wait_for_line("Waiting for commits", LIMIT);
    let mut third = dev(&repo, &[]);
    third.wait_for_line("already running in this repository", LIMIT);
    assert!(!third.wait(LIMIT).success());
    second.signal(Signal::SIGTERM);
    assert!(second.wait(LIMIT).success(), "{}", second.printed());
}

#[test]
fn outside_of_git_it_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".kici")).unwrap();
    let output = kici_in(dir.path());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("is no git repository") && text.contains("git init"), "{text}");
}

fn kici_in(folder: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_kici")).arg("dev").current_dir(folder).output().unwrap()
}
