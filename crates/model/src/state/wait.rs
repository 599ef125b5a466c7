//! Why a job or run has not gone on: data first, sentences by `Display`. Why it ended is in [`super::reason`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::JobState;
use crate::labels::Gap;

/// Why a job or run has not gone on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum WaitReason {
    /// Its upstreams have not all ended.
    Needs {
        /// The names of the first few.
        upstreams: Vec<String>,
        /// Where each of them stands, if that is known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        states: Vec<JobState>,
        /// How many there are beyond those.
        #[serde(default, skip_serializing_if = "is_zero")]
        more: usize,
    },
    /// No connected agent may take it.
    NoMatchingAgent {
        /// The labels that it asks for.
        labels: Vec<String>,
        /// The labels that it excludes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        exclude: Vec<String>,
        /// How many agents are connected.
        #[serde(default)]
        connected: usize,
        /// The one that lacks least, if any is connected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        closest: Option<Closest>,
        /// Agents that are away and would match, the first few.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        away: Vec<Absent>,
    },
    /// Matching agents are busy.
    AgentsBusy {
        /// How many match.
        matching: usize,
        /// How many jobs they have.
        #[serde(default)]
        jobs: usize,
        /// How many of them take no more jobs.
        #[serde(default, skip_serializing_if = "is_zero")]
        draining: usize,
        /// How many repositories wait for these agents; they take turns.
        #[serde(default)]
        repositories: usize,
    },
    /// Matching agents take no more jobs.
    AgentsDraining {
        /// The first few.
        agents: Vec<String>,
        /// How many there are beyond those.
        #[serde(default, skip_serializing_if = "is_zero")]
        more: usize,
    },
    /// A matching agent has a place: it is about to be offered the job.
    AgentFree {
        /// The agent.
        agent: String,
    },
    /// The agent that it is pinned to is away.
    PinnedAgentAway {
        /// The agent.
        agent: String,
        /// The name of its host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// When it was last heard of; none for one that is not known any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_seen: Option<String>,
    },
    /// An agent has been given it and has not said that it runs.
    Offered {
        /// The agent.
        agent: String,
    },
    /// An agent did not take it; others are asked first, or the same again after a pause.
    NotTaken {
        /// The agent.
        agent: String,
        /// Why.
        message: String,
        /// When it is offered again.
        until: String,
    },
    /// Its concurrency group is full.
    ConcurrencyLimit {
        /// The group.
        group: String,
        /// How many may be active.
        max: u32,
        /// The run that has the place, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        behind: Option<String>,
    },
    /// Waits for an approval.
    Approval {
        /// Who may give it.
        approvers: Vec<String>,
    },
    /// A timer of an environment.
    WaitTimer {
        /// The environment.
        environment: String,
    },
    /// Earlier children of its fan-out are still running.
    Wave {
        /// How many run at once.
        max_parallel: u32,
    },
    /// Its agent is away and may come back.
    AgentAway {
        /// The agent.
        agent: String,
    },
}

/// An agent that may not take a job, and all that keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closest {
    /// Its id.
    pub agent: String,
    /// What keeps it.
    #[serde(flatten)]
    pub gap: Gap,
}

/// An agent that is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Absent {
    /// Its id.
    pub agent: String,
    /// When it was last heard of.
    pub last_seen: String,
}

