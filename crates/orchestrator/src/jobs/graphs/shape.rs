//! Random workflows: needs in every form, fan-outs with limits, generators and their groups, approvals.
//!
//! What a job needs is a number that is taken modulo what comes before it, so that every shape is a graph without
//! cycles and stays one when it shrinks.

use kici_model::lock::Workflow;
use kici_model::state::JobState;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A workflow.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) entries: Vec<Entry>,
    /// Somebody has to approve the whole run.
    pub(super) approval: bool,
}

/// An entry of its `jobs`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) what: What,
    pub(super) needs: Vec<Needed>,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Job(Fan),
    /// A generator with a group, and what it will give.
    Generator(Vec<(Fan, Vec<Needed>)>),
}

/// What a job becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fan {
    /// Values of its matrix; without values it fails at once.
    pub(super) values: Option<u8>,
    pub(super) at_once: Option<u8>,
    pub(super) fail_fast: bool,
    pub(super) approval: bool,
}

/// One of its needs.
#[derive(Debug, Clone)]
pub(super) struct Needed {
    on: usize,
    /// Only this child of a fan-out.
    child: Option<u8>,
    when: When,
}

/// In which states of the upstream it may start.
#[derive(Debug, Clone)]
pub(super) enum When {
    /// Not said: a plain name.
    Plain,
    /// Not said, in the long form.
    Unsaid,
    /// `on-success`, `always`, `on-skip`, `on-failure`, or a list that the author wrote; some have words that nobody knows.
    RunOn(Vec<&'static str>),
}

/// Whom a need names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    /// A job with all its children.
    Job(String),
    /// One child.
    Child(String),
    /// The generator of a group, by entry.
    Group(usize),
}

impl When {
    /// The accepted states.
    pub(super) fn accepts(&self) -> Vec<JobState> {
        match self {
            Self::Plain | Self::Unsaid => vec![JobState::Success],
            Self::RunOn(words) => words.iter().filter_map(|word| word.parse().ok()).collect(),
        }
    }
}

impl Shape {
    /// What the needs of an entry, or of a job that it generates (`made`), mean.
    pub(super) fn needs(&self, entry: usize, made: Option<usize>) -> Vec<(Whom, &When)> {
        let Entry { what, needs } = &self.entries[entry];
        let (needs, siblings) = match (what, made) {
            (What::Generator(jobs), Some(made)) => (&jobs[made].1, &jobs[..made]),
            _ => (needs, &[][..]),
        };
        let before = entry + siblings.len();
        let whom = |need: &Needed| {
            let on = need.on % before;
            let (name, fan) = match on.checked_sub(entry) {
                Some(sibling) => (made_name(entry, sibling), &siblings[sibling].0),
                None => match &self.entries[on].what {
                    What::Generator(_) => return Whom::Group(on),
                    What::Job(fan) => (job_name(on), fan),
                },
            };
            match (need.child, fan.values) {
                (Some(child), Some(values)) if values > 0 => {
                    Whom::Child(format!("{name} ({})", child % values))
                }
                _ => Whom::Job(name),
            }
        };
        let needs = if before == 0 { &[][..] } else { needs };
        needs.iter().map(|need| (whom(need), &need.when)).collect()
    }

    /// The workflow.
    pub(super) fn workflow(&self) -> Workflow {
        let entries = (0..self.entries.len()).map(|at| match &self.entries[at].what {
            What::Job(fan) => job(&job_name(at), fan, self.needs_json(at, None)),
            What::Generator(_) => json!({
                "_type": "dynamic", "source": {"file": "x.ts", "index": at}, "group": group_name(at),
                "needs": self.needs_json(at, None), "resultAware": true,
            }),
        });
        let mut workflow = json!({
            "name": "ci", "contentHash": "", "compileSchemaVersion": 5, "triggers": [],
            "jobs": entries.collect::<Vec<Value>>(),
        });
        if self.approval {
            workflow["approval"] = approval();
        }
        serde_json::from_value(workflow).expect("the form of lock files")
    }

