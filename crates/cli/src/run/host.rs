//! This machine: the only host that a fan-out over hosts has in a local run.

use serde_json::{Value, json};

/// Its name, as an agent here would say it.
pub(super) fn name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown-host".to_owned())
}

/// `ctx.agent`: what an agent here would say without labels of its operator.
pub(super) fn agent(name: &str) -> Value {
    let platform = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let os = if platform == "darwin" { "macos" } else { platform };
    let labels =
        [format!("kici:arch:{arch}"), format!("kici:host:{name}"), format!("kici:os:{os}")];
    json!({"host": name, "labels": labels, "platform": platform, "arch": arch})
}
