//! The real program, killed.

use std::process::Command;
use std::time::Duration;

use kici_testkit::{Process, wait_until};
use reqwest::StatusCode;
use serde_json::json;

use crate::env::{Env, LIMIT, job};

/// Starts the program and points the environment at it.
pub(crate) fn start(env: &mut Env) -> Process {
    let (process, port) = spawn(env);
    env.use_port(port);
    process
}

/// Starts the program; gives it with its port.
pub(crate) fn spawn(env: &Env) -> (Process, u16) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kici-orchestrator"));
    command.env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
    command.envs(env.variables());
    let mut process = Process::spawn(command);
    let line = process.wait_for_line("is listening on port", Duration::from_secs(60));
    let port = line.split("listening on port ").nth(1).unwrap();
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    (process, digits.parse().unwrap())
}

#[tokio::test]
async fn what_was_accepted_before_a_kill_runs_once_after_it() {
    let mut env = Env::start().await;
    env.stop().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    for round in 0..4 {
        let mut process = start(&mut env);
        let delivery = format!("d{round}");
        assert_eq!(env.push(&delivery, &sha).await.status(), StatusCode::ACCEPTED);
        process.kill();

        let mut process = start(&mut env);
        wait_until(LIMIT, "the run", async || match env.runs().await.len() {
            runs if runs == round + 1 => Ok(()),
            other => Err(other),
        })
        .await;
        let again = env.push(&delivery, &sha).await;
        assert_eq!(again.status(), StatusCode::OK, "the same delivery is a duplicate");
        process.kill();
    }
    let _process = start(&mut env);
    assert_eq!(env.runs().await.len(), 4);
}

#[tokio::test]
async fn it_stops_in_good_order_when_asked_to() {
    let mut env = Env::start().await;
    env.stop().await;
    let mut process = start(&mut env);
    let mut agent = env.agent("a", &["linux"]).await;
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(agent.closed().await, (1001, "Server shutting down".into()));
    assert!(process.wait(Duration::from_secs(6)).success(), "{}", process.printed());
}

#[tokio::test]
async fn bad_configuration_ends_the_start_with_all_problems() {
    let output = Command::new(env!("CARGO_BIN_EXE_kici-orchestrator"))
        .env_clear()
        .env("KICI_QUEUE_MAX_DEPHT", "5")
        .env("KICI_MODE", "platform")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    for words in [
        "did you mean KICI_QUEUE_MAX_DEPTH?",
        "databaseUrl",
        "platformUrl",
        "platformToken",
        "secrets.key",
    ] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
}
