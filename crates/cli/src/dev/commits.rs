//! Sees commits: which branches of a repository point where, and what changed since the last look.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The `before` of a branch that did not exist.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// Where each branch points: `refs/heads/main` to its commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Branches(BTreeMap<String, String>);

/// A branch that points to another commit than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Push {
    /// `refs/heads/main`.
    pub(super) reference: String,
    /// The commit before, zeros for a new branch.
    pub(super) before: String,
    /// The commit now.
    pub(super) after: String,
}

impl Branches {
    /// Reads the branches of the repository at `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let text = git(root, &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads"])?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(Self(pairs.map(|(name, sha)| (name.to_owned(), sha.to_owned())).collect()))
    }

    /// What was pushed, so to say, since `earlier`. A branch that is gone is no push.
    pub(super) fn since(&self, earlier: &Self) -> Vec<Push> {
        self.0
            .iter()
            .filter_map(|(name, after)| {
                let before = earlier.0.get(name).map_or(NO_COMMIT, String::as_str);
                (before != after).then(|| Push {
                    reference: name.clone(),
                    before: before.to_owned(),
                    after: after.clone(),
                })
            })
            .collect()
    }
}

impl Push {
    /// `main`.
    pub(super) fn branch(&self) -> &str {
        self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference)
    }
}

/// Whether the commit has the file.
pub(super) fn has_file(root: &Path, commit: &str, file: &str) -> bool {
    git(root, &["cat-file", "-e", &format!("{commit}:{file}")]).is_ok()
}

/// Whether the file in the work tree differs from what is committed.
pub(super) fn is_uncommitted(root: &Path, file: &str) -> Result<bool> {
    Ok(!git(root, &["status", "--porcelain", "--", file])?.is_empty())
}

/// Runs git in `root`; gives what it printed, trimmed.
pub(super) fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    // Set while a hook runs: `kici dev` may be started from one.
    for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(inherited);
    }
    let output = command
        .args(["--no-optional-locks", "-C"])
        .arg(root)
        .args(arguments)
        .output()
        .context("could not run git; is it installed?")?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kici_testkit::Repo;

    #[test]
    fn a_commit_and_a_new_branch_are_pushes_but_a_removed_branch_is_none() {
        let repo = Repo::init();
        let first = repo.write("a", "1").commit("first");
        let empty = Branches::default();
        let start = Branches::read(repo.path()).unwrap();
        assert_eq!(
            start.since(&empty),
            [Push {
                reference: "refs/heads/main".into(),
                before: NO_COMMIT.into(),
                after: first.clone()
            }]
        );
        assert_eq!(start.since(&start), []);

        let second = repo.write("a", "2").commit("second");
        repo.git(&["branch", "feature/x"]);
        let later = Branches::read(repo.path()).unwrap();
        let pushes = later.since(&start);
        assert_eq!(pushes.len(), 2);
        assert_eq!(pushes[0].branch(), "feature/x");
        assert_eq!((&pushes[1].before, &pushes[1].after), (&first, &second));

        repo.git(&["branch", "-D", "feature/x"]);
        assert_eq!(Branches::read(repo.path()).unwrap().since(&later), []);
    }

    #[test]
    fn knows_what_is_committed() {
        let repo = Repo::init();
        let commit = repo.write(".kici/kici.lock.json", "{}").commit("lock");
        assert!(has_file(repo.path(), &commit, ".kici/kici.lock.json"));
        assert!(!has_file(repo.path(), &commit, "other"));
        assert!(!is_uncommitted(repo.path(), ".kici/kici.lock.json").unwrap());
        repo.write(".kici/kici.lock.json", "{ }");
        assert!(is_uncommitted(repo.path(), ".kici/kici.lock.json").unwrap());
    }
}
