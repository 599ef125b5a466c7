//! Installs the npm packages that a workflow imports, if it imports any.
//!
//! The SDK is built in, so most projects need nothing. Otherwise the lock file beside the manifest
//! decides which package manager runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::control::Stop;
use crate::environment;
use crate::process::{self, Bounds, Command, Ended, Outlet};

const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Why the packages are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DepsError {
    /// The manifest is broken.
    #[error("could not read {}", path.display())]
    Manifest {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The package manager is not there.
    #[error(
        ".kici/package.json has dependencies, but {manager} is not on the agent's PATH; \
         install it there, or commit .kici/node_modules"
    )]
    NoManager { manager: &'static str },
    /// It ended with an error; its output is in the job's log.
    #[error("{command} failed ({how}); its output is in the job's log")]
    Failed { command: String, how: String, output: String },
    /// It took too long.
    #[error("{command} did not finish within {} s", LIMIT.as_secs())]
    TimedOut { command: String, output: String },
    /// The job was stopped meanwhile.
    #[error("stopped while packages were installed")]
    Stopped,
    /// It could not be run.
    #[error("could not run {command}")]
    Run {
        command: String,
        #[source]
        source: std::io::Error,
    },
}

impl DepsError {
    /// What the package manager said.
    pub(crate) fn output(&self) -> Option<&str> {
        match self {
            Self::Failed { output, .. } | Self::TimedOut { output, .. } => Some(output),
            _ => None,
        }
    }
}

/// How a package manager is called.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    manager: &'static str,
    args: Vec<&'static str>,
}

/// Whether something has to be installed in `kici`, the `.kici` folder.
///
/// `with_sdk`: the SDK is wanted from `node_modules` too, not from this program.
pub(crate) fn needed(kici: &Path, with_sdk: bool) -> Result<bool, DepsError> {
    if kici.join("node_modules").exists() {
        return Ok(false);
    }
    let path = kici.join("package.json");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(DepsError::Manifest { path, source: source.into() }),
    };
    let manifest: Value = serde_json::from_str(&text)
        .map_err(|source| DepsError::Manifest { path, source: source.into() })?;
    let names = ["dependencies", "devDependencies", "optionalDependencies"]
        .into_iter()
        .filter_map(|section| manifest.get(section)?.as_object())
        .flat_map(|section| section.keys());
    // Type declarations are of use to editors only.
    let counts = |name: &String| {
        !name.starts_with("@types/") && (with_sdk || name.as_str() != "@kici-dev/sdk")
    };
    Ok(names.into_iter().any(counts))
}

/// Installs the packages of `kici`. `cache` outlives the job.
pub(crate) async fn install(kici: &Path, cache: &Path, stop: &Stop) -> Result<(), DepsError> {
    let plan = plan(kici);
    let shown = format!("{} {}", plan.manager, plan.args.join(" "));
    let mut env = environment::of_host();
    for (name, value) in [
        ("npm_config_cache", cache.join("npm")),
        ("npm_config_store_dir", cache.join("pnpm")),
        ("YARN_CACHE_FOLDER", cache.join("yarn")),
        ("COREPACK_HOME", cache.join("corepack")),
    ] {
        env.insert(name.to_owned(), value.to_string_lossy().into_owned());
    }
    env.insert("CI".to_owned(), "true".to_owned());
    env.insert("YARN_NODE_LINKER".to_owned(), "node-modules".to_owned());
    let command = Command {
        program: plan.manager.to_owned(),
        args: plan.args.iter().map(|&arg| arg.to_owned()).collect(),
        cwd: kici.to_owned(),
        env,
        input: None,
    };
    let running = process::start(command, Outlet::default(), Outlet::default())
        .map_err(|_| DepsError::NoManager { manager: plan.manager })?;
    let bounds = Bounds {
        stop: stop.clone(),
        timeout: Some(LIMIT),
        timeout_signal: Signal::SIGTERM,
        grace: Duration::from_secs(2),
    };
    let finished = running
        .finish(bounds)
        .await
        .map_err(|source| DepsError::Run { command: shown.clone(), source })?;
    if stop.term.is_cancelled() {
        return Err(DepsError::Stopped);
    }
    let output = finished.all.text();
    match finished.ended {
        _ if finished.timed_out => Err(DepsError::TimedOut { command: shown, output }),
        Ended::Exited(0) => Ok(()),
        Ended::Exited(code) => {
            Err(DepsError::Failed { command: shown, how: format!("exit code {code}"), output })
        }
        Ended::Killed(signal) => Err(DepsError::Failed { command: shown, how: signal, output }),
    }
}

/// The lock file decides; `npm ci` and its like change nothing in the checkout.
fn plan(kici: &Path) -> Plan {
    let has = |name: &str| kici.join(name).exists();
    let yarn_lock = std::fs::read_to_string(kici.join("yarn.lock"));
    if has("pnpm-lock.yaml") {
        let args = vec!["install", "--frozen-lockfile", "--package-import-method=copy"];
        return Plan { manager: "pnpm", args };
    }
    if let Ok(lock) = yarn_lock {
        // Only Yarn 2 and later write metadata.
        let args = if lock.contains("__metadata:") {
            vec!["install", "--immutable"]
        } else {
            vec!["install", "--frozen-lockfile", "--non-interactive"]
        };
        return Plan { manager: "yarn", args };
    }
    let verb =
        if has("package-lock.json") || has("npm-shrinkwrap.json") { "ci" } else { "install" };
    let mut args = vec![verb, "--no-audit", "--no-fund"];
    if verb == "install" {
        args.push("--no-package-lock");
    }
    Plan { manager: "npm", args }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn only_real_dependencies_are_installed() {
        let asks = |manifest: &str, with_sdk| {
            needed(project(&[("package.json", manifest)]).path(), with_sdk).unwrap()
        };
        assert!(!asks("{}", true));
        let sdk = r#"{"dependencies":{"@kici-dev/sdk":"1"},"devDependencies":{"@types/node":"1"}}"#;
        assert!(!asks(sdk, false));
        assert!(asks(sdk, true));
        assert!(asks(r#"{"devDependencies":{"execa":"1"}}"#, false));
        assert!(!needed(project(&[]).path(), false).unwrap());
        let error = needed(project(&[("package.json", "{")]).path(), false).unwrap_err();
        assert!(error.to_string().contains("package.json"), "{error}");
        let installed = project(&[("package.json", r#"{"dependencies":{"a":"1"}}"#)]);
        std::fs::create_dir(installed.path().join("node_modules")).unwrap();
        assert!(!needed(installed.path(), false).unwrap());
    }

    #[test]
    fn the_lock_file_names_the_manager() {
        for (file, text, manager, verb) in [
            ("x", "", "npm", "install"),
            ("package-lock.json", "{}", "npm", "ci"),
            ("pnpm-lock.yaml", "", "pnpm", "install"),
            ("yarn.lock", "# yarn lockfile v1", "yarn", "install"),
        ] {
            let plan = plan(project(&[(file, text)]).path());
            assert_eq!((plan.manager, plan.args[0]), (manager, verb), "{file}");
        }
        let berry = plan(project(&[("yarn.lock", "__metadata:\n")]).path());
        assert_eq!(berry.args, ["install", "--immutable"]);
    }
}
