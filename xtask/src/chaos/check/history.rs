//! What the audit saw on the way: final states that changed, and how long lost jobs were away.

use std::collections::BTreeMap;

use super::{Evidence, Findings};

pub(super) fn check(evidence: &Evidence<'_>, findings: &mut Findings) {
    let mut away: BTreeMap<&str, i64> = BTreeMap::new();
    let mut slowest = 0;
    for change in &evidence.changes {
        if change.revived {
            findings.revived.push(format!(
                "{} {}: {} became {} (attempt {:?})",
                change.kind,
                change.id,
                change.was.as_deref().unwrap_or("-"),
                change.became.as_deref().unwrap_or("nothing"),
                change.attempt
            ));
        }
        if change.kind != "job" {
            continue;
        }
        match change.became.as_deref() {
            Some("recovering") => {
                away.entry(&change.id).or_insert(change.at_ms);
            }
            Some(state) => {
                if let Some(since) = away.remove(change.id.as_str()) {
                    findings.count(
                        if state == "running" { "jobs_recovered" } else { "jobs_not_recovered" },
                        1,
                    );
                    slowest = slowest.max(change.at_ms - since);
                }
            }
            None => {}
        }
    }
    findings.count("slowest_recovery_ms", u64::try_from(slowest).unwrap_or(0));
}
