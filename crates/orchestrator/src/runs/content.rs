//! Workflows and selectors by their content, so that a thousand runs share one row.

use kici_model::labels::Selector;
use kici_model::lock::{LabelMatcher, RunsOnPick, StaticJob};
use kici_model::regex::RegexError;
use kici_store::definition::Content;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a job wants of an agent, as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SelectorBody {
    /// Labels that the agent must have.
    pub(crate) runs_on: Vec<LabelMatcher>,
    /// Labels that it must not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exclude: Vec<LabelMatcher>,
    /// Which of several.
    #[serde(default)]
    pub(crate) pick: RunsOnPick,
    /// The only agent that may take the job, whatever its labels: a child of a host fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    /// The name of that agent's host, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
}

impl SelectorBody {
    /// The selector of a job.
    pub(crate) fn of(job: &StaticJob) -> SelectorBody {
        SelectorBody {
            runs_on: job.runs_on.clone().unwrap_or_default(),
            exclude: job.exclude_labels.clone().unwrap_or_default(),
            pick: job.runs_on_pick.unwrap_or_default(),
            ..SelectorBody::default()
        }
    }

    /// The selector of a job that one agent has to run.
    pub(crate) fn pinned(agent: &str, host: &str) -> SelectorBody {
        SelectorBody {
            agent: Some(agent.to_owned()),
            host: Some(host.to_owned()),
            ..SelectorBody::default()
        }
    }

    /// Ready to be asked about agents.
    pub(crate) fn compile(&self) -> Result<Selector, RegexError> {
        Selector::new(&self.runs_on, &self.exclude)
    }

    /// Its row.
    pub(crate) fn content(&self) -> Content {
        content(serde_json::to_string(self).expect("matchers are plain data"))
    }
}

/// The row of a text: its id is the first half of its hash.
pub(crate) fn content(body: String) -> Content {
    let hash = Sha256::digest(body.as_bytes());
    let half: [u8; 16] = hash[..16].try_into().expect("SHA-256 has 32 bytes");
    Content { id: uuid::Builder::from_custom_bytes(half).into_uuid(), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_labels_are_the_same_selector() {
        let body =
            SelectorBody { runs_on: vec![LabelMatcher::exact("linux")], ..SelectorBody::default() };
        assert_eq!(body.content(), body.clone().content());
        assert_ne!(body.content().id, SelectorBody::default().content().id);
        let read: SelectorBody = serde_json::from_str(&body.content().body).unwrap();
        assert_eq!(read, body);
    }
}
