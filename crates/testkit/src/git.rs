//! Real git repositories in temporary folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A repository with a working tree; its folder goes when it is dropped.
#[derive(Debug)]
pub struct Repo {
    dir: TempDir,
}

impl Repo {
    /// An empty repository on branch `main`.
    pub fn init() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("kici-repo-")
            .tempdir()
            .expect("the temporary folder is writable");
        let repo = Self { dir };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// The working tree.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let full = self.path().join(path);
        let parent = full.parent().expect("a file in the tree has a folder");
        std::fs::create_dir_all(parent).expect("the tree is writable");
        std::fs::write(&full, content)
            .unwrap_or_else(|error| panic!("could not write {}: {error}", full.display()));
        self
    }

    /// Copies a folder's content into the tree.
    pub fn copy_from(&self, folder: &Path) -> &Self {
        copy_tree(folder, self.path());
        self
    }

    /// Commits everything in the tree, also when nothing changed; gives the SHA.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the tree and gives what it printed, trimmed. Panics when git fails.
    pub fn git(&self, args: &[&str]) -> String {
        let output =
            isolated_git().args(args).current_dir(self.path()).output().expect("git is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?} failed: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes a bare repository that this one pushes to as `origin`.
    pub fn bare_origin(&self) -> (TempDir, PathBuf) {
        let dir = tempfile::Builder::new()
            .prefix("kici-origin-")
            .tempdir()
            .expect("the temporary folder is writable");
        let bare = dir.path().join("origin.git");
        let target = bare.to_str().expect("temporary folders have UTF-8 names");
        self.git(&["clone", "--quiet", "--bare", ".", target]);
        self.git(&["remote", "add", "origin", target]);
        (dir, bare)
    }
}

/// git without the settings of the machine and its user.
fn isolated_git() -> Command {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com");
    for inherited in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(inherited);
    }
    git
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the tree is writable");
    let entries = std::fs::read_dir(from)
        .unwrap_or_else(|error| panic!("could not read {}: {error}", from.display()));
    for entry in entries {
        let from = entry.expect("the folder stays readable").path();
        let to = to.join(from.file_name().expect("an entry has a name"));
        if from.is_dir() {
            copy_tree(&from, &to);
        } else {
            // Read and write, not copy: fixtures may be read-only and copies must not be.
            let content = std::fs::read(&from)
                .unwrap_or_else(|error| panic!("could not read {}: {error}", from.display()));
            std::fs::write(&to, content).expect("the tree is writable");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_and_pushes() {
        let repo = Repo::init();
        let first = repo.write("a/b.txt", "one").commit("first");
        let (_keep, bare) = repo.bare_origin();
        let second = repo.write("a/b.txt", "two").commit("second");
        assert_ne!(first, second);
        repo.git(&["push", "--quiet", "origin", "main"]);
        let bare = bare.to_str().expect("UTF-8");
        assert_eq!(repo.git(&["--git-dir", bare, "rev-parse", "main"]), second);
    }
}
