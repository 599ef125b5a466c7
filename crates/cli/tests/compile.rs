//! `kici compile` as its users meet it: the program, real projects, real mistakes.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kici_model::tables::compare_lock;
use tempfile::TempDir;

const LOCK: &str = ".kici/kici.lock.json";

fn kici(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kici"));
    command.current_dir(root).env_remove("KICI_JS_ENGINE").env_remove("KICI_SDK");
    command.env_remove("npm_config_user_agent").stdin(Stdio::null());
    command
}

fn project(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join(".kici")).unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn compile(root: &Path, args: &[&str]) -> Output {
    kici(root).arg("compile").args(args).output().unwrap()
}

/// What a compilation that must fail says.
fn mistake(source: &str) -> String {
    let dir = project(&[(".kici/workflows/ci.ts", source)]);
    let output = compile(dir.path(), &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!dir.path().join(LOCK).exists(), "no lock file is written on errors");
    text
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_reference_projects_give_the_reference_lock_files() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/lockfiles");
    let projects: Vec<PathBuf> =
        std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(projects.len(), 12);
    for fixture in projects {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixture, dir.path());
        let theirs = std::fs::read_to_string(fixture.join(LOCK)).unwrap();
        std::fs::remove_file(dir.path().join(LOCK)).unwrap();
        let output = compile(dir.path(), &[]);
        assert!(output.status.success(), "{}: {output:?}", fixture.display());
        let ours = std::fs::read_to_string(dir.path().join(LOCK)).unwrap();
        let differences: Vec<String> =
            compare_lock(&ours, &theirs).iter().map(ToString::to_string).collect();
        assert!(differences.is_empty(), "{}:\n{}", fixture.display(), differences.join("\n"));
        assert!(ours.ends_with('}'), "no newline at the end");
    }
}

#[test]
fn check_writes_nothing_and_an_unchanged_lock_file_is_not_touched() {
    let source = "import { workflow, job } from '@kici-dev/sdk';\n\
                  export default workflow('w', { jobs: [job('j', { runsOn: 'a', run: async () => {} })] });\n";
    let dir = project(&[(".kici/workflows/ci.ts", source)]);
    let output = compile(dir.path(), &["--check"]);
    assert!(output.status.success() && !dir.path().join(LOCK).exists());
    assert!(String::from_utf8(output.stdout).unwrap().contains("out of date: run `kici compile`"));
    assert!(compile(dir.path(), &[]).status.success());
    let written = std::fs::metadata(dir.path().join(LOCK)).unwrap().modified().unwrap();
    let output = compile(&dir.path().join(".kici/workflows"), &[]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("up to date"));
    assert_eq!(std::fs::metadata(dir.path().join(LOCK)).unwrap().modified().unwrap(), written);
    let left: Vec<_> = std::fs::read_dir(dir.path().join(".kici")).unwrap().collect();
    assert_eq!(left.len(), 2, "only the workflows and the lock file: {left:?}");
}

#[test]
fn mistakes_are_shown_where_they_are_with_what_to_write() {
    let text = mistake("export default (;\n");
    assert!(text.contains(".kici/workflows/ci.ts:1:17 error [E003]: "), "{text}");
    let text = mistake(
        "import { workflow, job } from '@kici-dev/sdk';\nconst run = async () => {};\n\
         export default workflow('w', { jobs: [\n  job('build', { runsOn: 'a', run }),\n\
         \x20 job('ship', { runsOn: 'a', needs: ['biuld'], run }),\n] });\n",
    );
    let expected = ".kici/workflows/ci.ts:5:3 error [E101]: job 'ship' needs the job 'biuld', which does \
                    not exist\n  5 |   job('ship', { runsOn: 'a', needs: ['biuld'], run }),\n    |   ^\n  \
                    Suggestion: did you mean 'build'?\n";
    assert!(text.starts_with(expected), "{text}");
    let text = mistake(
        "import { workflow, job } from '@kici-dev/sdk';\n\n\
         export const w = workflow('w', { jobs: [\n  job('j', { runsOn: 'a', runsOnAll: 'b', run: async () => {} }),\n] });\n",
    );
    assert!(text.starts_with(".kici/workflows/ci.ts:4:3 error [E003]: "), "{text}");
    let text = mistake(
        "import { workflow, jobb } from '@kici-dev/sdk';\nexport default workflow('w', { jobs: [jobb()] });\n",
    );
    assert!(
        text.starts_with(
            ".kici/workflows/ci.ts:1:20 error [E003]: '@kici-dev/sdk' has no export 'jobb'"
        ),
        "{text}"
    );
    assert!(mistake("throw 'just text';").contains("error [E003]: NonError: just text"));
    assert!(
        mistake("export const helper = 1;").contains("error [E004]: this file exports no workflow")
    );
}

#[test]
fn all_broken_files_are_reported_at_once() {
    let dir = project(&[
        (".kici/workflows/a.ts", "export default (;"),
        (".kici/workflows/b.ts", "import { x } from './nowhere.js';\nexport default x;"),
    ]);
    let text = String::from_utf8(compile(dir.path(), &[]).stderr).unwrap();
    assert!(text.contains("a.ts:1:17 error [E003]"), "{text}");
    assert!(text.contains("b.ts:1:19 error [E003]: cannot import './nowhere.js'"), "{text}");
    assert!(text.contains("2 errors"), "{text}");
}

#[test]
fn without_workflows_it_says_where_they_belong() {
    let dir = project(&[]);
    let output = compile(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with(".kici/workflows:1:1 error [E001]: "), "{text}");
}

#[test]
fn an_endless_loop_ends() {
    let started = Instant::now();
    let text = mistake("for (;;) {}");
    assert!(text.contains("error [E003]"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(90));
}

#[test]
fn watching_survives_mistakes_and_sees_them_corrected() {
    let good = |name: &str| {
        format!(
            "import {{ workflow }} from '@kici-dev/sdk';\nexport default workflow('{name}', {{ jobs: [] }});\n"
        )
    };
    let dir = project(&[(".kici/workflows/ci.ts", &good("one"))]);
    let mut child = kici(dir.path())
        .args(["compile", "--watch"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let settled = |until: &dyn Fn(&str) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).expect("watching goes on in time");
            if line.starts_with("watching")
                && until(&std::fs::read_to_string(dir.path().join(LOCK)).unwrap())
            {
                return;
            }
        }
    };
    settled(&|lock| lock.contains("\"one\""));
    std::fs::write(dir.path().join(".kici/workflows/ci.ts"), "oh no (").unwrap();
    settled(&|lock| lock.contains("\"one\""));
    std::fs::write(dir.path().join(".kici/workflows/ci.ts"), good("two")).unwrap();
    settled(&|lock| lock.contains("\"two\""));
    interrupt(&child);
    assert!(child.wait().unwrap().success(), "Ctrl-C ends it in order");
}

fn interrupt(child: &std::process::Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}
