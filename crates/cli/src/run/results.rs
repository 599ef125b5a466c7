//! What a job of a local run sees of the jobs that it needs, in the shape in which the server tells agents.

use std::collections::BTreeMap;

use kici_model::lock::Need;
use kici_model::upstream::{self, Child};
use serde_json::{Map, Value, json};

use super::plan::{Plan, Planned, Work};

/// Outputs, states and groups.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    /// By name; children of a fan-out together under their base name.
    pub(super) outputs: BTreeMap<String, Value>,
    /// By expanded name.
    pub(super) statuses: BTreeMap<String, String>,
    /// Expanded names by group.
    pub(super) groups: BTreeMap<String, Vec<String>>,
}

impl Upstreams {
    /// What a generator with needs is called with, each time.
    pub(super) fn snapshot(&self) -> Value {
        json!({"jobs": self.outputs, "statuses": self.statuses, "groups": self.groups})
    }
}

impl Plan<'_> {
    /// What the jobs that this one needs have left.
    pub(super) fn upstreams(&self, job: &Planned) -> Upstreams {
        let mut seen = Upstreams::default();
        let mut fan_outs: BTreeMap<(&str, bool), Vec<Child>> = BTreeMap::new();
        let needed = |other: &&Planned| job.edges.iter().any(|edge| edge.upstream == other.name);
        // Jobs of the scheduler are nobody's upstream.
        let authors: Vec<(&Planned, &super::expand::Child)> = self
            .jobs
            .iter()
            .filter(needed)
            .filter_map(|other| match &other.work {
                Work::Steps(child) => Some((other, child)),
                Work::Init(..) | Work::Generator => None,
            })
            .collect();
        for (other, child) in &authors {
            let Some(ended) = self.ended.get(&other.name) else { continue };
            seen.statuses.insert(other.name.clone(), ended.state.to_string());
            let outputs: Map<String, Value> = ended.outputs.clone();
            // Members of groups are looked up by their own names, also those that are children of a fan-out.
            if child.label.is_none() || self.group_of(other.place).is_some() {
                seen.outputs.insert(other.name.clone(), Value::Object(outputs.clone()));
            }
            if let Some(label) = child.label.clone() {
                let on_hosts = child.host.is_some();
                let child = Child { label, status: ended.state, outputs };
                fan_outs.entry((other.base_name(), on_hosts)).or_default().push(child);
            }
        }
        for ((base, on_hosts), children) in fan_outs {
            let outputs = match on_hosts {
                true => upstream::host_outputs(&children),
                false => upstream::matrix_outputs(&children),
            };
            seen.outputs.insert(base.to_owned(), outputs);
        }
        for need in self.needs_of(job) {
            let Need::Group { group, .. } = need else { continue };
            let members = authors.iter().filter(|(of, _)| self.group_of(of.place) == Some(group));
            seen.groups.insert(group.clone(), members.map(|(of, _)| of.name.clone()).collect());
        }
        seen
    }
}
