//! The listener, the database, the data directory and the keys.

use std::net::IpAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use super::data_dir::data_dir;
use super::secret_key::SecretKey;
use super::vars::Vars;

/// The listener, the database and the data directory.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// `KICI_PORT`, default 4000; 0 takes a free one and logs it.
    pub port: u16,
    /// `KICI_LISTEN_ADDRESS`: the interface to listen on; default all.
    pub listen_address: Option<IpAddr>,
    /// `KICI_BASE_PATH`: URL prefix of every route; routes are served without it as well.
    pub base_path: BasePath,
    /// `KICI_DATABASE_URL`: PostgreSQL.
    pub database_url: SecretString,
    /// `KICI_AUTO_MIGRATE`, default true.
    pub auto_migrate: bool,
    /// `KICI_DATA_DIR`: where files are kept.
    pub data_dir: PathBuf,
    /// `KICI_SECRET_KEY` or `KICI_SECRET_KEY_FILE`: the master key. None only in development.
    pub secret_key: Option<SecretKey>,
    /// `KICI_SECRET_KEY_OLD` or `KICI_SECRET_KEY_FILE_OLD`: the previous key, to decrypt with.
    pub old_secret_key: Option<SecretKey>,
    /// `KICI_BOOTSTRAP_ADMIN_TOKEN`: the first owner token.
    pub bootstrap_admin_token: Option<SecretString>,
    /// `KICI_CLUSTER_INSTANCE_ID`: this orchestrator's name.
    pub instance_id: Option<String>,
    /// `KICI_CLUSTER_TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed (addresses or CIDR).
    pub trusted_proxies: Vec<String>,
    /// `KICI_WEBHOOK_PUBLIC_URL`: public base for printed webhook URLs.
    pub public_url: Option<String>,
    /// `KICI_DASHBOARD_URL`: base of links to runs.
    pub dashboard_url: Option<String>,
    /// `KICI_DEV`: unknown variables and a missing key are no errors.
    pub dev: bool,
}

impl ServerConfig {
    pub(super) fn read(vars: &mut Vars, dev: bool) -> ServerConfig {
        mode(vars);
        let port = match vars.text_alias("KICI_PORT", "KICI_SERVER_PORT") {
            None => 4000,
            Some(text) => vars.parse_number("server.port", &text, 0).unwrap_or(4000),
        };
        let listen_address = listen_address(vars);
        let database_url = vars.text("KICI_DATABASE_URL").unwrap_or_else(|| {
            vars.problem(
                "databaseUrl",
                "databaseUrl is required: set KICI_DATABASE_URL=postgres://…",
            );
            String::new()
        });
        let secret_key =
            SecretKey::read(vars, "secrets.key", "KICI_SECRET_KEY", "KICI_SECRET_KEY_FILE");
        if secret_key.is_none() && !dev && vars.text("KICI_SECRET_KEY").is_none() {
            vars.problem(
                "secrets.key",
                "a master key is required: set KICI_SECRET_KEY to 32 random bytes in hex or base64 \
                 (for example from `openssl rand -hex 32`)",
            );
        }
        ServerConfig {
            port,
            listen_address,
            base_path: BasePath::new(
                &vars.text_alias("KICI_BASE_PATH", "KICI_SERVER_BASE_PATH").unwrap_or_default(),
            ),
            database_url: database_url.into(),
            auto_migrate: vars.flag("KICI_AUTO_MIGRATE", true),
            data_dir: data_dir(vars),
            secret_key,
            old_secret_key: SecretKey::read(
                vars,
                "secrets.keyOld",
                "KICI_SECRET_KEY_OLD",
                "KICI_SECRET_KEY_FILE_OLD",
            ),
            bootstrap_admin_token: vars.text("KICI_BOOTSTRAP_ADMIN_TOKEN").map(SecretString::from),
            instance_id: vars.text_alias("KICI_CLUSTER_INSTANCE_ID", "KICI_INSTANCE_ID"),
            trusted_proxies: vars
                .text("KICI_CLUSTER_TRUSTED_PROXIES")
                .map(|csv| {
                    csv.split(',')
                        .map(|part| part.trim().to_owned())
                        .filter(|p| !p.is_empty())
                        .collect()
                })
                .unwrap_or_default(),
            public_url: vars.text("KICI_WEBHOOK_PUBLIC_URL"),
            dashboard_url: vars.text("KICI_DASHBOARD_URL"),
            dev,
        }
    }
}

fn listen_address(vars: &mut Vars) -> Option<IpAddr> {
    let text = vars.text("KICI_LISTEN_ADDRESS")?;
    let address = text.parse().ok();
    if address.is_none() {
        vars.problem(
            "server.listenAddress",
            format_args!(
                "expected an IP address such as 127.0.0.1 in KICI_LISTEN_ADDRESS, found {text:?}"
            ),
        );
    }
    address
}

/// Only `independent` is served by this version; the others say what they lack first.
fn mode(vars: &mut Vars) {
    let mode =
        vars.text_alias("KICI_MODE", "KICI_INSTANCE_MODE").unwrap_or_else(|| "platform".into());
    match mode.as_str() {
        "independent" => {}
        "platform" | "hybrid" => {
            let (url, token) = (vars.text("KICI_PLATFORM_URL"), vars.text("KICI_PLATFORM_TOKEN"));
            if url.is_none() {
                vars.problem(
                    "platformUrl",
                    "platformUrl is required when mode is platform or hybrid",
                );
            }
            if token.is_none() {
                vars.problem(
                    "platformToken",
                    "platformToken is required when mode is platform or hybrid",
                );
            }
            vars.problem(
                "mode",
                format_args!(
                    "mode {mode} is not available in this version: set KICI_MODE=independent"
                ),
            );
        }
        other => vars.problem(
            "mode",
            format_args!("expected independent, hybrid or platform in KICI_MODE, found {other:?}"),
        ),
    }
}

/// A URL prefix: empty, or `/a/b` with a leading and no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// Normalises what an operator wrote.
    pub fn new(text: &str) -> BasePath {
        let inner = text.trim().trim_matches('/');
        BasePath(if inner.is_empty() { String::new() } else { format!("/{inner}") })
    }

    /// The prefix, empty for none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_has_a_leading_and_no_trailing_slash() {
        for (text, want) in [("", ""), ("/", ""), ("kici", "/kici"), ("/a/b/", "/a/b")] {
            assert_eq!(BasePath::new(text).as_str(), want);
        }
    }
}
