//! What the commands for local sources ask git, on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// One line of git's output; `None` when git says no.
pub(crate) fn ask(repository: &Path, args: &[&str]) -> Result<Option<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(args)
        .output()
        .context("could not run git: is it installed?")?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((output.status.success() && !line.is_empty()).then_some(line))
}

/// Whether the folder is the top of a repository, with or without a working tree.
pub(crate) fn is_repository(folder: &Path) -> bool {
    folder.join(".git").exists()
        || (folder.join("HEAD").is_file() && folder.join("objects").is_dir())
}

/// The name by which the orchestrator knows a repository of a local source.
pub(crate) fn full_name(base: &Path, repository: &Path) -> Result<String> {
    let canonical = |path: &Path| -> Result<PathBuf> {
        path.canonicalize().with_context(|| format!("could not find {}", path.display()))
    };
    let (base, repository) = (canonical(base)?, canonical(repository)?);
    let inside = match repository.strip_prefix(&base) {
        Ok(inside) if inside.as_os_str().is_empty() => {
            Path::new(base.file_name().unwrap_or_default())
        }
        Ok(inside) => inside,
        Err(_) => {
            bail!("{} is not in the source's folder {}", repository.display(), base.display())
        }
    };
    let name = inside.to_str().with_context(|| format!("{} is not UTF-8", inside.display()))?;
    let name = name.strip_suffix(".git").filter(|name| !name.is_empty()).unwrap_or(name);
    Ok(if name.is_empty() { ".".to_owned() } else { name.to_owned() })
}

/// The branch that others start from. In a working tree, HEAD is whatever is being worked on.
pub(crate) fn default_branch(repository: &Path) -> Result<String> {
    let bare = ask(repository, &["rev-parse", "--is-bare-repository"])?.as_deref() == Some("true");
    if !bare {
        let origin = ask(repository, &["symbolic-ref", "--short", "refs/remotes/origin/HEAD"])?;
        if let Some(branch) = origin.as_deref().and_then(|name| name.strip_prefix("origin/")) {
            return Ok(branch.to_owned());
        }
        for branch in ["main", "master"] {
            let full = format!("refs/heads/{branch}");
            if ask(repository, &["rev-parse", "--verify", "--quiet", &full])?.is_some() {
                return Ok(branch.to_owned());
            }
        }
    }
    Ok(ask(repository, &["symbolic-ref", "--short", "HEAD"])?.unwrap_or_else(|| "main".to_owned()))
}
