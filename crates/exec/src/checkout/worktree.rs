//! Makes a directory a normal git repository at one commit, with a single git process.
//!
//! `git init`, `remote add`, `branch` and `checkout` would be five; the files they write are few and
//! their format is documented (gitrepository-layout).

use std::path::{Path, PathBuf};

use super::CheckoutError;
use super::git::Git;
use super::source::Source;

/// A repository to be.
#[derive(Debug)]
pub(super) struct Worktree<'a> {
    dir: &'a Path,
    source: &'a Source,
    /// The branch that HEAD will be on.
    branch: Option<&'a str>,
}

impl<'a> Worktree<'a> {
    pub(super) fn new(dir: &'a Path, source: &'a Source, detached: bool) -> Self {
        let branch = Some(source.reference.as_str())
            .filter(|name| !detached && !name.starts_with("refs/") && is_branch_name(name));
        Self { dir, source, branch }
    }

    pub(super) fn git_dir(&self) -> PathBuf {
        self.dir.join(".git")
    }

    /// Writes an empty repository that borrows `objects`.
    pub(super) fn init(&self, objects: Option<PathBuf>) -> Result<(), CheckoutError> {
        let git_dir = self.git_dir();
        if git_dir.exists() {
            std::fs::remove_dir_all(&git_dir).map_err(CheckoutError::file("empty", &git_dir))?;
        }
        self.write("config", &self.config())?;
        for dir in ["refs/heads", "refs/tags", "objects/info", "objects/pack", "info"] {
            let path = self.git_dir().join(dir);
            std::fs::create_dir_all(&path).map_err(CheckoutError::file("create", path))?;
        }
        if let Some(objects) = objects {
            self.write("objects/info/alternates", &format!("{}\n", objects.display()))?;
        }
        // Read-only until there is a commit: enough for git to see a repository.
        self.write("HEAD", "ref: refs/heads/main\n")
    }

    /// Points HEAD, and the branches on both sides, to the commit.
    pub(super) fn set_head(&self, sha: &str) -> Result<(), CheckoutError> {
        let line = format!("{sha}\n");
        self.write("shallow", &line)?;
        let Some(branch) = self.branch else { return self.write("HEAD", &line) };
        self.write(&format!("refs/heads/{branch}"), &line)?;
        self.write(&format!("refs/remotes/origin/{branch}"), &line)?;
        self.write("HEAD", &format!("ref: refs/heads/{branch}\n"))
    }

    /// Brings the files.
    pub(super) async fn fill(&self, sha: &str, git: &Git) -> Result<(), CheckoutError> {
        let args = ["read-tree", "-u", "--reset", sha];
        git.run_with(&self.git_dir(), Some(self.dir), &args).await.map(|_| ())
    }

    /// Brings the files below `path` into another directory.
    pub(super) async fn fill_path(
        &self,
        sha: &str,
        path: &str,
        into: &Path,
        git: &Git,
    ) -> Result<(), CheckoutError> {
        let args = ["checkout", "--quiet", "--force", sha, "--", path];
        git.run_with(&self.git_dir(), Some(into), &args).await.map(|_| ())
    }

    fn config(&self) -> String {
        let mut config = String::from(
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n",
        );
        config.push_str(&format!("[remote \"origin\"]\n\turl = {}\n", quoted(&self.source.url)));
        match self.branch {
            Some(branch) => config.push_str(&format!(
                "\tfetch = +refs/heads/{branch}:refs/remotes/origin/{branch}\n\
                 [branch {}]\n\tremote = origin\n\tmerge = refs/heads/{branch}\n",
                quoted(branch)
            )),
            None => config.push_str("\tfetch = +refs/heads/*:refs/remotes/origin/*\n"),
        }
        config
    }

    fn write(&self, path: &str, text: &str) -> Result<(), CheckoutError> {
        let path = self.git_dir().join(path);
        std::fs::create_dir_all(path.parent().expect("paths below .git have a parent"))
            .and_then(|()| std::fs::write(&path, text))
            .map_err(CheckoutError::file("write", path))
    }
}

/// A value of a git configuration file.
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// The rules of `git check-ref-format`, on the strict side: a name that breaks them leaves HEAD
/// detached, and never writes outside `.git`.
fn is_branch_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['-', '/'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains("//")
        && name != "@"
        && !name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"))
        && !name.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_git_would_refuse_leave_head_detached() {
        for good in ["main", "feature/x.y", "v1.0", "ümlaut"] {
            assert!(is_branch_name(good), "{good}");
        }
        for bad in ["", "../x", "a..b", "a b", "a/.b", "x.lock", "-x", "@", "a//b", "a/", "a\nb"] {
            assert!(!is_branch_name(bad), "{bad:?}");
        }
    }
}
