//! Configuration from the environment, read once in `main` and passed on.
//!
//! `vars` reads single values and collects every problem, `known` lists all names so that a misspelt one is
//! refused with a suggestion, the other files hold one area each.

mod agents;
mod core;
mod data_dir;
mod known;
mod limits;
mod logging;
mod secret_key;
mod storage;
mod vars;

use std::fmt;

pub use agents::{AgentAuth, AgentsConfig};
pub use core::{BasePath, ServerConfig};
pub use limits::{EventsConfig, LockFileCacheConfig, QueueConfig, RetentionConfig};
pub use logging::{LogConfig, LogFormat, LogLevel};
pub use secret_key::SecretKey;
pub use storage::StorageConfig;
use vars::Vars;

/// Everything that an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// The listener, the database and the data directory.
    pub server: ServerConfig,
    /// Log files and their format.
    pub log: LogConfig,
    /// Where logs and caches are kept.
    pub storage: StorageConfig,
    /// Waiting jobs.
    pub queue: QueueConfig,
    /// The agents' side.
    pub agents: AgentsConfig,
    /// The lock-file cache.
    pub lock_files: LockFileCacheConfig,
    /// Deliveries and events.
    pub events: EventsConfig,
    /// How long things are kept.
    pub retention: RetentionConfig,
}

