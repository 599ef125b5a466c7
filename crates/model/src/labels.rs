//! Which agent may take a job: label matchers, taints and the choice among several.

use std::collections::BTreeSet;

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

/// Why an agent cannot take a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It lacks labels.
    #[error("lacks {}", .0.join(", "))]
    Lacks(Vec<String>),
    /// It has a label that the job excludes.
    #[error("has the excluded label {0}")]
    Excluded(String),
    /// It only takes jobs that name this label.
    #[error("only takes jobs that ask for {0}")]
    Tainted(String),
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

    /// Whether the agent may take the job, and why not.
    pub fn check(&self, agent: &AgentLabels) -> Result<(), Mismatch> {
        let lacking: Vec<String> = self
            .wanted
            .iter()
            .filter(|label| !label.found_in(&agent.labels))
            .map(Label::shown)
            .collect();
        if !lacking.is_empty() {
            return Err(Mismatch::Lacks(lacking));
        }
        if let Some(label) = self.excluded.iter().find(|label| label.found_in(&agent.labels)) {
            return Err(Mismatch::Excluded(label.shown()));
        }
        let named = |taint: &String| {
            self.wanted.iter().any(|label| matches!(label, Label::Exact(own) if own == taint))
        };
        match agent.mandatory.iter().find(|taint| !named(taint)) {
            Some(taint) => Err(Mismatch::Tainted(taint.clone())),
            None => Ok(()),
        }
    }

    /// Whether the agent may take the job.
    pub fn matches(&self, agent: &AgentLabels) -> bool {
        self.check(agent).is_ok()
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

    /// A regular expression that gives up counts as not found.
    fn found_in(&self, labels: &BTreeSet<String>) -> bool {
        match self {
            Self::Exact(label) => labels.contains(label),
            Self::Regex { regex, .. } => {
                labels.iter().any(|label| regex.is_match(label).unwrap_or(false))
            }
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
        assert!(selector.matches(&agent(&["linux", "zone-b"], &[])));
        assert_eq!(
            selector.check(&agent(&["zone-x"], &[])).unwrap_err().to_string(),
            "lacks linux, /^zone-[a-f]$/"
        );
        assert_eq!(
            selector.check(&agent(&["linux", "zone-b", "web-canary"], &[])).unwrap_err(),
            Mismatch::Excluded("/-canary$/".into())
        );
    }

    #[test]
    fn a_taint_must_be_named_exactly() {
        let tainted = agent(&["linux", "gpu"], &["gpu"]);
        let by_regex = Selector::new(&[regex("gpu")], &[]).unwrap();
        assert_eq!(by_regex.check(&tainted).unwrap_err(), Mismatch::Tainted("gpu".into()));
        let by_name = Selector::new(&[LabelMatcher::exact("gpu")], &[]).unwrap();
        assert!(by_name.matches(&tainted));
    }

    #[test]
    fn the_lowest_id_wins_unless_any_will_do() {
        let ids = ["b", "a", "c"];
        assert_eq!(pick(RunsOnPick::Deterministic, ids, 5), Some("a"));
        assert_eq!(pick(RunsOnPick::Any, ids, 5), Some("c"));
        assert_eq!(pick::<str>(RunsOnPick::Any, [], 5), None);
    }
}
