//! Host fan-out: which hosts of the roster a `runsOnAll` means, and what becomes of those that are away.

use std::collections::HashMap;

use crate::labels::{AgentLabels, Selector};
use crate::lock::{RunsOnAll, Unreachable};
use crate::regex::RegexError;

/// Most children of a host fan-out, if the operator says nothing else.
pub const MAX_HOSTS: usize = 1024;

/// A host of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its agent's id.
    pub agent: String,
    /// Its name.
    pub name: String,
    /// What its agent offers.
    pub labels: AgentLabels,
    /// Connected, or away for so short a time that it counts as there.
    pub live: bool,
    /// It comes back after it was away, unlike one that a scaler started.
    pub durable: bool,
}

/// A compiled `runsOnAll`.
#[derive(Debug, Clone)]
pub struct HostSelector(Vec<Selector>);

/// What a matching host becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A child that is pinned to it; it waits if the host is away.
    Pinned,
    /// A child that fails at once.
    Unreachable,
}

/// A child of a host fan-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostChild<'a> {
    /// The host.
    pub host: &'a Host,
    /// What stands in parentheses after the job's name: the host's name, with its agent's id where hosts share it.
    pub label: String,
    /// What becomes of it.
    pub reach: Reach,
}

/// Why a host fan-out has no children.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    /// Nothing matches.
    #[error("no host matches runsOnAll of job '{job}'")]
    NoMatch {
        /// The job.
        job: String,
    },
    /// All that match are away, and are to be left out.
    #[error("no host that matches runsOnAll of job '{job}' is there; away: {}", away.join(", "))]
    AllAway {
        /// The job.
        job: String,
        /// Names of the hosts.
        away: Vec<String>,
    },
    /// Too much.
    #[error("runsOnAll of job '{job}' makes {count} children (max {max})")]
    TooMany {
        /// The job.
        job: String,
        /// How many.
        count: usize,
        /// The limit.
        max: usize,
    },
}

