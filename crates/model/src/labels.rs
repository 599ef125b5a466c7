//! Which agent may take a job: label matchers, taints and the choice among several.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lock::{LabelMatcher, RunsOnPick, StaticJob};
use crate::regex::{EsRegex, RegexError};

/// Prefix of labels that only KiCI itself gives.
pub const RESERVED_PREFIX: &str = "kici:";

/// What an agent offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentLabels {
    /// All its labels.
    pub labels: BTreeSet<String>,
    /// Taints: labels that a job has to name exactly to be let in.
    pub mandatory: BTreeSet<String>,
}

/// A compiled `runsOn` selector.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    wanted: Vec<Label>,
    excluded: Vec<Label>,
}

#[derive(Debug, Clone)]
enum Label {
    Exact(String),
    Regex { shown: String, regex: EsRegex },
}

/// All that keeps an agent from taking a job; empty for one that may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gap {
    /// Labels that it lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Patterns that none of its labels matches.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<String>,
    /// Its labels that the job excludes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<String>,
    /// Its taints that the job does not name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<String>,
}

impl Gap {
    /// Whether nothing keeps it.
    pub fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// How many things keep it.
    pub fn size(&self) -> usize {
        self.lacks.len() + self.unmatched.len() + self.excluded.len() + self.taints.len()
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (what, list, or) in [
            ("lacks", &self.lacks, ", "),
            ("has no label that matches", &self.unmatched, " or "),
            ("has the excluded label", &self.excluded, ", "),
            ("only takes jobs that ask for", &self.taints, ", "),
        ] {
            if !list.is_empty() {
                write!(f, "{between}{what} {}", list.join(or))?;
                between = " and ";
            }
        }
        Ok(())
    }
}

impl Selector {
    /// Compiles matchers.
    pub fn new(wanted: &[LabelMatcher], excluded: &[LabelMatcher]) -> Result<Self, RegexError> {
        let compile = |list: &[LabelMatcher]| list.iter().map(Label::new).collect::<Result<_, _>>();
        Ok(Self { wanted: compile(wanted)?, excluded: compile(excluded)? })
    }

    /// The selector of a job's `runsOn` and `excludeLabels`.
    pub fn of_job(job: &StaticJob) -> Result<Self, RegexError> {
        Self::new(
            job.runs_on.as_deref().unwrap_or_default(),
            job.exclude_labels.as_deref().unwrap_or_default(),
        )
    }

    /// Whether the agent may take the job.
    pub fn matches(&self, agent: &AgentLabels) -> bool {
        self.wanted.iter().all(|label| label.found_in(&agent.labels))
            && !self.excluded.iter().any(|label| label.found_in(&agent.labels))
            && agent.mandatory.iter().all(|taint| self.names(taint))
    }

    /// How many things keep the agent from taking the job: the size of its [`Gap`].
    pub fn distance(&self, agent: &AgentLabels) -> usize {
        let lacking = self.wanted.iter().filter(|label| !label.found_in(&agent.labels)).count();
        let excluded = if self.excluded.is_empty() { 0 } else { self.excluded_of(agent).count() };
        lacking + excluded + agent.mandatory.iter().filter(|taint| !self.names(taint)).count()
    }

    /// What keeps the agent from taking the job.
    pub fn gap(&self, agent: &AgentLabels) -> Gap {
        let mut gap = Gap::default();
        for label in self.wanted.iter().filter(|label| !label.found_in(&agent.labels)) {
            match label {
                Label::Exact(label) => gap.lacks.push(label.clone()),
                Label::Regex { shown, .. } => gap.unmatched.push(shown.clone()),
            }
        }
        gap.excluded = self.excluded_of(agent).cloned().collect();
        gap.taints = agent.mandatory.iter().filter(|taint| !self.names(taint)).cloned().collect();
        gap
    }

    fn excluded_of<'a>(&'a self, agent: &'a AgentLabels) -> impl Iterator<Item = &'a String> {
        let is_excluded = |own: &&String| self.excluded.iter().any(|label| label.is(own));
        agent.labels.iter().filter(is_excluded)
    }

    /// A taint lets only those in that name it exactly.
    fn names(&self, taint: &str) -> bool {
        self.wanted.iter().any(|label| matches!(label, Label::Exact(own) if own == taint))
    }

    /// The only label wanted, if it is an exact one: it may name an agent.
    pub fn single_exact(&self) -> Option<&str> {
        match self.wanted.as_slice() {
            [Label::Exact(label)] => Some(label),
            _ => None,
        }
    }

    /// The wanted labels as text, for messages.
    pub fn shown(&self) -> Vec<String> {
        self.wanted.iter().map(Label::shown).collect()
    }

    /// The excluded labels as text, for messages.
    pub fn shown_excluded(&self) -> Vec<String> {
        self.excluded.iter().map(Label::shown).collect()
    }
}

impl Label {
    fn new(matcher: &LabelMatcher) -> Result<Self, RegexError> {
        Ok(match matcher {
            LabelMatcher::Exact { value } => Self::Exact(value.clone()),
            LabelMatcher::Regex { source, flags } => {
                Self::Regex { shown: matcher.to_string(), regex: EsRegex::new(source, flags)? }
            }
        })
    }

    fn found_in(&self, labels: &BTreeSet<String>) -> bool {
        match self {
            Self::Exact(label) => labels.contains(label),
            Self::Regex { .. } => labels.iter().any(|label| self.is(label)),
        }
    }

    /// A regular expression that gives up counts as not found.
    fn is(&self, label: &str) -> bool {
        match self {
            Self::Exact(own) => own == label,
            Self::Regex { regex, .. } => regex.is_match(label).unwrap_or(false),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Exact(label) => label.clone(),
            Self::Regex { shown, .. } => shown.clone(),
        }
    }
}

