//! What steps print: a lot of it, binary, secret, after the end.

use std::time::Duration;

use crate::support::{Project, Ran, assert_success, process_exists, run};

#[tokio::test]
async fn a_hundred_megabytes_are_cut_and_the_step_still_ends_well() {
    let project =
        Project::with_steps("step('loud', async (ctx) => { await ctx.$`seq 1 12600000; exit 1` })");
    let ran = project.run().await;
    let log = ran.log(0);
    let notices = log
        .iter()
        .filter(|line| line.starts_with("[TRUNCATED: log output exceeded 10485760 bytes]"));
    assert_eq!(notices.count(), 1);
    let bytes: usize = log.iter().map(|line| line.len() + 1).sum();
    assert!(bytes < 10_600_000, "{bytes} bytes were logged");
    assert!(ran.error().starts_with("Step 'loud' failed:"), "{}", &ran.error()[..200]);
    assert_eq!(ran.row("loud").error.unwrap().exit_code, Some(1));
    assert!(ran.took < Duration::from_secs(30), "{:?}", ran.took);
}

#[tokio::test]
async fn binary_output_and_odd_lines_are_kept() {
    let project = Project::with_steps(
        "step('odd', async (ctx) => {
           await ctx.$`head -c 100000 /dev/urandom; printf '\\\\n\\\\nafter\\\\n'; printf 'no newline at the end'`;
           const long = await ctx.$`head -c 400000 /dev/zero | tr '\\\\0' x`;
           return { length: long.stdout.length };
         })",
    );
    let ran = project.run().await;
    assert_success(&ran);
    let log = ran.log(0);
    assert!(log.iter().any(|line| line == "after"));
    assert!(log.iter().any(|line| line == "no newline at the end"));
    assert!(log.iter().any(|line| line.len() == 400_000), "a long line stays whole");
    assert!(log.iter().all(|line| !line.trim().is_empty()), "blank lines are dropped");
    assert_eq!(ran.result.outputs["odd"]["length"], 400_000);
}

#[tokio::test]
async fn console_output_is_logged_with_its_step() {
    let project = Project::new(
        "console.log('while loading');
         export default workflow('ci', { jobs: [job('work', { runsOn: 'linux', steps: [
           step('one', async () => { console.log('from one'); console.error('an error'); }),
           step('two', async (ctx) => { ctx.log.warn('careful'); ctx.log.debug('hidden'); }),
         ] })] });",
    );
    let ran = project.run().await;
    assert_success(&ran);
    assert!(ran.log(-1).iter().any(|line| line == "while loading"));
    assert_eq!(ran.log(0), ["from one", "an error"]);
    assert_eq!(ran.log(1), ["[two] [warn] careful"]);
}

fn assert_masked(ran: &Ran, secret: &str) {
    let said = serde_json::to_string(&ran.events).unwrap();
    assert!(!said.contains(secret), "{secret} shows up in {said}");
}

#[tokio::test]
async fn secrets_show_up_nowhere() {
    let project = Project::with_steps(
        "step('leaks', async (ctx) => {
           const s = await ctx.secrets.get('PASSWORD');
           console.log('plain', s);
           await ctx.$`printf 'hunt'; sleep 0.05; printf 'er2secret\\\\n'; printf %s ${s} | base64; printf %s ${s} | od -An -tx1 | tr -d ' \\\\n'`;
           await ctx.$`printf %s ${await ctx.secrets.get('KEY')} | sed -n 2p`;
           ctx.setSecretOutput('LATER', 'a-later-secret');
           console.log('a-later-secret', JSON.stringify({ s }));
           return { s };
         }),
         step('throws', async (ctx) => { throw new Error('failed with ' + await ctx.secrets.get('PASSWORD')); })",
    );
    let mut spec = project.spec();
    for (key, value) in [
        ("PASSWORD", "hunter2secret"),
        ("OTHER", "ter2"),
        ("KEY", "-----BEGIN KEY-----\nabcdefghijkl\n-----END KEY-----\n"),
    ] {
        spec.secrets.insert(key.to_owned(), value.to_owned());
    }
    let ran = run(spec).await;
    for secret in [
        "hunter2secret",
        "hunt\"",
        "er2secret",
        "aHVudGVyMnNlY3JldA",
        "68756e746572327365637265",
        "abcdefghijkl",
    ] {
        assert_masked(&ran, secret);
    }
    assert_eq!(ran.error(), "Step 'throws' failed: failed with ***");
    assert_eq!(ran.result.outputs["leaks"]["s"], "***");
    assert!(ran.result.secret_outputs.is_empty(), "a failed job hands nothing on");
    assert!(!ran.all_logs().contains("a-later-secret"));
    let accessed = ran.events.iter().find_map(|event| match event {
        kici_exec::spec::JobEvent::StepEnded { step: 0, secrets_accessed, .. } => {
            Some(secrets_accessed.clone())
        }
        _ => None,
    });
    assert_eq!(accessed.unwrap(), ["KEY", "PASSWORD"]);
}

