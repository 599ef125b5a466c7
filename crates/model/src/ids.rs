//! Identifiers as types, so that a job's id cannot be passed for a run's.
//!
//! New ids are UUID version 7: they sort by time of creation, which keeps indexes dense.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a new, time-ordered id.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

uuid_id!(
    /// A run: one workflow for one event.
    RunId
);
uuid_id!(
    /// A job of a run.
    JobId
);
uuid_id!(
    /// One numbered try of a job.
    AttemptId
);
uuid_id!(
    /// An agent's right to a job, until a time.
    LeaseId
);
uuid_id!(
    /// One webhook as received.
    DeliveryId
);
uuid_id!(
    /// An organisation.
    OrgId
);
uuid_id!(
    /// A source that delivers events (a repository, a folder of repositories, a webhook).
    SourceId
);
uuid_id!(
    /// Something that waits for people.
    HoldId
);
uuid_id!(
    /// A bearer token of a person, a program or an agent.
    TokenId
);

/// An agent's id: chosen by its operator, unique among the agents of an orchestrator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentId(pub String);

impl AgentId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for AgentId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&str> for AgentId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_travel_as_plain_text() {
        let run = RunId::generate();
        assert_eq!(run.to_string().parse::<RunId>().unwrap(), run);
        assert_eq!(serde_json::to_string(&run).unwrap(), format!("\"{run}\""));
        assert_eq!(serde_json::to_string(&AgentId::from("box-1")).unwrap(), "\"box-1\"");
        assert!("not-an-id".parse::<JobId>().is_err());
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<RunId> = (0..100).map(|_| RunId::generate()).collect();
        assert!(ids.is_sorted());
    }
}
