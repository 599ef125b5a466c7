//! Reads variables into a [`Config`], collecting every mistake on the way.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use kici_exec::spec::EngineWish;
use kici_protocol::agent::{PropertyValue, Secret, limits};

use super::vars::Vars;
use super::{Backpressure, Config, JobDefaults, LogFormat, LogLevel, Role, Scaler, Times, names};

/// All that is wrong with an environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    unknown: Vec<String>,
    problems: Vec<String>,
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        if !self.unknown.is_empty() {
            lines.push(UNKNOWN.to_owned());
            lines.extend(self.unknown.iter().cloned());
        }
        if !self.problems.is_empty() {
            lines.push("Configuration validation failed:".to_owned());
            lines.extend(self.problems.iter().map(|problem| format!("  - {problem}")));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Log that may wait on disk; a step has at most 10 MiB unless the orchestrator allows more.
const OUTBOX_BYTES: u64 = 256 * 1024 * 1024;
const UNKNOWN: &str = "Unknown KICI_* env var(s) detected — refusing to start. Set KICI_DEV=true to \
                       downgrade this to a warning.";

impl Config {
    /// Reads this process's environment.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Reads the given variables. An empty value counts as unset, but for `KICI_ROLES`.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn read(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut vars = Vars { values: vars.into_iter().collect(), problems: Vec::new() };
        let mut warnings = Vec::new();

        let mut unknown: Vec<String> = vars
            .values
            .keys()
            .filter(|name| !names::is_known(name))
            .map(|name| names::complaint(name))
            .collect();
        if vars.flag("KICI_DEV", false) {
            warnings.extend(
                unknown
                    .drain(..)
                    .map(|line| format!("unknown variable {}", line.trim_start_matches("  - "))),
            );
        }

        let scaler = vars.flag("KICI_SCALER_MANAGED", false).then(|| Scaler {
            idle: vars.millis("KICI_SCALER_IDLE_TIMEOUT", 5_000, 0),
            pending_dispatch: vars.millis("KICI_SCALER_PENDING_DISPATCH_TIMEOUT", 60_000, 0),
        });
        vars.refuse_unsupported(&mut warnings);

        let config = Self {
            orchestrator_url: vars.orchestrator_url(),
            agent_id: vars.text("KICI_AGENT_ID"),
            token: vars.text("KICI_AGENT_TOKEN").map(Secret::from),
            labels: vars.labels(scaler.is_some()),
            properties: vars.properties(),
            roles: vars.roles(),
            port: vars.number("KICI_PORT", 8080, 0),
            log_level: vars.choice(
                "KICI_LOG_LEVEL",
                LogLevel::Info,
                &[
                    ("error", LogLevel::Error),
                    ("warn", LogLevel::Warn),
                    ("info", LogLevel::Info),
                    ("debug", LogLevel::Debug),
                    ("trace", LogLevel::Trace),
                ],
            ),
            log_format: vars.choice(
                "KICI_LOG_FORMAT",
                LogFormat::Auto,
                &[
                    ("auto", LogFormat::Auto),
                    ("plain", LogFormat::Plain),
                    ("json", LogFormat::Json),
                ],
            ),
            jobs: vars.job_defaults(),
            backpressure: vars.choice(
                "KICI_BACKPRESSURE_MODE",
                Backpressure::Pause,
                &[("pause", Backpressure::Pause), ("drop", Backpressure::Drop)],
            ),
            scaler,
            outbox_bytes: vars.number("KICI_AGENT_OUTBOX_MAX_BYTES", OUTBOX_BYTES, 1024 * 1024),
            warm_process: vars.flag("KICI_AGENT_WARM_PROCESS", true),
            times: Times {
                job_heartbeat: vars.millis("KICI_JOB_HEARTBEAT_INTERVAL_MS", 60_000, 1),
                shutdown_grace: vars.millis("KICI_AGENT_SHUTDOWN_GRACE_MS", 10_000, 0),
            },
            shown: shown(&vars.values),
            warnings,
        };
        if unknown.is_empty() && vars.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError { unknown, problems: vars.problems })
        }
    }
}

/// What the agent's own variables mean.
impl Vars {
    fn orchestrator_url(&mut self) -> String {
        let name = "KICI_ORCHESTRATOR_URL";
        let Some(text) = self.text(name) else {
            self.problem(name, "is required, e.g. ws://ci.example:4000/ws");
            return String::new();
        };
        let Some((scheme @ ("ws" | "wss"), rest)) = text.split_once("://") else {
            self.problem(name, format_args!("is {text:?}, write a ws:// or wss:// URL"));
            return String::new();
        };
        match rest.split_once('/') {
            // Nothing lives at the root of an orchestrator; a bare host means its link.
            None if !rest.is_empty() => format!("{scheme}://{rest}/ws"),
            Some((host, "")) if !host.is_empty() => format!("{scheme}://{host}/ws"),
            Some((host, _)) if !host.is_empty() => text,
            None | Some(_) => {
                self.problem(name, format_args!("is {text:?}, the host is missing"));
                String::new()
            }
        }
    }

