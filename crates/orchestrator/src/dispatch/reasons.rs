//! Why the jobs of a selector wait for an agent: which agents there are, over all orchestrators, and what keeps each of
//! them from taking the jobs. Pure; [`crate::reconcile`] asks and writes it down.

use kici_model::labels::AgentLabels;
use kici_model::state::{Absent, Closest, WaitReason};

use super::fit::Known;

/// An agent as far as waiting jobs care.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) id: String,
    /// The name of its host.
    pub(crate) host: String,
    pub(crate) labels: AgentLabels,
    pub(crate) presence: Presence,
}

/// Whether it could take a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Connected, with a place left.
    Free,
    /// Connected, with as many jobs as it takes.
    Busy { jobs: usize },
    /// Connected; takes no more jobs.
    Draining { jobs: usize },
    /// Not connected; last heard of at that time.
    Away { last_seen: String },
}

/// Agents that a reason names.
const NAMED: usize = 3;

impl Candidate {
    fn is_connected(&self) -> bool {
        !matches!(self.presence, Presence::Away { .. })
    }

    fn is_draining(&self) -> bool {
        matches!(self.presence, Presence::Draining { .. })
    }

    fn jobs(&self) -> usize {
        match self.presence {
            Presence::Busy { jobs } | Presence::Draining { jobs } => jobs,
            Presence::Free | Presence::Away { .. } => 0,
        }
    }

    fn absent(&self) -> Option<Absent> {
        match &self.presence {
            Presence::Away { last_seen } => {
                Some(Absent { agent: self.id.clone(), last_seen: last_seen.clone() })
            }
            _ => None,
        }
    }
}

/// Why a job with this selector waits, with these agents (by id) and so many repositories whose jobs want the same.
pub(crate) fn reason(known: &Known, agents: &[Candidate], repositories: usize) -> WaitReason {
    if let Some(pin) = known.pin() {
        let meant = agents.iter().find(|agent| agent.id == pin.agent);
        if meant.is_none_or(|agent| !agent.is_connected()) {
            return WaitReason::PinnedAgentAway {
                agent: pin.agent.clone(),
                host: Some(pin.host.clone()),
                last_seen: meant.and_then(Candidate::absent).map(|absent| absent.last_seen),
            };
        }
    }
    let matching: Vec<&Candidate> =
        agents.iter().filter(|agent| known.fits(&agent.id, &agent.labels)).collect();
    let there: Vec<&Candidate> =
        matching.iter().copied().filter(|agent| agent.is_connected()).collect();
    if there.is_empty() {
        return nobody(known, agents, &matching);
    }
    if let Some(free) = there.iter().find(|agent| agent.presence == Presence::Free) {
        return WaitReason::AgentFree { agent: free.id.clone() };
    }
    let draining = there.iter().filter(|agent| agent.is_draining()).count();
    if draining == there.len() {
        return WaitReason::AgentsDraining {
            agents: there.iter().take(NAMED).map(|agent| agent.id.clone()).collect(),
            more: there.len().saturating_sub(NAMED),
        };
    }
    WaitReason::AgentsBusy {
        matching: there.len(),
        jobs: there.iter().map(|agent| agent.jobs()).sum(),
        draining,
        repositories,
    }
}

/// No agent that is connected may take it.
fn nobody(known: &Known, agents: &[Candidate], matching: &[&Candidate]) -> WaitReason {
    let mut away: Vec<Absent> = matching.iter().filter_map(|agent| agent.absent()).collect();
    away.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.agent.cmp(&b.agent)));
    away.truncate(NAMED);
    let connected = || agents.iter().filter(|agent| agent.is_connected());
    let closest = connected()
        .filter_map(|agent| Some((known.distance(&agent.id, &agent.labels)?, agent)))
        .min_by_key(|(distance, agent)| (*distance, agent.is_draining(), agent.id.as_str()))
        .and_then(|(_, agent)| {
            let gap = known.gap(&agent.id, &agent.labels)?;
            Some(Closest { agent: agent.id.clone(), gap })
        });
    WaitReason::NoMatchingAgent {
        labels: known.shown(),
        exclude: known.shown_excluded(),
        connected: connected().count(),
        closest,
        away,
    }
}

#[cfg(test)]
mod tests {
    use kici_model::lock::LabelMatcher;
    use proptest::prelude::*;

    use super::*;
    use crate::runs::SelectorBody;

    const THEN: &str = "2026-01-01T00:00:00.000Z";