/// What is wrong with the environment, all of it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    unknown: Vec<String>,
    invalid: Vec<String>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.unknown.is_empty() {
            write!(
                f,
                "Unknown KICI_* env var(s) detected — refusing to start. Set KICI_DEV=true to downgrade this to a \
                 warning."
            )?;
            for line in &self.unknown {
                write!(f, "\n  - {line}")?;
            }
            if !self.invalid.is_empty() {
                writeln!(f)?;
            }
        }
        if !self.invalid.is_empty() {
            write!(f, "Configuration validation failed:")?;
            for line in &self.invalid {
                write!(f, "\n  - {line}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads this process's environment. The second value holds warnings for the log.
    pub fn from_env() -> Result<(Config, Vec<String>), ConfigErrors> {
        Config::from_vars(std::env::vars())
    }

    /// Reads any set of variables.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Config, Vec<String>), ConfigErrors> {
        let mut vars = Vars::new(vars);
        let dev = vars.flag("KICI_DEV", false);
        let mut unknown = known::unknown(vars.names());
        let config = Config {
            server: ServerConfig::read(&mut vars, dev),
            log: LogConfig::read(&mut vars),
            storage: StorageConfig::read(&mut vars),
            queue: QueueConfig::read(&mut vars),
            agents: AgentsConfig::read(&mut vars),
            lock_files: LockFileCacheConfig::read(&mut vars),
            events: EventsConfig::read(&mut vars),
            retention: RetentionConfig::read(&mut vars),
        };
        let (invalid, mut warnings) = vars.finish();
        warnings.extend(known::ignored(vars.names()));
        if dev {
            warnings.extend(unknown.drain(..).map(|line| format!("unknown variable: {line}")));
        }
        if unknown.is_empty() && invalid.is_empty() {
            Ok((config, warnings))
        } else {
            Err(ConfigErrors { unknown, invalid })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<(Config, Vec<String>), ConfigErrors> {
        let base = [
            ("KICI_MODE", "independent"),
            ("KICI_DATABASE_URL", "postgres://kici@localhost/kici"),
            ("KICI_SECRET_KEY", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
            ("KICI_DATA_DIR", "/tmp"),
        ];
        let mut all: Vec<(String, String)> =
            base.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        for (key, value) in vars {
            all.retain(|(known, _)| known != key);
            all.push((key.to_string(), value.to_string()));
        }
        Config::from_vars(all)
    }

    #[test]
    fn a_misspelt_variable_is_refused_with_a_suggestion_unless_in_dev() {
        let error = read(&[("KICI_QUEUE_MAX_DEPHT", "5")]).unwrap_err().to_string();
        assert!(
            error.contains("KICI_QUEUE_MAX_DEPHT (did you mean KICI_QUEUE_MAX_DEPTH?)"),
            "{error}"
        );
        assert!(error.contains("Set KICI_DEV=true"), "{error}");
        let error = read(&[("KICI_XYZZY_PLUGH_1", "5")]).unwrap_err().to_string();
        assert!(error.contains("(no close match in the schema)"), "{error}");

        let (_, warnings) = read(&[("KICI_QUEUE_MAX_DEPHT", "5"), ("KICI_DEV", "true")]).unwrap();
        assert!(warnings.iter().any(|line| line.contains("KICI_QUEUE_MAX_DEPTH")), "{warnings:?}");
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let error = Config::from_vars([("KICI_PORT".to_string(), "-1".to_string())])
            .unwrap_err()
            .to_string();
        for field in ["databaseUrl", "platformUrl", "platformToken", "secrets.key", "server.port"] {
            assert!(error.contains(field), "{field} is missing in {error}");
        }
    }

    #[test]
    fn both_spellings_work_and_must_agree() {
        let (config, _) = read(&[("KICI_SERVER_PORT", "0")]).unwrap();
        assert_eq!(config.server.port, 0);
        let error = read(&[("KICI_INSTANCE_MODE", "hybrid")]).unwrap_err().to_string();
        assert!(error.contains("KICI_MODE") && error.contains("KICI_INSTANCE_MODE"), "{error}");
        assert!(read(&[("KICI_INSTANCE_MODE", "independent")]).is_ok());
    }

    #[test]
    fn one_interface_or_all() {
        let (config, _) = read(&[("KICI_LISTEN_ADDRESS", "::1")]).unwrap();
        assert!(config.server.listen_address.is_some_and(|address| address.is_loopback()));
        assert_eq!(read(&[]).unwrap().0.server.listen_address, None);
        let error = read(&[("KICI_LISTEN_ADDRESS", "localhost")]).unwrap_err().to_string();
        assert!(error.contains("server.listenAddress") && error.contains("127.0.0.1"), "{error}");
    }

    #[test]
    fn only_independent_mode_is_served() {
        let error = read(&[
            ("KICI_MODE", "hybrid"),
            ("KICI_PLATFORM_URL", "wss://x"),
            ("KICI_PLATFORM_TOKEN", "t"),
        ])
        .unwrap_err()
        .to_string();
        assert!(error.contains("KICI_MODE=independent"), "{error}");
    }

    #[test]
    fn sibling_programs_and_legacy_families_do_not_stop_it() {
        let (_, warnings) = read(&[
            ("KICI_ADMIN_TOKEN", "x"),
            ("KICI_AGENT_TOKEN", "kat_x"),
            ("KICI_COLD_STORE_ENABLED", "false"),
            ("KICI_PROVIDERS_GITHUB_ACME_APP_ID", "1"),
            ("KICI_VAULT_ADDR", "x"),
        ])
        .unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }

    #[test]
    fn numbers_have_bounds_and_an_empty_value_is_unset() {
        assert!(read(&[("KICI_QUEUE_MAX_DEPTH", "-5")]).is_err());
        assert!(read(&[("KICI_DISPATCH_ACK_TIMEOUT_MS", "10")]).is_err());
        let (config, _) =
            read(&[("KICI_QUEUE_MAX_DEPTH", ""), ("KICI_QUEUE_TIMEOUT_MS", "0")]).unwrap();
        assert_eq!(config.queue.max_depth, 1000);
        assert_eq!(config.queue.timeout, None);
    }

    #[test]
    fn a_key_in_hex_or_base64_is_the_same_and_31_bytes_are_not_enough() {
        let hex = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
        let key = |text: &str| {
            read(&[("KICI_SECRET_KEY", text)]).map(|(config, _)| config.server.secret_key)
        };
        assert_eq!(key(hex).unwrap().unwrap().bytes(), key(base64).unwrap().unwrap().bytes());
        let error = key(&hex[2..]).unwrap_err().to_string();
        assert!(error.contains("exactly 32 bytes") && !error.contains(&hex[2..]), "{error}");
    }
}
