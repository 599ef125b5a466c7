//! Runs git: with the job's credential, without prompts, in its own process group, for a limited time.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::source::{Credential, Source};
use super::{CheckoutError, LIMIT, redact};
use crate::environment;
use crate::process::Group;

/// The end of what git said is enough for an error.
const SAID: usize = 4_000;

/// git, ready to run for one source.
#[derive(Debug)]
pub(super) struct Git {
    env: BTreeMap<String, String>,
    /// Must not show up in errors.
    secrets: Vec<String>,
    stop: CancellationToken,
    deadline: Instant,
}

impl Git {
    pub(super) fn new(
        source: &Source,
        temp: &Path,
        stop: CancellationToken,
    ) -> Result<Self, CheckoutError> {
        let mut env = environment::of_host();
        for (name, value) in
            [("GIT_TERMINAL_PROMPT", "0"), ("GIT_ASKPASS", "true"), ("LC_ALL", "C")]
        {
            env.insert(name.to_owned(), value.to_owned());
        }
        let mut git = Self { env, secrets: Vec::new(), stop, deadline: Instant::now() + LIMIT };
        if source.local_path().is_some() {
            git.trust_local_repositories(temp)?;
        }
        git.use_credential(&source.credential, temp)?;
        Ok(git)
    }

    /// A repository on this machine may belong to another user. Only a global setting reaches the
    /// process on the other side of a local fetch.
    fn trust_local_repositories(&mut self, temp: &Path) -> Result<(), CheckoutError> {
        let path = temp.join("gitconfig");
        std::fs::write(&path, "[safe]\n\tdirectory = *\n")
            .map_err(CheckoutError::file("write", &path))?;
        self.set("GIT_CONFIG_GLOBAL", path.to_string_lossy());
        Ok(())
    }

    fn use_credential(
        &mut self,
        credential: &Credential,
        temp: &Path,
    ) -> Result<(), CheckoutError> {
        match credential {
            Credential::None => {}
            Credential::Basic { user, secret } => {
                let encoded = STANDARD.encode(format!("{user}:{secret}"));
                self.set("GIT_CONFIG_COUNT", "1");
                self.set("GIT_CONFIG_KEY_0", "http.extraHeader");
                self.set("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {encoded}"));
                self.secrets.extend([secret.clone(), encoded]);
            }
            Credential::Ssh { key, known_hosts } => {
                let key_file = temp.join("ssh-key");
                write_private(&key_file, &format!("{}\n", key.trim_end()))?;
                let hosts_file = temp.join("known-hosts");
                let check = match known_hosts {
                    Some(hosts) => {
                        write_private(&hosts_file, hosts)?;
                        "yes"
                    }
                    None => "accept-new",
                };
                self.set(
                    "GIT_SSH_COMMAND",
                    format!(
                        "ssh -i '{}' -o IdentitiesOnly=yes -o BatchMode=yes \
                         -o StrictHostKeyChecking={check} -o UserKnownHostsFile='{}'",
                        key_file.display(),
                        hosts_file.display(),
                    ),
                );
                self.secrets.push(key.clone());
            }
            Credential::Unknown { kind } => {
                return Err(CheckoutError::Credential(format!(
                    "its kind is {kind:?}, expected \"basic\" or \"ssh\""
                )));
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.insert(name.to_owned(), value.into());
    }

    /// Runs git on the repository `git_dir` and returns what it printed.
    pub(super) async fn run(&self, git_dir: &Path, args: &[&str]) -> Result<String, CheckoutError> {
        self.run_with(git_dir, None, args).await
    }

    /// The same, with a work tree.
    pub(super) async fn run_with(
        &self,
        git_dir: &Path,
        work_tree: Option<&Path>,
        args: &[&str],
    ) -> Result<String, CheckoutError> {
        let what = args.first().copied().unwrap_or_default().to_owned();
        let mut command = tokio::process::Command::new("git");
        command
            .args(args)
            .env_clear()
            .envs(&self.env)
            .env("GIT_DIR", git_dir)
            .current_dir(work_tree.unwrap_or(git_dir))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(tree) = work_tree {
            command.env("GIT_WORK_TREE", tree);
        }
        let mut child = command.spawn().map_err(CheckoutError::NoGit)?;
        let group = Group::led_by(child.id().expect("a child that nobody waited for has an id"));
        let mut out = child.stdout.take().expect("stdout is piped");
        let mut err = child.stderr.take().expect("stderr is piped");
        let (mut printed, mut said) = (Vec::new(), Vec::new());
        let output = async {
            let (out, err, status) = tokio::join!(
                out.read_to_end(&mut printed),
                err.read_to_end(&mut said),
                child.wait()
            );
            out.and(err).and(status)
        };
        let stopped = tokio::select! {
            status = output => {
                let status = status.map_err(CheckoutError::NoGit)?;
                if status.success() {
                    return Ok(String::from_utf8_lossy(&printed).into_owned());
                }
                let said = String::from_utf8_lossy(&said).into_owned();
                return Err(CheckoutError::Git { what, said: self.last_words(&said) });
            }
            () = self.stop.cancelled() => CheckoutError::Stopped { what },
            () = tokio::time::sleep_until(self.deadline) => CheckoutError::TimedOut { what },
        };
        group.signal(nix::sys::signal::Signal::SIGKILL);
        let _status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
        Err(stopped)
    }

    /// The end of git's own words, without credentials.
    fn last_words(&self, said: &str) -> String {
        let said = redact::with_secrets(said.trim(), &self.secrets);
        let from = said.char_indices().rev().nth(SAID).map_or(0, |(at, _)| at);
        said[from..].to_owned()
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), CheckoutError> {
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(CheckoutError::file("write", path))
}

#[cfg(test)]
impl Git {
    /// The same with another setting.
    pub(super) fn with_config(mut self, key: &str, value: &str) -> Self {
        self.set("GIT_CONFIG_COUNT", "1");
        self.set("GIT_CONFIG_KEY_0", key);
        self.set("GIT_CONFIG_VALUE_0", value);
        self
    }

    /// A variable of git's environment.
    pub(super) fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }
}