#[tokio::test]
async fn background_processes_do_not_hold_the_job_and_die_with_it() {
    let project = Project::with_steps(
        "step('leaves', async (ctx) => {
           await ctx.$`sleep 7741 & echo started`;
           await ctx.$`setsid sleep 7742 < /dev/null > /dev/null 2>&1 &`;
         }),
         step('uses', async (ctx) => { await ctx.$`pgrep -f 'sleep 7741' > /dev/null || ps aux | grep -q '[s]leep 7741'`; })",
    );
    let ran = project.run().await;
    assert_success(&ran);
    let log = ran.log(0).join("\n");
    assert!(log.contains("keeps this command's output open"), "{log}");
    assert!(log.contains("left behind 2 processes: "), "{log}");
    assert!(log.contains("sleep ("), "{log}");
    let setup = ran.log(-1).join("\n");
    assert!(setup.contains("the job had left behind 2 processes: "), "{setup}");
    assert!(ran.took < Duration::from_secs(15), "{:?}", ran.took);
    for process in ["sleep 7741", "sleep 7742"] {
        assert!(!process_exists(process), "{process} is still there");
    }
}

/// Names the repository for the process below.
const REPOSITORY: &str = "KICI_EXEC_TEST_SPEC";

#[tokio::test]
async fn a_daemon_without_any_mark_dies_with_its_job_process() {
    let project = Project::with_steps(
        "step('one', async (ctx) => { await ctx.$`(setsid -f env -i /bin/sleep 7743 > /dev/null 2>&1)`; })",
    );
    let spec = serde_json::to_string(&project.spec()).unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "output::job_process", "--include-ignored", "--nocapture"])
        .env(REPOSITORY, spec)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("ended: success, stopped one: true"), "{said}");
    assert!(!process_exists("sleep 7743"));
}

#[tokio::test]
#[ignore = "a process of its own for the test above"]
async fn job_process() {
    let Ok(spec) = std::env::var(REPOSITORY) else { return };
    let prepared = kici_exec::prepare().await;
    let ran = crate::support::run_prepared(prepared, serde_json::from_str(&spec).unwrap()).await;
    let stopped = ran.log(-1).iter().any(|line| line.contains("left behind 1 process: "));
    println!("ended: {}, stopped one: {stopped}", crate::support::word_of(&ran.result));
}

#[tokio::test]
async fn what_javascript_prints_is_cut_too() {
    let project = Project::with_steps(
        "step('loud', async () => { for (let i = 0; i < 130000; i++) console.log('x'.repeat(99)); })",
    );
    let ran = project.run().await;
    assert_success(&ran);
    let log = ran.log(0);
    assert_eq!(log.last().unwrap(), "[TRUNCATED: log output exceeded 10485760 bytes]");
    assert_eq!(log.len(), 10_485_760 / 100 + 1);
}

#[tokio::test]
async fn a_small_log_cap_of_the_dispatch_is_respected() {
    let project = Project::with_steps("step('one', async (ctx) => { await ctx.$`seq 1 1000`; })");
    let mut spec = project.spec();
    spec.max_log_bytes = Some(100);
    let ran = run(spec).await;
    assert_success(&ran);
    assert_eq!(ran.log(0).last().unwrap(), "[TRUNCATED: log output exceeded 100 bytes]");
}
