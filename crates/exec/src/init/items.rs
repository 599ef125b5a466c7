//! The `init` option of a job: commands, the `mise` preset, `auto`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kici_model::hash::sha256_hex;
use serde_json::{Value, json};

use crate::{caches, millis};

const DEFAULT_LIMIT: Duration = Duration::from_secs(10 * 60);
/// What mise reads, in the order in which they are hashed.
const MISE_FILES: [&str; 3] = ["mise.toml", ".mise.toml", ".tool-versions"];

/// Installs mise if it is not there, then the project's tools, and shows them to later steps.
const MISE: &str = r#"set -euo pipefail
export PATH="$HOME/.local/bin:$PATH"
if ! command -v mise >/dev/null 2>&1; then
  echo "mise is not installed; installing it"
  curl -fsSL https://mise.run | sh
fi
mise trust --all --yes 2>/dev/null || mise trust --yes || true
mise install --yes
mise env --shell bash | sed -n -e "s/^export \([A-Za-z_][A-Za-z0-9_]*\)='\(.*\)'$/\1=\2/p" -e 's/^export \([A-Za-z_][A-Za-z0-9_]*\)=\([^'"'"'].*\)$/\1=\2/p' | grep -v '^PATH=' >> "$KICI_ENV" || true
echo "${MISE_DATA_DIR:-$HOME/.local/share/mise}/shims" >> "$KICI_PATH"
echo "$HOME/.local/bin" >> "$KICI_PATH"
"#;

/// One thing to set up.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) run: String,
    pub(super) shell: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) timeout: Duration,
    pub(super) cache: Vec<Value>,
}

/// Reads the option. `root` is looked at for `auto`.
pub(super) fn of(option: &Value, root: &Path) -> Result<Vec<Item>, String> {
    match option {
        Value::Null | Value::Bool(false) => Ok(Vec::new()),
        Value::String(preset) if preset == "auto" => {
            let configured = MISE_FILES.iter().any(|file| root.join(file).exists());
            Ok(if configured { vec![mise(&Value::Null, root)] } else { Vec::new() })
        }
        Value::Array(items) => items.iter().map(|item| one(item, root)).collect(),
        item => Ok(vec![one(item, root)?]),
    }
}

fn one(item: &Value, root: &Path) -> Result<Item, String> {
    if item == "mise" {
        return Ok(mise(&Value::Null, root));
    }
    if let Some(options) = item.get("mise") {
        return Ok(mise(options, root));
    }
    let run = item.get("run").and_then(Value::as_str).filter(|run| !run.trim().is_empty());
    let Some(run) = run else {
        return Err(format!("init: {item} is none of \"mise\", {{mise: …}} and {{run: \"…\"}}"));
    };
    Ok(Item {
        run: run.to_owned(),
        shell: item.get("shell").and_then(Value::as_str).unwrap_or("bash").to_owned(),
        env: env_of(item),
        timeout: timeout_of(item),
        cache: caches::specs_of(item.get("cache")),
    })
}

fn mise(options: &Value, root: &Path) -> Item {
    let cache = match options.get("cache") {
        Some(Value::Bool(false)) => Vec::new(),
        Some(spec) => caches::specs_of(Some(spec)),
        None => vec![json!({
            "key": mise_key(root),
            "restoreKeys": ["mise-"],
            "paths": ["~/.local/share/mise"],
        })],
    };
    Item {
        run: MISE.to_owned(),
        shell: "bash".to_owned(),
        env: env_of(options),
        timeout: timeout_of(options),
        cache,
    }
}

/// `mise-` and a hash over the names and contents of mise's files.
fn mise_key(root: &Path) -> String {
    let mut bytes = Vec::new();
    for file in MISE_FILES {
        if let Ok(content) = std::fs::read(root.join(file)) {
            bytes.extend_from_slice(file.as_bytes());
            bytes.extend_from_slice(&content);
        }
    }
    if bytes.is_empty() {
        return "mise-noconfig".to_owned();
    }
    format!("mise-{}", &sha256_hex(&bytes)[..16])
}

fn env_of(item: &Value) -> BTreeMap<String, String> {
    let env = item.get("env").and_then(Value::as_object).into_iter().flatten();
    env.filter_map(|(key, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => return None,
            other => other.to_string(),
        };
        Some((key.clone(), text))
    })
    .collect()
}

fn timeout_of(item: &Value) -> Duration {
    millis::duration(item.get("timeout").and_then(Value::as_f64)).unwrap_or(DEFAULT_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let of = |option: Value| of(&option, dir.path());
        assert_eq!(of(json!(false)).unwrap(), []);
        assert_eq!(of(json!("auto")).unwrap(), []);
        let items = of(json!(["mise", {"run": "make", "timeout": 5, "env": {"A": 1}}])).unwrap();
        assert_eq!(items[0].cache[0]["key"], "mise-noconfig");
        assert_eq!((items[1].run.as_str(), items[1].shell.as_str()), ("make", "bash"));
        assert_eq!((items[1].timeout, items[1].env["A"].as_str()), (Duration::from_millis(5), "1"));
        std::fs::write(dir.path().join(".tool-versions"), "node 24\n").unwrap();
        assert_eq!(of(json!("auto")).unwrap().len(), 1);
        assert!(of(json!({"run": " "})).unwrap_err().contains("run"));
    }
}
