//! Logs are complete and in order.

use serde_json::{Value, json};

use crate::env::{Env, job};

#[tokio::test]
async fn sixty_thousand_lines_are_all_there_in_order() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    let lines: Vec<String> =
        (0..60_000).map(|number| format!("{number:06} {}", "x".repeat(72))).collect();
    for chunk in lines.chunks(50) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        agent.log(&job, &chunk).await;
    }
    agent.end(&job, "success", json!({})).await;
    let run = env.run_is("success").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, lines);
}

#[tokio::test]
async fn a_repeated_message_is_stored_once_and_late_lines_are_kept() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    let message =
        json!({"messageId": "the-same", "stepIndex": 0, "lines": ["one", "two\u{0}\ttab"]});
    for _ in 0..3 {
        agent.about("log.chunk", &job, message.clone()).await;
    }
    let run = env.run_is("running").await;
    let jobs = env.jobs(&run).await;
    kici_testkit::wait_until(crate::env::LIMIT, "lines that are in memory", async || {
        let lines = env.log(&run, &jobs[0], 0).await;
        if lines.len() == 2 { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await;
    agent.end(&job, "success", json!({})).await;
    agent.log(&job, &["late"]).await;
    kici_testkit::wait_until(crate::env::LIMIT, "the late line", async || {
        let lines: Vec<String> = env.log(&run, &jobs[0], 0).await;
        if lines == ["one", "two\u{0}\ttab", "late"] { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await;
}

#[tokio::test]
async fn outputs_and_errors_may_hold_anything() {
    let env = Env::start().await;
    let sha = env.commit_jobs(json!([job("a", json!({})), job("b", json!({"needs": ["a"]}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let odd: Value = json!({"s": {"nul": "a\u{0}b", "emoji": "🚀", "deep": [[[{"x": null}]]]}});
    let job = agent.take().await;
    agent.start(&job).await;
    agent.step(&job, "failed", json!({"error": {"message": "nul \u{0} inside"}})).await;
    agent.end(&job, "success", json!({"outputs": odd})).await;
    let b = agent.run("b", "failed", json!({"error": "\u{0}"})).await;
    assert_eq!(b.message["upstreamJobOutputs"]["a"], odd);
    env.run_is("failed").await;
}