    fn agent(id: &str, labels: &[&str], taints: &[&str], presence: Presence) -> Candidate {
        let set = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let labels = AgentLabels { labels: set(labels), mandatory: set(taints) };
        Candidate { id: id.into(), host: format!("{id}-host"), labels, presence }
    }

    fn away() -> Presence {
        Presence::Away { last_seen: THEN.into() }
    }

    fn busy() -> Presence {
        Presence::Busy { jobs: 1 }
    }

    fn draining() -> Presence {
        Presence::Draining { jobs: 0 }
    }

    fn selector(runs_on: Vec<LabelMatcher>, exclude: Vec<LabelMatcher>) -> Known {
        Known::new(SelectorBody { runs_on, exclude, ..SelectorBody::default() }).unwrap()
    }

    fn wants(labels: &[&str], exclude: &[&str]) -> Known {
        let exact = |list: &[&str]| list.iter().map(|label| LabelMatcher::exact(*label)).collect();
        selector(exact(labels), exact(exclude))
    }

    fn said(known: &Known, agents: &[Candidate]) -> String {
        reason(known, agents, 1).to_string()
    }

    #[test]
    fn the_closest_agent_is_named_with_all_that_keeps_it() {
        let gpu = wants(&["linux", "gpu"], &["spot"]);
        let mac = agent("a", &["mac"], &[], Presence::Free);
        let linux = agent("b", &["linux"], &[], busy());
        let spot = agent("c", &["linux", "gpu", "spot"], &[], Presence::Free);
        let tainted = agent("d", &["linux", "gpu", "big"], &["big"], Presence::Free);
        let asks = "no connected agent matches [linux, gpu] without [spot]; closest: agent";
        for (agents, closest) in [
            (vec![mac.clone()], "a lacks linux, gpu"),
            (vec![mac.clone(), linux.clone()], "b lacks gpu"),
            (vec![mac.clone(), spot.clone()], "c has the excluded label spot"),
            (vec![mac.clone(), tainted.clone()], "d only takes jobs that ask for big"),
            (vec![tainted, spot, linux.clone()], "b lacks gpu"),
        ] {
            assert_eq!(said(&gpu, &agents), format!("{asks} {closest}"));
        }
        let zone = LabelMatcher::Regex { source: "^zone-".into(), flags: String::new() };
        assert_eq!(
            said(&selector(vec![LabelMatcher::exact("linux"), zone], vec![]), &[linux, mac]),
            "no connected agent matches [linux, /^zone-/]; closest: agent b has no label that matches /^zone-/"
        );
    }

    #[test]
    fn agents_that_are_away_and_would_match_are_named() {
        let gpu = wants(&["gpu"], &[]);
        let gone = agent("build-3", &["gpu"], &[], away());
        assert_eq!(
            said(&gpu, std::slice::from_ref(&gone)),
            format!(
                "no agent is connected; asks for [gpu]; agent build-3 matches, last seen {THEN}"
            )
        );
        let other = agent("a", &["linux"], &[], Presence::Free);
        assert_eq!(
            said(&gpu, &[other, gone]),
            format!(
                "no connected agent matches [gpu]; closest: agent a lacks gpu; agent build-3 matches, last seen {THEN}"
            )
        );
        assert_eq!(said(&gpu, &[]), "no agent is connected; asks for [gpu]");
    }

    #[test]
    fn busy_draining_and_free_agents_are_told_apart() {
        let linux = wants(&["linux"], &[]);
        let of = |id: &str, presence| agent(id, &["linux"], &[], presence);
        for (agents, text) in [
            (vec![of("a", busy())], "1 agent matches, it is busy"),
            (vec![of("a", busy()), of("b", busy())], "2 agents match, all busy"),
            (
                vec![of("a", busy()), of("b", draining()), of("c", away())],
                "2 agents match, all busy, 1 of them take no more jobs",
            ),
            (vec![of("b", draining())], "matching agents take no more jobs (draining): b"),
            (
                vec![of("a", busy()), of("b", Presence::Free)],
                "agent b matches and is offered it next",
            ),
        ] {
            assert_eq!(said(&linux, &agents), text);
        }
        let shared = reason(&linux, &[of("a", Presence::Busy { jobs: 4 })], 3);
        assert_eq!(
            shared.to_string(),
            "1 agent matches, it is busy with 4 jobs; 3 repositories wait for them in turn"
        );
    }

