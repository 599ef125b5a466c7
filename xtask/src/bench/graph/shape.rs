//! The graphs, as lock files.

use serde_json::{Value, json};

/// Jobs of a layer; each one needs all of the layer before.
const LAYER: usize = 20;

/// What a graph looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// One job after the other.
    Chain,
    /// One first, then all others at once, then one that needs them all.
    Wide,
    /// Layers that follow each other.
    Layered,
}

impl Shape {
    pub(super) const ALL: [Shape; 3] = [Self::Chain, Self::Wide, Self::Layered];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Wide => "wide",
            Self::Layered => "layered",
        }
    }

    /// The upstreams of a job.
    fn needs(self, job: usize, jobs: usize) -> std::ops::Range<usize> {
        match self {
            _ if job == 0 => 0..0,
            Self::Chain => job - 1..job,
            Self::Wide if job + 1 == jobs => 1..job,
            Self::Wide => 0..1,
            Self::Layered => {
                let first = job - job % LAYER;
                first.saturating_sub(LAYER)..first
            }
        }
    }

    /// A lock file with one workflow for pushes; `number` makes it different from others.
    pub(super) fn lock_file(self, jobs: usize, number: usize) -> Value {
        let entry = |job: usize| {
            let needs: Vec<String> = self.needs(job, jobs).map(name).collect();
            json!({
                "_type": "static", "name": name(job), "runsOn": [{"kind": "exact", "value": "sim"}],
                "runsOnPick": "deterministic", "needs": needs, "steps": [{"name": "a", "hasOutputs": false}],
            })
        };
        let source = json!({"file": ".kici/workflows/graph.ts", "export": "#default"});
        json!({
            "schemaVersion": 29, "source": source, "contentHash": "",
            "workflows": [{
                "name": "graph", "description": format!("Graph {number}"), "source": source, "contentHash": "",
                "compileSchemaVersion": 5, "triggers": [{"_type": "push", "branches": [], "paths": []}],
                "jobs": (0..jobs).map(entry).collect::<Vec<Value>>(),
            }],
        })
    }
}

fn name(job: usize) -> String {
    format!("job-{job}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_needs_earlier_ones_and_all_but_the_first_need_some() {
        for shape in Shape::ALL {
            for job in 0..100 {
                let needs = shape.needs(job, 100);
                assert!(needs.end <= job, "{shape:?} {job}");
                let is_first = match shape {
                    Shape::Chain | Shape::Wide => job == 0,
                    Shape::Layered => job < LAYER,
                };
                assert_eq!(needs.is_empty(), is_first, "{shape:?} {job}");
            }
        }
        assert_eq!(Shape::Wide.needs(99, 100), 1..99);
        assert_eq!(Shape::Layered.needs(45, 100), 20..40);
    }
}
