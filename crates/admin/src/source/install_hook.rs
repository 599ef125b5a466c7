//! `kici-admin source install-hook`.
//!
//! The hooks are small scripts that call this very program by its path. A hook that is there already is
//! kept: it becomes `<name>.local` and is run first, with the same input.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use kici_model::ids::SourceId;
use kici_protocol::http::sources::SourceView;
use serde_json::json;

use super::local_git::{ask, full_name, is_repository};
use crate::context::Context;

/// By this line a hook is known as ours.
const MARK: &str = "# Installed by kici-admin source install-hook.";

#[derive(Debug, Args)]
pub(crate) struct InstallHook {
    /// The source's id.
    id: SourceId,
    /// The repository; not needed when the source's folder is the repository.
    #[arg(long, value_name = "FOLDER")]
    repo: Option<PathBuf>,
    /// The address that the hook reports to, if it is not --url.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

impl InstallHook {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let source = context.client()?.source_get(self.id).await?.source;
        let Some(local) = &source.git_config else {
            bail!("source {} is not a local source", self.id);
        };
        let base = PathBuf::from(&local.repo_base_path);
        let repository = match self.repo {
            Some(repository) => repository,
            None if is_repository(&base) => base.clone(),
            None => bail!("{} is a folder of repositories: name one with --repo", base.display()),
        };
        if !is_repository(&repository) {
            bail!("{} is not the top of a git repository", repository.display());
        }
        let name = full_name(&base, &repository)?;
        let url = self.base_url.unwrap_or_else(|| context.url().to_owned());
        let hooks = hooks_folder(&repository)?;
        let bare =
            ask(&repository, &["rev-parse", "--is-bare-repository"])?.as_deref() == Some("true");
        // A commit in a working tree is not pushed anywhere, so only post-commit hears of it.
        let kinds: &[&str] =
            if bare { &["post-receive"] } else { &["post-receive", "post-commit"] };
        let program =
            std::env::current_exe().context("could not find out where this program is")?;
        let mut installed = Vec::new();
        for kind in kinds {
            installed.push(install(&hooks, kind, &script(kind, &program, &source, &name, &url))?);
        }
        let answer = json!({ "repository": name, "url": url, "hooks": installed });
        if !context.out.json(&answer)? {
            for hook in &installed {
                context.out.line(&format!("Hook installed: {}", hook.display()))?;
            }
            context.out.line(&format!("It reports repository {name} to {url}."))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn hooks_folder(repository: &Path) -> Result<PathBuf> {
    let Some(path) = ask(repository, &["rev-parse", "--git-path", "hooks"])? else {
        bail!(
            "git does not take {} for a repository: run git -C there to see why",
            repository.display()
        );
    };
    let folder = repository.join(path);
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    Ok(folder)
}

fn install(hooks: &Path, kind: &str, script: &str) -> Result<PathBuf> {
    let hook = hooks.join(kind);
    let keep = hooks.join(format!("{kind}.local"));
    match fs::read(&hook) {
        Ok(old) if String::from_utf8_lossy(&old).contains(MARK) => {}
        Ok(_) if keep.exists() => {
            bail!("{} and {} both exist already: join them first", hook.display(), keep.display());
        }
        Ok(_) => {
            fs::rename(&hook, &keep)
                .with_context(|| format!("could not rename {}", hook.display()))?;
            eprintln!("The hook that was there is now {} and runs first.", keep.display());
        }
        Err(_) => {}
    }
    // Written beside and renamed, so that a push at this moment sees the old hook or the new one.
    let fresh = hooks.join(format!("{kind}.new"));
    let write = || -> std::io::Result<()> {
        fs::write(&fresh, script)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))?;
        fs::rename(&fresh, &hook)
    };
    write().with_context(|| format!("could not write {}", hook.display()))?;
    Ok(hook)
}

fn script(kind: &str, program: &Path, source: &SourceView, name: &str, url: &str) -> String {
    let program = quoted(&program.to_string_lossy());
    let call = [
        format!("source hook {kind}"),
        format!("--org {}", quoted(&source.customer_id)),
        format!("--source {}", quoted(&source.id.to_string())),
        format!("--repo-full-name {}", quoted(name)),
        format!("--url {}", quoted(url)),
    ]
    .join(" ");
    format!(
        r#"#!/bin/sh
{MARK}
# Tells the orchestrator what happened here. Never fails the push or commit itself.
program={program}
input=
[ {kind} = post-receive ] && input=$(cat)
before=$(dirname "$0")/{kind}.local
if [ -x "$before" ]; then
    printf '%s\n' "$input" | "$before" "$@"
fi
if [ -x "$program" ]; then
    printf '%s\n' "$input" | "$program" {call}
else
    echo "kici: $program is not there, so the orchestrator does not hear of this; install the hook again" >&2
fi
exit 0
"#
    )
}

/// A word that a shell takes as it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