    #[test]
    fn a_pinned_job_waits_for_its_agent_only() {
        let pinned = Known::new(SelectorBody::pinned("a", "web-1")).unwrap();
        let other = agent("b", &["linux"], &[], Presence::Free);
        let of = |presence| agent("a", &[], &[], presence);
        let host = "waiting for host web-1 (agent a), which is not";
        assert_eq!(said(&pinned, std::slice::from_ref(&other)), format!("{host} known"));
        assert_eq!(
            said(&pinned, &[of(away()), other.clone()]),
            format!("{host} connected, last seen {THEN}")
        );
        assert_eq!(said(&pinned, &[of(busy()), other.clone()]), "1 agent matches, it is busy");
        let mut named = wants(&["a"], &[]);
        named.names(Some("web-1"));
        let tainted = agent("a", &["gpu"], &["gpu"], Presence::Free);
        assert_eq!(
            said(&named, &[tainted, other]),
            "no connected agent matches [a]; closest: agent a only takes jobs that ask for gpu"
        );
    }

    fn any_presence() -> impl Strategy<Value = Presence> {
        prop_oneof![
            Just(Presence::Free),
            (1..4usize).prop_map(|jobs| Presence::Busy { jobs }),
            (0..2usize).prop_map(|jobs| Presence::Draining { jobs }),
            Just(away()),
        ]
    }

    fn any_labels() -> impl Strategy<Value = Vec<&'static str>> {
        prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4)
    }

    fn any_agents() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (any_labels(), prop::option::of(Just("d")), any_presence());
        prop::collection::vec(one, 0..6).prop_map(|list| {
            list.into_iter()
                .enumerate()
                .map(|(at, (labels, taint, presence))| {
                    let taints: Vec<&str> =
                        taint.into_iter().filter(|taint| labels.contains(taint)).collect();
                    agent(&format!("agent-{at}"), &labels, &taints, presence)
                })
                .collect()
        })
    }

    fn any_selector() -> impl Strategy<Value = Known> {
        let matcher = prop_oneof![
            4 => prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(LabelMatcher::exact),
            1 => Just(LabelMatcher::Regex { source: "^[ab]$".into(), flags: String::new() }),
            1 => Just(LabelMatcher::exact("agent-1")),
        ];
        let list = |most| prop::collection::vec(matcher.clone(), 0..most);
        (list(4), list(2), prop::option::weighted(0.3, Just("agent-1"))).prop_map(
            |(wanted, excluded, host)| {
                let mut known = selector(wanted, excluded);
                known.names(host);
                known
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_said_is_true(known in any_selector(), agents in any_agents()) {
            let fits = |agent: &&Candidate| known.fits(&agent.id, &agent.labels);
            let there: Vec<&Candidate> =
                agents.iter().filter(|agent| agent.is_connected()).collect();
            let matching: Vec<&Candidate> = there.iter().copied().filter(fits).collect();
            let find = |id: &str| agents.iter().find(|agent| agent.id == id);
            match reason(&known, &agents, 1) {
                WaitReason::NoMatchingAgent { closest, away, connected, .. } => {
                    prop_assert!(matching.is_empty());
                    prop_assert_eq!(connected, there.len());
                    prop_assert!(known.pin().is_some() || closest.is_some() != there.is_empty());
                    if let Some(closest) = closest {
                        let agent = find(&closest.agent).unwrap();
                        prop_assert!(agent.is_connected());
                        let gap = known.gap(&agent.id, &agent.labels).unwrap();
                        prop_assert!(!gap.is_empty() && gap == closest.gap);
                        let least = there.iter().filter_map(|a| known.distance(&a.id, &a.labels)).min();
                        prop_assert_eq!(Some(gap.size()), least);
                    }
                    for absent in away {
                        let agent = find(&absent.agent).unwrap();
                        prop_assert!(fits(&agent) && !agent.is_connected());
                    }
                }
                WaitReason::AgentFree { agent } => {
                    let agent = find(&agent).unwrap();
                    prop_assert!(fits(&agent) && agent.presence == Presence::Free);
                }
                WaitReason::AgentsBusy { matching: said, draining, .. } => {
                    prop_assert_eq!(said, matching.len());
                    prop_assert!(draining < said);
                    prop_assert!(matching.iter().all(|agent| agent.presence != Presence::Free));
                }
                WaitReason::AgentsDraining { agents, more } => {
                    prop_assert_eq!(agents.len() + more, matching.len());
                    prop_assert!(matching.iter().all(|agent| agent.is_draining()));
                }
                WaitReason::PinnedAgentAway { agent, last_seen, .. } => {
                    prop_assert_eq!(Some(agent.as_str()), known.pin().map(|pin| pin.agent.as_str()));
                    prop_assert!(find(&agent).is_none_or(|agent| !agent.is_connected()));
                    prop_assert_eq!(find(&agent).is_some(), last_seen.is_some());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
