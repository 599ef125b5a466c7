//! Where a secret of a command comes from: the option, a file, the environment or standard input.

use std::io::Read as _;

use anyhow::{Context as _, Result, bail};

/// The ways to give one secret.
pub(crate) struct SecretInput<'a> {
    /// The option's name, for messages.
    pub(crate) option: &'a str,
    /// The option's value: the secret, or `@file`.
    pub(crate) value: Option<String>,
    /// The name of an environment variable.
    pub(crate) from_env: Option<String>,
    /// Read standard input to its end.
    pub(crate) stdin: bool,
}

impl SecretInput<'_> {
    /// The secret without one line break at its end; `None` when no way was chosen.
    pub(crate) fn read(self) -> Result<Option<String>> {
        let option = self.option;
        let ways = [self.value.is_some(), self.from_env.is_some(), self.stdin];
        if ways.iter().filter(|way| **way).count() > 1 {
            bail!("pick exactly one of {option}, --from-env and --stdin");
        }
        let text = if let Some(value) = self.value {
            match value.strip_prefix('@') {
                None => value,
                Some(path) => std::fs::read_to_string(path)
                    .with_context(|| format!("could not read {option} from {path}"))?,
            }
        } else if let Some(name) = self.from_env {
            std::env::var(&name).with_context(|| format!("could not read the variable {name}"))?
        } else if self.stdin {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("could not read standard input")?;
            text
        } else {
            return Ok(None);
        };
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            bail!("the secret given with {option}, --from-env or --stdin is empty");
        }
        Ok(Some(text.to_owned()))
    }
}