/// Picks one of the matching agents: the lowest id, or `any` = the one that `turn` falls on.
pub fn pick<'a, T: Ord + ?Sized>(
    pick: RunsOnPick,
    candidates: impl IntoIterator<Item = &'a T>,
    turn: usize,
) -> Option<&'a T> {
    let mut candidates: Vec<&T> = candidates.into_iter().collect();
    candidates.sort();
    match pick {
        RunsOnPick::Deterministic => candidates.first().copied(),
        RunsOnPick::Any => {
            let count = candidates.len().max(1);
            candidates.get(turn % count).copied()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agent(labels: &[&str], mandatory: &[&str]) -> AgentLabels {
        let set = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        AgentLabels { labels: set(labels), mandatory: set(mandatory) }
    }

    fn regex(source: &str) -> LabelMatcher {
        LabelMatcher::Regex { source: source.into(), flags: String::new() }
    }

    #[test]
    fn an_agent_needs_every_wanted_label_and_no_excluded_one() {
        let selector = Selector::new(
            &[LabelMatcher::exact("linux"), regex("^zone-[a-f]$")],
            &[LabelMatcher::exact("spot"), regex("-canary$")],
        )
        .unwrap();
        let shown = |labels: &[&str]| selector.gap(&agent(labels, &[])).to_string();
        assert!(selector.matches(&agent(&["linux", "zone-b"], &[])));
        assert_eq!(shown(&["linux", "zone-b"]), "");
        assert_eq!(shown(&["zone-x"]), "lacks linux and has no label that matches /^zone-[a-f]$/");
        assert_eq!(shown(&["linux", "zone-b", "web-canary"]), "has the excluded label web-canary");
        assert_eq!(
            shown(&["zone-b", "web-canary", "spot"]),
            "lacks linux and has the excluded label spot, web-canary"
        );
    }

    #[test]
    fn a_taint_must_be_named_exactly() {
        let tainted = agent(&["linux", "gpu", "big"], &["gpu"]);
        let by_regex = Selector::new(&[regex("gpu")], &[]).unwrap();
        assert!(!by_regex.matches(&tainted));
        assert_eq!(by_regex.gap(&tainted).to_string(), "only takes jobs that ask for gpu");
        let by_another = Selector::new(&[LabelMatcher::exact("big")], &[]).unwrap();
        assert!(!by_another.matches(&tainted));
        let by_nothing = Selector::new(&[], &[]).unwrap();
        assert!(!by_nothing.matches(&tainted));
        let by_name = Selector::new(&[LabelMatcher::exact("gpu")], &[]).unwrap();
        assert!(by_name.matches(&tainted));
        let of_two = agent(&["gpu", "big"], &["big", "gpu"]);
        assert_eq!(by_name.gap(&of_two).to_string(), "only takes jobs that ask for big");
    }

    fn matcher() -> impl Strategy<Value = LabelMatcher> {
        prop_oneof![
            3 => prop::sample::select(vec!["a", "b", "c", "ab"]).prop_map(LabelMatcher::exact),
            1 => prop::sample::select(vec!["^a", "b$", "c", "."]).prop_map(regex),
        ]
    }

    fn labels() -> impl Strategy<Value = AgentLabels> {
        let set =
            || prop::collection::btree_set(prop::sample::select(vec!["a", "b", "c", "ab"]), 0..4);
        (set(), set()).prop_map(|(labels, mandatory)| {
            // A taint is a label of the agent too.
            let mandatory: Vec<&str> = mandatory.intersection(&labels).copied().collect();
            agent(&labels.into_iter().collect::<Vec<_>>(), &mandatory)
        })
    }

    proptest! {
        #[test]
        fn an_agent_matches_exactly_when_nothing_keeps_it(
            wanted in prop::collection::vec(matcher(), 0..4),
            excluded in prop::collection::vec(matcher(), 0..3),
            agent in labels(),
        ) {
            let selector = Selector::new(&wanted, &excluded).unwrap();
            let gap = selector.gap(&agent);
            prop_assert_eq!(selector.matches(&agent), gap.is_empty());
            prop_assert_eq!(selector.distance(&agent), gap.size());
            prop_assert_eq!(gap.to_string().is_empty(), gap.is_empty());
        }

        #[test]
        fn a_taint_keeps_out_whoever_does_not_name_it(
            wanted in prop::collection::vec(matcher(), 0..4),
            agent in labels(),
        ) {
            let selector = Selector::new(&wanted, &[]).unwrap();
            let named = |taint: &String| wanted.contains(&LabelMatcher::exact(taint.as_str()));
            if selector.matches(&agent) {
                prop_assert!(agent.mandatory.iter().all(named));
            }
        }

        #[test]
        fn what_is_said_to_be_missing_is_what_helps(
            wanted in prop::collection::vec(matcher(), 0..4),
            agent in labels(),
        ) {
            let selector = Selector::new(&wanted, &[]).unwrap();
            let gap = selector.gap(&agent);
            let mut helped = agent;
            helped.labels.extend(gap.lacks);
            for taint in &gap.taints {
                helped.mandatory.remove(taint);
            }
            prop_assert!(selector.matches(&helped) || !gap.unmatched.is_empty());
        }
    }

    #[test]
    fn the_lowest_id_wins_unless_any_will_do() {
        let ids = ["b", "a", "c"];
        assert_eq!(pick(RunsOnPick::Deterministic, ids, 5), Some("a"));
        assert_eq!(pick(RunsOnPick::Any, ids, 5), Some("c"));
        assert_eq!(pick::<str>(RunsOnPick::Any, [], 5), None);
    }
}