    /// What an agent gives for a generator.
    pub(super) fn generated(&self, entry: usize) -> Value {
        let What::Generator(made) = &self.entries[entry].what else { return Value::Null };
        let jobs = made.iter().enumerate().map(|(at, (fan, _))| {
            job(&made_name(entry, at), fan, self.needs_json(entry, Some(at)))
        });
        jobs.collect()
    }

    fn needs_json(&self, entry: usize, made: Option<usize>) -> Vec<Value> {
        let json = |(whom, when): (Whom, &When)| {
            let mut need = match (whom, when) {
                (Whom::Job(name) | Whom::Child(name), When::Plain) => return json!(name),
                (Whom::Job(name) | Whom::Child(name), _) => json!({"name": name}),
                (Whom::Group(entry), _) => json!({"group": group_name(entry)}),
            };
            if let When::RunOn(words) = when {
                need["runOn"] = json!(words);
            }
            need
        };
        self.needs(entry, made).into_iter().map(json).collect()
    }
}

pub(super) fn job_name(entry: usize) -> String {
    format!("j{entry}")
}

pub(super) fn generator_name(entry: usize) -> String {
    format!("__dynamic__ci__{entry}")
}

pub(super) fn made_name(entry: usize, made: usize) -> String {
    format!("g{entry}n{made}")
}

fn group_name(entry: usize) -> String {
    format!("g{entry}")
}

fn job(name: &str, fan: &Fan, needs: Vec<Value>) -> Value {
    let mut job = json!({
        "_type": "static", "name": name, "runsOn": [{"kind": "exact", "value": "linux"}], "needs": needs,
        "steps": [{"name": "s", "hasOutputs": false}], "failFast": fan.fail_fast,
    });
    if let Some(values) = fan.values {
        let values: Vec<String> = (0..values).map(|value| value.to_string()).collect();
        job["matrix"] = json!({"_type": "static", "values": values});
    }
    if let Some(at_once) = fan.at_once {
        job["maxParallel"] = json!(at_once);
    }
    if fan.approval {
        job["approval"] = approval();
    }
    job
}

fn approval() -> Value {
    json!({"clauses": [], "when": "always"})
}

/// Workflows of some entries.
pub(super) fn shapes(entries: std::ops::Range<usize>) -> impl Strategy<Value = Shape> {
    let shape = (prop::collection::vec(entry(), entries), prop::bool::weighted(0.1));
    shape.prop_map(|(entries, approval)| Shape { entries, approval })
}

fn entry() -> impl Strategy<Value = Entry> {
    let made = prop::collection::vec((fan(), needs()), 0..5).prop_map(What::Generator);
    let what = prop_oneof![4 => fan().prop_map(What::Job), 1 => made];
    (what, needs()).prop_map(|(what, needs)| Entry { what, needs })
}

fn fan() -> impl Strategy<Value = Fan> {
    let values = prop_oneof![14 => Just(None), 6 => (1u8..5).prop_map(Some), 1 => Just(Some(0))];
    let at_once = prop::option::of(1u8..4);
    (values, at_once, any::<bool>(), prop::bool::weighted(0.1)).prop_map(
        |(values, at_once, fail_fast, approval)| Fan { values, at_once, fail_fast, approval },
    )
}

fn needs() -> impl Strategy<Value = Vec<Needed>> {
    let need = (any::<usize>(), prop::option::weighted(0.1, any::<u8>()), when())
        .prop_map(|(on, child, when)| Needed { on, child, when });
    prop::collection::vec(need, 0..4)
}

fn when() -> impl Strategy<Value = When> {
    let all = || JobState::FINAL.map(JobState::as_str).to_vec();
    let words = [all(), vec!["from_a_later_version"]].concat();
    prop_oneof![
        4 => Just(When::Plain),
        1 => Just(When::Unsaid),
        1 => Just(When::RunOn(vec!["success"])),
        3 => Just(When::RunOn(all())),
        1 => Just(When::RunOn(vec!["success", "skipped"])),
        2 => Just(When::RunOn(vec!["failed", "timed_out_stale"])),
        2 => prop::sample::subsequence(words, 0..7).prop_map(When::RunOn),
    ]
}
