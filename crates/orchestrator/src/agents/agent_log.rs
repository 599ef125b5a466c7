//! An agent's own log lines, printed into ours with the agent's id and their level.

use serde_json::Value;
use tracing::{debug, error, info, warn};

/// Bytes of a line that are printed.
const LONGEST: usize = 8 * 1024;

/// Prints lines. Those of agents are JSON with `level` and `message`; anything else is printed as it is.
pub(super) fn print(agent: &str, lines: &[String]) {
    for line in lines {
        let (level, text) = read(line);
        match level {
            Level::Error => error!(agent.id = agent, "agent {agent}: {text}"),
            Level::Warn => warn!(agent.id = agent, "agent {agent}: {text}"),
            Level::Info => info!(agent.id = agent, "agent {agent}: {text}"),
            Level::Debug => debug!(agent.id = agent, "agent {agent}: {text}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

fn read(line: &str) -> (Level, String) {
    let parsed: Option<Value> = serde_json::from_str(line).ok();
    let field = |name: &str| parsed.as_ref()?.get(name)?.as_str();
    let level = match field("level") {
        Some("error" | "fatal" | "ERROR") => Level::Error,
        Some("warn" | "WARN") => Level::Warn,
        Some("debug" | "trace" | "DEBUG" | "TRACE") => Level::Debug,
        _ => Level::Info,
    };
    let text = field("message").unwrap_or(line);
    let cut = text.floor_char_boundary(LONGEST);
    (level, text[..cut].replace(|c: char| c.is_control() && c != '\t', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_level_and_cannot_forge_another() {
        let line = r#"{"agentId":"a1","level":"warn","message":"disk is full","service":"agent"}"#;
        assert_eq!(read(line), (Level::Warn, "disk is full".into()));
        assert_eq!(read("--- offline\n{\"level\""), (Level::Info, "--- offline {\"level\"".into()));
        assert_eq!(read(&"ü".repeat(LONGEST)).1.len(), LONGEST);
    }
}
