//! Logs are complete and in order.

use kici_testkit::wait_until;
use serde_json::{Value, json};

use crate::agent::FakeAgent;
use crate::env::{Env, LIMIT, job};

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

#[tokio::test]
async fn attempts_follow_each_other_also_when_a_lost_agent_goes_on() {
    let retry = [("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "500"), ("KICI_AGENT_LOST_RETRIES", "1")];
    let env = Env::start_with(&retry).await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = FakeAgent::keeper(env.port(), "a", &[]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.step(&job, "running", json!({})).await;
    for seq in 1..=3 {
        agent.log_numbered(&job, seq, &format!("line {seq}")).await;
    }
    agent.told(&[&format!("{} 3", job.job)]).await;
    agent.vanish();
    env.jobs_are(&["a queued"]).await;
    let run = env.run_is("running").await;
    let jobs = env.jobs(&run).await;
    assert_eq!(env.log(&run, &jobs[0], 0).await, ["line 1", "line 2", "line 3"]);

    // The agent has been alive all the time: it goes on with the same numbers, as another attempt.
    let mut agent = FakeAgent::keeper(env.port(), "a", &[&job]).await;
    env.jobs_are(&["a running"]).await;
    agent.log_numbered(&job, 3, "line 3").await;
    agent.log_numbered(&job, 4, "line 4").await;
    agent.end(&job, "success", json!({})).await;
    env.run_is("success").await;
    let all = [
        "line 1",
        "line 2",
        "line 3",
        "--- attempt 2 (attempt 1 ended: agent a was lost) ---",
        "line 4",
    ];
    assert_eq!(env.log(&run, &jobs[0], 0).await, all);

    let path = format!("/api/v1/admin/runs/{}/jobs/{}/steps/0/logs", job.run, job.job);
    let page = async |query: &str| {
        let page = env.admin_get(&format!("{path}?{query}")).await;
        let lines = page["lines"].as_array().unwrap().iter();
        let lines: Vec<Value> =
            lines.map(|l| serde_json::from_str(l["value"].as_str().unwrap()).unwrap()).collect();
        (lines, page["nextCursor"].clone(), page["totalLines"].clone())
    };
    let texts = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["msg"].as_str().unwrap().to_owned()).collect()
    };
    for size in 1..=4 {
        let (mut found, mut cursor) = (Vec::new(), json!(0));
        while !cursor.is_null() {
            let (lines, next, total) = page(&format!("limit={size}&cursor={cursor}")).await;
            assert_eq!(total, 5);
            found.extend(texts(&lines));
            cursor = next;
        }
        assert_eq!(found, all, "in pages of {size}");
    }
    let (lines, ..) = page("cursor=3&limit=1").await;
    assert_eq!(lines[0]["meta"], json!({"attempt": 2}));
    let (lines, ..) = page("attempt=1").await;
    assert_eq!(texts(&lines), all[..3]);
    let (lines, ..) = page("attempt=2").await;
    assert_eq!(texts(&lines), all[4..]);
    let url = env.url(&format!("{path}?attempt=3"));
    let answer = env.client.get(url).bearer_auth(crate::env::ADMIN).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let attempts = &env.jobs(&run).await[0]["attempts"];
    assert_eq!(attempts[0]["steps"][0]["stepName"], "s", "{attempts}");
}

#[tokio::test]
async fn a_follower_sees_the_lines_of_all_attempts_once() {
    let retry = [("KICI_AGENT_MAX_RECONNECT_DELAY_MS", "500"), ("KICI_AGENT_LOST_RETRIES", "1")];
    let env = Env::start_with(&retry).await;
    let sha = env.commit_jobs(json!([job("a", json!({}))]));
    let mut agent = env.agent("a", &["linux"]).await;
    env.push("d1", &sha).await;
    let job = agent.take().await;
    agent.start(&job).await;
    agent.step(&job, "running", json!({})).await;
    agent.log(&job, &["first 1", "first 2"]).await;
    let run = env.run_is("running").await;
    let url = env.url(&format!("/api/v1/admin/runs/{}/follow", job.run));
    let mut stream = env.client.get(url).bearer_auth(crate::env::ADMIN).send().await.unwrap();
    let jobs = env.jobs(&run).await;
    wait_until(LIMIT, "the first lines", async || {
        let lines = env.log(&run, &jobs[0], 0).await;
        if lines.len() == 2 { Ok(()) } else { Err(format!("{lines:?}")) }
    })
    .await;
    agent.vanish();
    let mut second = env.agent("b", &["linux"]).await;
    let again = second.take().await;
    second.start(&again).await;
    second.log(&again, &["second 1"]).await;
    second.end(&again, "success", json!({})).await;

    let mut text = String::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let events: Vec<Value> = events.map(|e| serde_json::from_str(e.trim()).unwrap()).collect();
    assert_eq!(events.last().unwrap()["type"], "ended", "{text}");
    let mut lines = Vec::new();
    for event in events.iter().filter(|event| event["type"] == "log") {
        assert_eq!(event["firstLine"], lines.len(), "{event}");
        let new = event["lines"].as_array().unwrap().iter();
        lines.extend(new.map(|line| line["msg"].as_str().unwrap().to_owned()));
    }
    let heading = "--- attempt 2 (attempt 1 ended: agent a was lost) ---";
    assert_eq!(lines, ["first 1", "first 2", heading, "second 1"]);
}