    fn labels(&mut self, scaler_managed: bool) -> Vec<String> {
        let labels = self.list("KICI_LABELS");
        if !scaler_managed {
            let reserved: Vec<&str> = labels
                .iter()
                .filter(|label| {
                    label.to_ascii_lowercase().starts_with(limits::RESERVED_LABEL_PREFIX)
                })
                .map(String::as_str)
                .collect();
            if !reserved.is_empty() {
                let problem = format!(
                    "{} starts with the reserved prefix `kici:`; such labels are set by the agent \
                     itself, remove them",
                    reserved.join(", ")
                );
                self.problem("KICI_LABELS", problem);
            }
        }
        labels
    }

    fn properties(&mut self) -> BTreeMap<String, PropertyValue> {
        let mut properties = BTreeMap::new();
        for item in self.list("KICI_PROPERTIES") {
            match item.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    properties.insert(key.trim().to_owned(), property(value.trim()));
                }
                Some(_) | None => {
                    self.problem("KICI_PROPERTIES", format_args!("{item:?} is not key=value"));
                }
            }
        }
        properties
    }

    fn roles(&mut self) -> Vec<Role> {
        let all = vec![Role::Builder, Role::InitRunner];
        let Some(text) = self.values.get("KICI_ROLES").cloned() else { return all };
        let mut roles = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "all" => return all,
                "builder" => roles.push(Role::Builder),
                "init-runner" => roles.push(Role::InitRunner),
                other => self.problem(
                    "KICI_ROLES",
                    format_args!(
                        "{other:?} is no role, write builder, init-runner, all or nothing"
                    ),
                ),
            }
        }
        roles
    }

    fn job_defaults(&mut self) -> JobDefaults {
        JobDefaults {
            data_dir: self.data_dir(),
            max_log_bytes: self.number("KICI_MAX_LOG_SIZE_BYTES", limits::MAX_LOG_BYTES, 1),
            step_timeout_ms: self.number("KICI_DEFAULT_STEP_TIMEOUT_MS", 1_800_000, 1),
            concurrency_wait_ms: self.number("KICI_CONCURRENCY_WAIT_TIMEOUT_MS", 3_600_000, 1000),
            engine: self.choice(
                "KICI_JS_ENGINE",
                EngineWish::Auto,
                &[
                    ("auto", EngineWish::Auto),
                    ("embedded", EngineWish::Embedded),
                    ("node", EngineWish::Node),
                ],
            ),
            installed_sdk: self.choice(
                "KICI_SDK",
                false,
                &[("builtin", false), ("installed", true)],
            ),
            node: self.text("KICI_NODE"),
            github_token: self.text("KICI_GITHUB_TOKEN").map(Secret::from),
        }
    }

    /// The given folder, else the system's if it is writable, else the user's.
    fn data_dir(&mut self) -> PathBuf {
        if let Some(dir) = self.text("KICI_DATA_DIR") {
            if !Path::new(&dir).is_absolute() {
                self.problem("KICI_DATA_DIR", format_args!("is {dir:?}, write an absolute path"));
            }
            return dir.into();
        }
        let system = PathBuf::from("/var/lib/kici/agent");
        if std::fs::create_dir_all(&system).is_ok()
            && nix::unistd::access(&system, nix::unistd::AccessFlags::W_OK).is_ok()
        {
            return system;
        }
        let state = self.text("XDG_STATE_HOME").map(PathBuf::from);
        let home = self.text("HOME").map(|home| Path::new(&home).join(".local/state"));
        state.or(home).unwrap_or_else(std::env::temp_dir).join("kici/agent")
    }

    /// Switches that would change what isolates a job are refused while they have no effect here.
    fn refuse_unsupported(&mut self, warnings: &mut Vec<String>) {
        if let Some(mode) = self.text("KICI_EXECUTION_MODE")
            && mode != "bare-metal"
        {
            self.problem(
                "KICI_EXECUTION_MODE",
                format_args!("is {mode:?}, this version runs jobs on the host: write bare-metal"),
            );
        }
        if self.flag("KICI_SANDBOX", false) {
            self.problem("KICI_SANDBOX", "this version has no sandbox: unset it or write false");
        }
        for name in ["KICI_LOG_DIR", "KICI_DOCKER_KEEP_FAILED"] {
            if self.text(name).is_some_and(|value| value != "false") {
                warnings.push(format!("{name} has no effect in this version"));
            }
        }
    }
}

/// What an operator may see of the environment.
fn shown(values: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours = values.iter().filter(|(name, _)| name.starts_with("KICI_"));
    ours.map(|(name, value)| {
        let secret = ["TOKEN", "SECRET", "KEY", "PASSWORD", "DATABASE"];
        let is_secret = secret.iter().any(|word| name.contains(word)) && !value.is_empty();
        // A URL may carry a user and a password.
        let has_user = value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
        let shown = if is_secret || has_user { "***".to_owned() } else { value.clone() };
        (name.clone(), shown)
    })
    .collect()
}

fn property(text: &str) -> PropertyValue {
    match text {
        "true" => PropertyValue::Bool(true),
        "false" => PropertyValue::Bool(false),
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .map_or_else(|_| PropertyValue::Text(text.to_owned()), PropertyValue::Number),
        other => PropertyValue::Text(other.to_owned()),
    }
}
