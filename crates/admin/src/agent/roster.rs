//! `kici-admin agent list`: the agents of all orchestrators, what they do and when they were last heard of.

use std::process::ExitCode;

use anyhow::Result;
use kici_protocol::http::agents::AgentView;
use serde_json::json;

use crate::context::Context;
use crate::output::{Output, moment, or_dash};

pub(super) async fn list(context: &mut Context) -> Result<ExitCode> {
    let agents = context.client()?.agent_list().await?;
    let out = &mut context.out;
    if !out.json(&json!({"agents": agents}))? {
        print(out, agents)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn print(out: &mut Output, agents: Vec<AgentView>) -> Result<()> {
    if agents.is_empty() {
        return out.line("No agents found.");
    }
    let header = [
        "Agent",
        "State",
        "Version",
        "Labels",
        "Jobs",
        "Last Seen",
        "Clock",
        "Orchestrator",
        "Why away",
    ];
    let rows: Vec<[String; 9]> = agents.into_iter().map(row).collect();
    out.table(header, &rows)
}

fn row(agent: AgentView) -> [String; 9] {
    let starred = |label: &String| {
        let star = if agent.mandatory_labels.contains(label) { "*" } else { "" };
        format!("{label}{star}")
    };
    let labels: Vec<String> = agent.labels.iter().map(starred).collect();
    let jobs: Vec<String> =
        agent.jobs.iter().map(|job| format!("{} ({})", job.job_name, job.run_id)).collect();
    let listed = |all: Vec<String>| if all.is_empty() { "-".to_owned() } else { all.join(",") };
    [
        agent.agent_id.clone(),
        agent.state.as_str().to_owned(),
        or_dash(agent.version.clone()),
        listed(labels),
        listed(jobs),
        moment(agent.last_seen_at),
        or_dash(agent.clock_skew_ms.map(skew)),
        agent.orchestrator.to_string(),
        or_dash(agent.disconnect_reason.clone()),
    ]
}

/// `+1.5s`: ahead of the orchestrator; below a tenth of a second it is the way of the message.
fn skew(ms: i64) -> String {
    let (sign, size) = (if ms < 0 { '-' } else { '+' }, ms.unsigned_abs());
    if size < 100 {
        "ok".to_owned()
    } else {
        format!("{sign}{}.{}s", size / 1000, size % 1000 / 100)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_clock_that_differs_is_shown_in_seconds() {
        assert_eq!(
            [super::skew(40), super::skew(1540), super::skew(-61_200)],
            ["ok", "+1.5s", "-61.2s"]
        );
    }
}
