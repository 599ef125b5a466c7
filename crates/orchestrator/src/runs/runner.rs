//! Which agents evaluate for a workflow: those with the role, on the platform of its first job's agents.

use kici_model::labels::{AgentLabels, Selector};
use kici_model::lock::{JobEntry, LabelMatcher, Workflow};
use kici_store::definition::Content;
use kici_store::roster::{RosterRow, roster_list};
use kici_store::{PgConnection, StoreError};

use super::content::SelectorBody;

/// Agents that are looked at for the platform of those that evaluate.
const ROSTER: i64 = 1000;

/// Selector of jobs that evaluate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Runner(SelectorBody);

impl Default for Runner {
    fn default() -> Runner {
        Runner::on("linux", "x64")
    }
}

impl Runner {
    /// Those on a platform, in the words of labels.
    fn on(os: &str, arch: &str) -> Runner {
        let labels = [
            "kici:role:init-runner".to_owned(),
            format!("kici:os:{os}"),
            format!("kici:arch:{arch}"),
        ];
        Runner(SelectorBody {
            runs_on: labels.into_iter().map(LabelMatcher::exact).collect(),
            ..SelectorBody::default()
        })
    }

    /// The same, with the agents that are connected now.
    pub(crate) async fn among(
        conn: &mut PgConnection,
        first_job: &[LabelMatcher],
    ) -> Result<Runner, StoreError> {
        let roster = roster_list(conn, "", ROSTER).await?;
        let connected = roster.iter().filter(|agent| agent.disconnected_at.is_none());
        Ok(Runner::of(first_job, connected))
    }

    /// Those on the platform of the first connected agent that has the labels of the workflow's first job.
    pub(crate) fn of<'a>(
        first_job: &[LabelMatcher],
        connected: impl IntoIterator<Item = &'a RosterRow>,
    ) -> Runner {
        let exact: Vec<LabelMatcher> =
            first_job.iter().filter(|m| matches!(m, LabelMatcher::Exact { .. })).cloned().collect();
        let Ok(selector) = Selector::new(&exact, &[]) else { return Runner::default() };
        let fits = |agent: &&RosterRow| {
            selector.matches(&AgentLabels {
                labels: agent.labels.iter().cloned().collect(),
                mandatory: agent.mandatory_labels.iter().cloned().collect(),
            })
        };
        let Some(agent) = connected.into_iter().find(fits) else { return Runner::default() };
        let os = match agent.platform.as_str() {
            "darwin" => "macos",
            "win32" => "windows",
            other => other,
        };
        Runner::on(os, &agent.arch)
    }

    /// Its row.
    pub(super) fn content(&self) -> Content {
        self.0.content()
    }
}

/// What the first job of a workflow wants of its agent.
pub(super) fn first_labels(workflow: &Workflow) -> Vec<LabelMatcher> {
    let first = workflow.jobs.iter().find_map(|entry| match entry {
        JobEntry::Static(job) => job.runs_on.clone(),
        _ => None,
    });
    first.unwrap_or_default()
}