impl HostSelector {
    /// Compiles a predicate: a host matches if it has all labels of one include group and none of the excluded ones.
    pub fn new(predicate: &RunsOnAll) -> Result<Self, RegexError> {
        let groups = predicate.include.iter().map(|group| Selector::new(group, &predicate.exclude));
        groups.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the host is meant. A host with a taint has to be asked for by that label.
    pub fn matches(&self, host: &Host) -> bool {
        self.0.iter().any(|group| group.matches(&host.labels))
    }
}

/// The children of a fan-out, in the order of agent ids. Each host has `times` of them: the combinations of a matrix.
pub fn children<'a>(
    job: &str,
    selector: &HostSelector,
    on_unreachable: Unreachable,
    roster: &'a [Host],
    (times, max): (usize, usize),
) -> Result<Vec<HostChild<'a>>, HostsError> {
    let job = || job.to_owned();
    let mut matching: Vec<&Host> = roster.iter().filter(|host| selector.matches(host)).collect();
    if matching.is_empty() {
        return Err(HostsError::NoMatch { job: job() });
    }
    matching.sort_by(|a, b| a.agent.cmp(&b.agent));
    let reach = |host: &Host| match (host.live, host.durable, on_unreachable) {
        (true, _, _) | (false, true, Unreachable::Hold) => Some(Reach::Pinned),
        (false, true, Unreachable::Fail) => Some(Reach::Unreachable),
        (false, true, Unreachable::Skip) | (false, false, _) => None,
    };
    let kept: Vec<(&Host, Reach)> =
        matching.iter().filter_map(|host| Some((*host, reach(host)?))).collect();
    match kept.len() {
        0 => {
            let away = matching.iter().map(|host| host.name.clone()).collect();
            return Err(HostsError::AllAway { job: job(), away });
        }
        hosts if hosts.saturating_mul(times) > max => {
            let count = hosts.saturating_mul(times);
            return Err(HostsError::TooMany { job: job(), count, max });
        }
        _ => {}
    }
    let mut named: HashMap<&str, usize> = HashMap::new();
    for (host, _) in &kept {
        *named.entry(&host.name).or_default() += 1;
    }
    let label = |host: &Host| match named.get(host.name.as_str()) {
        Some(1) => host.name.clone(),
        _ => format!("{}, {}", host.name, host.agent),
    };
    Ok(kept
        .iter()
        .map(|(host, reach)| HostChild { host, label: label(host), reach: *reach })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::LabelMatcher;

    fn host(agent: &str, name: &str, labels: &[&str]) -> Host {
        let labels = labels.iter().map(ToString::to_string).collect();
        Host {
            agent: agent.into(),
            name: name.into(),
            labels: AgentLabels { labels, ..AgentLabels::default() },
            live: true,
            durable: true,
        }
    }

    fn away(host: Host) -> Host {
        Host { live: false, ..host }
    }

    fn selector(include: &[&[&str]], exclude: &[&str]) -> HostSelector {
        let exact =
            |labels: &[&str]| labels.iter().map(|label| LabelMatcher::exact(*label)).collect();
        HostSelector::new(&RunsOnAll {
            include: include.iter().map(|group| exact(group)).collect(),
            exclude: exact(exclude),
        })
        .unwrap()
    }

    fn shown(roster: &[Host], selector: &HostSelector, unreachable: Unreachable) -> Vec<String> {
        match children("j", selector, unreachable, roster, (1, 3)) {
            Ok(children) => children
                .iter()
                .map(|child| format!("{} {} {:?}", child.host.agent, child.label, child.reach))
                .collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn groups_are_alternatives_and_what_is_excluded_is_out() {
        let roster = [
            host("b", "web-2", &["web", "eu"]),
            host("a", "web-1", &["web", "us"]),
            host("c", "db-1", &["db", "eu"]),
            host("d", "db-2", &["db", "eu", "canary"]),
        ];
        let selector = selector(&[&["web", "us"], &["db"]], &["canary"]);
        assert_eq!(
            shown(&roster, &selector, Unreachable::Hold),
            ["a web-1 Pinned", "c db-1 Pinned"]
        );
    }

    #[test]
    fn nothing_included_means_no_host() {
        let roster = [host("a", "x", &["web"])];
        let message = ["no host matches runsOnAll of job 'j'"];
        assert_eq!(shown(&roster, &selector(&[], &["db"]), Unreachable::Hold), message);
        assert_eq!(shown(&[], &selector(&[&["web"]], &[]), Unreachable::Hold), message);
    }

    #[test]
    fn hosts_that_are_away_wait_fail_or_are_left_out() {
        let gone = Host { durable: false, ..away(host("c", "spot", &["web"])) };
        let roster = [host("a", "one", &["web"]), away(host("b", "two", &["web"])), gone];
        let web = selector(&[&["web"]], &[]);
        assert_eq!(shown(&roster, &web, Unreachable::Hold), ["a one Pinned", "b two Pinned"]);
        assert_eq!(shown(&roster, &web, Unreachable::Fail), ["a one Pinned", "b two Unreachable"]);
        assert_eq!(shown(&roster, &web, Unreachable::Skip), ["a one Pinned"]);
        assert_eq!(
            shown(&roster[1..], &web, Unreachable::Skip),
            ["no host that matches runsOnAll of job 'j' is there; away: two, spot"]
        );
    }

    #[test]
    fn hosts_of_one_name_are_told_apart_and_their_number_is_limited() {
        let roster = [host("a", "x", &["web"]), host("b", "x", &["web"]), host("c", "y", &["web"])];
        let web = selector(&[&["web"]], &[]);
        assert_eq!(
            shown(&roster, &web, Unreachable::Hold),
            ["a x, a Pinned", "b x, b Pinned", "c y Pinned"]
        );
        let four = [roster.as_slice(), &[host("d", "z", &["web"])]].concat();
        assert_eq!(
            shown(&four, &web, Unreachable::Hold),
            ["runsOnAll of job 'j' makes 4 children (max 3)"]
        );
        let twice = children("j", &web, Unreachable::Hold, &roster[..2], (2, 3)).unwrap_err();
        assert_eq!(twice.to_string(), "runsOnAll of job 'j' makes 4 children (max 3)");
    }

    #[test]
    fn a_taint_keeps_hosts_out_that_are_not_asked_for_by_it() {
        let mut tainted = host("a", "x", &["web", "gpu"]);
        tainted.labels.mandatory.insert("gpu".into());
        let roster = [tainted];
        assert_eq!(
            shown(&roster, &selector(&[&["web"]], &[]), Unreachable::Hold),
            ["no host matches runsOnAll of job 'j'"]
        );
        assert_eq!(shown(&roster, &selector(&[&["gpu"]], &[]), Unreachable::Hold), ["a x Pinned"]);
    }

    proptest! {
        #[test]
        fn every_host_that_is_there_gets_one_child_whatever_the_order_of_the_roster(
            hosts in prop::collection::btree_map("[a-e]{1,3}", ("[x-z]", any::<bool>(), any::<bool>()), 1..12),
            unreachable in prop::sample::select(vec![Unreachable::Hold, Unreachable::Skip, Unreachable::Fail]),
        ) {
            let roster: Vec<Host> = hosts
                .iter()
                .rev()
                .map(|(agent, (name, live, durable))| Host {
                    live: *live,
                    durable: *durable,
                    ..host(agent, name, &["web"])
                })
                .collect();
            let web = selector(&[&["web"]], &[]);
            let wanted: Vec<&str> = hosts
                .iter()
                .filter(|(_, (_, live, durable))| *live || *durable && unreachable != Unreachable::Skip)
                .map(|(agent, _)| agent.as_str())
                .collect();
            match children("j", &web, unreachable, &roster, (1, 100)) {
                Err(error) => prop_assert!(wanted.is_empty(), "{error}"),
                Ok(children) => {
                    let agents: Vec<&str> = children.iter().map(|child| child.host.agent.as_str()).collect();
                    prop_assert_eq!(agents, wanted);
                    let labels: std::collections::BTreeSet<&str> =
                        children.iter().map(|child| child.label.as_str()).collect();
                    prop_assert_eq!(labels.len(), children.len());
                    for child in &children {
                        let waits = child.host.live || unreachable == Unreachable::Hold;
                        prop_assert_eq!(child.reach == Reach::Pinned, waits);
                    }
                }
            }
        }
    }
}
