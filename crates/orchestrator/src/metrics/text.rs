//! The Prometheus text format 0.0.4, made from the OpenMetrics text that the library writes.
//!
//! They differ in two places that matter to scrapers: counters are declared with their `_total`, and there is no
//! end marker.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// All series of a registry.
pub(super) fn prometheus(registry: &Registry) -> String {
    let mut open = String::new();
    encode(&mut open, registry).expect("writing to a string does not fail");
    let counters: std::collections::HashSet<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len() + counters.len() * 12);
    for line in open.lines().filter(|line| *line != "# EOF") {
        let declared = ["# HELP ", "# TYPE "].iter().find_map(|mark| {
            line.strip_prefix(mark)?.split_once(' ').map(|(name, rest)| (*mark, name, rest))
        });
        match declared {
            Some((mark, name, rest)) if counters.contains(name) => {
                text.extend([mark, name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// Resident memory of this process; 0 where the system does not tell.
pub(super) fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<f64>().ok())
        .unwrap_or(0.0);
    pages * 4096.0
}