/// Upstreams that a reason names; of a fan-in over thousands nobody reads more.
const NAMED: usize = 8;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl WaitReason {
    /// Waits for these upstreams.
    pub fn needs<'a>(upstreams: impl IntoIterator<Item = &'a str>) -> Self {
        let mut upstreams = upstreams.into_iter();
        let named = upstreams.by_ref().take(NAMED).map(str::to_owned).collect();
        Self::Needs { upstreams: named, states: Vec::new(), more: upstreams.count() }
    }

    /// Waits for these upstreams, which stand there.
    pub fn open_needs<'a>(upstreams: impl IntoIterator<Item = (&'a str, JobState)>) -> Self {
        let mut rest = upstreams.into_iter();
        let named = rest.by_ref().take(NAMED).map(|(name, state)| (name.to_owned(), state));
        let (upstreams, states) = named.unzip();
        Self::Needs { upstreams, states, more: rest.count() }
    }

    /// The sentence, with moments told by `when`: for people, who rather read how long ago something was.
    pub fn told<'a>(&'a self, when: &'a dyn Fn(&str) -> String) -> impl fmt::Display + 'a {
        Told { reason: self, when }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told(&|at| at.to_owned()).fmt(f)
    }
}

struct Told<'a> {
    reason: &'a WaitReason,
    when: &'a dyn Fn(&str) -> String,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use WaitReason as R;
        let seen =
            |f: &mut fmt::Formatter<'_>, at: &str| write!(f, "last seen {}", (self.when)(at));
        match self.reason {
            R::Needs { upstreams, states, more } => {
                f.write_str("waiting for ")?;
                for (at, name) in upstreams.iter().enumerate() {
                    write!(f, "{}{name}", if at > 0 { ", " } else { "" })?;
                    states.get(at).iter().try_for_each(|state| write!(f, " ({state})"))?;
                }
                if *more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            R::NoMatchingAgent { labels, exclude, connected, closest, away } => {
                let but = match exclude.is_empty() {
                    true => String::new(),
                    false => format!(" without [{}]", exclude.join(", ")),
                };
                match connected {
                    0 if closest.is_none() => f.write_str("no agent is connected; asks for")?,
                    _ => f.write_str("no connected agent matches")?,
                }
                write!(f, " [{}]{but}", labels.join(", "))?;
                if let Some(Closest { agent, gap }) = closest {
                    write!(f, "; closest: agent {agent} {gap}")?;
                }
                for Absent { agent, last_seen } in away {
                    write!(f, "; agent {agent} matches, ")?;
                    seen(f, last_seen)?;
                }
                Ok(())
            }
            R::AgentsBusy { matching, jobs, draining, repositories } => {
                match matching {
                    1 => f.write_str("1 agent matches, it is busy")?,
                    _ => write!(f, "{matching} agents match, all busy")?,
                }
                if jobs > matching {
                    write!(f, " with {jobs} jobs")?;
                }
                if *draining > 0 {
                    write!(f, ", {draining} of them take no more jobs")?;
                }
                if *repositories > 1 {
                    write!(f, "; {repositories} repositories wait for them in turn")?;
                }
                Ok(())
            }
            R::AgentsDraining { agents, more } => {
                write!(f, "matching agents take no more jobs (draining): {}", agents.join(", "))?;
                if *more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            R::AgentFree { agent } => write!(f, "agent {agent} matches and is offered it next"),
            R::PinnedAgentAway { agent, host, last_seen } => {
                match host.as_ref().filter(|host| *host != agent) {
                    Some(host) => write!(f, "waiting for host {host} (agent {agent}), which is ")?,
                    None => write!(f, "waiting for agent {agent}, which is ")?,
                }
                match last_seen {
                    Some(at) => f.write_str("not connected, ").and_then(|()| seen(f, at)),
                    None => f.write_str("not known"),
                }
            }
            R::Offered { agent } => {
                write!(f, "given to agent {agent}, which has not said that it runs")
            }
            R::NotTaken { agent, message, until } => {
                write!(f, "agent {agent} did not take it ({message}); offered again ")?;
                f.write_str(&(self.when)(until))
            }
            R::ConcurrencyLimit { group, behind, .. } => {
                write!(f, "Queued in concurrency group '{group}'")?;
                behind.iter().try_for_each(|run| write!(f, " behind run {run}"))
            }
            R::Approval { approvers } if approvers.is_empty() => {
                f.write_str("waiting for an approval")
            }
            R::Approval { approvers } => {
                write!(f, "waiting for an approval by {}", approvers.join(", "))
            }
            R::WaitTimer { environment } => {
                write!(f, "waiting for the timer of environment '{environment}'")
            }
            R::Wave { max_parallel } => {
                write!(f, "waiting for its turn, {max_parallel} of the fan-out run at once")
            }
            R::AgentAway { agent } => write!(f, "agent {agent} is away, it may come back"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn needs_are_named_with_their_states_up_to_a_few() {
        let names: Vec<String> = (0..10).map(|i| format!("j{i}")).collect();
        let wait = WaitReason::needs(names.iter().map(String::as_str));
        assert_eq!(wait.to_string(), "waiting for j0, j1, j2, j3, j4, j5, j6, j7 and 2 more");
        let open = [("build", JobState::Running), ("lint", JobState::Queued)];
        let wait = WaitReason::open_needs(open);
        assert_eq!(wait.to_string(), "waiting for build (running), lint (queued)");
    }

    #[test]
    fn reasons_of_earlier_versions_are_read() {
        for (text, shown) in [
            (
                r#"{"kind":"no_matching_agent","labels":["gpu"]}"#,
                "no agent is connected; asks for [gpu]",
            ),
            (r#"{"kind":"agents_busy","matching":1}"#, "1 agent matches, it is busy"),
            (
                r#"{"kind":"pinned_agent_away","agent":"a"}"#,
                "waiting for agent a, which is not known",
            ),
            (r#"{"kind":"needs","upstreams":["a"]}"#, "waiting for a"),
        ] {
            assert_eq!(serde_json::from_str::<WaitReason>(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn every_reason_is_a_sentence() {
        let at = || "2026-01-01T00:00:00.000Z".to_owned();
        let gap = Gap { lacks: texts(&["gpu"]), ..Gap::default() };
        let closest = Some(Closest { agent: "b".into(), gap });
        let none = |exclude: &[&str], closest, away| WaitReason::NoMatchingAgent {
            labels: texts(&["linux", "gpu"]),
            exclude: texts(exclude),
            connected: 2,
            closest,
            away,
        };
        let away = vec![Absent { agent: "build-3".into(), last_seen: at() }];
        let reasons = [
            none(&[], closest.clone(), Vec::new()),
            none(&["spot"], closest, away),
            WaitReason::AgentsBusy { matching: 3, jobs: 3, draining: 0, repositories: 1 },
            WaitReason::AgentsBusy { matching: 2, jobs: 5, draining: 1, repositories: 4 },
            WaitReason::AgentsDraining { agents: texts(&["a", "b"]), more: 3 },
            WaitReason::AgentFree { agent: "a".into() },
            WaitReason::PinnedAgentAway {
                agent: "a".into(),
                host: Some("web-1".into()),
                last_seen: Some(at()),
            },
            WaitReason::Offered { agent: "a".into() },
            WaitReason::NotTaken { agent: "a".into(), message: "busy".into(), until: at() },
        ];
        let shown: Vec<String> =
            reasons.iter().map(|reason| reason.told(&|_| "THEN".to_owned()).to_string()).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        no connected agent matches [linux, gpu]; closest: agent b lacks gpu
        no connected agent matches [linux, gpu] without [spot]; closest: agent b lacks gpu; agent build-3 matches, last seen THEN
        3 agents match, all busy
        2 agents match, all busy with 5 jobs, 1 of them take no more jobs; 4 repositories wait for them in turn
        matching agents take no more jobs (draining): a, b and 3 more
        agent a matches and is offered it next
        waiting for host web-1 (agent a), which is not connected, last seen THEN
        given to agent a, which has not said that it runs
        agent a did not take it (busy); offered again THEN
        ");
        for reason in reasons {
            let text = serde_json::to_string(&reason).unwrap();
            assert_eq!(serde_json::from_str::<WaitReason>(&text).unwrap(), reason);
        }
    }
}
