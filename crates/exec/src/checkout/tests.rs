//! Checkouts with real git, where a whole job would not show enough.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

struct Repository {
    dir: tempfile::TempDir,
}

impl Repository {
    /// A repository whose objects cannot be borrowed, so that everything has to be fetched.
    fn new() -> Self {
        let repository = Self { dir: tempfile::tempdir().unwrap() };
        let repo = repository.repo();
        std::fs::create_dir_all(&repo).unwrap();
        git(&repo, &["init", "--quiet", "--initial-branch", "main"]);
        git(&repo, &["config", "extensions.worktreeConfig", "true"]);
        repository.commit("one");
        repository
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    fn url(&self) -> String {
        format!("file://{}", self.repo().display())
    }

    fn commit(&self, text: &str) -> String {
        std::fs::write(self.repo().join("file"), text).unwrap();
        git(&self.repo(), &["add", "file"]);
        let who = ["-c", "user.name=T", "-c", "user.email=t@example.com"];
        git(&self.repo(), &[&who[..], &["commit", "--quiet", "-m", text]].concat());
        git(&self.repo(), &["rev-parse", "HEAD"])
    }

    /// Checks out into a fresh directory; returns it.
    async fn checkout(
        &self,
        reference: &str,
        sha: &str,
    ) -> Result<(PathBuf, Borrowed), CheckoutError> {
        let workspace = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let temp = tempfile::tempdir_in(self.dir.path()).unwrap();
        let mirrors = self.dir.path().join("mirrors");
        let places = Places {
            workspace: &workspace,
            mirrors: Some(&mirrors),
            temp: temp.path(),
            detached: reference.starts_with("refs/tags/"),
        };
        let wanted = Checkout::Git {
            url: self.url(),
            reference: reference.to_owned(),
            sha: sha.to_owned(),
            auth: None,
        };
        let borrowed = checkout(&wanted, &places, CancellationToken::new()).await?;
        Ok((workspace.clone(), borrowed))
    }

    fn mirror(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.dir.path().join("mirrors")).unwrap().flatten();
        entries.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap()
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn text_in(workspace: &Path) -> String {
    std::fs::read_to_string(workspace.join("file")).unwrap()
}

#[tokio::test]
async fn a_commit_is_fetched_once() {
    let repository = Repository::new();
    let sha = repository.commit("two");
    let (workspace, _kept) = repository.checkout("main", &sha).await.unwrap();
    assert_eq!(text_in(&workspace), "two");
    assert_eq!(git(&workspace, &["status", "--porcelain"]), "");
    assert_eq!(git(&workspace, &["rev-list", "--count", "HEAD"]), "1");

    std::fs::rename(repository.repo(), repository.dir.path().join("gone")).unwrap();
    let (workspace, _kept) = repository.checkout("main", &sha).await.unwrap();
    assert_eq!(text_in(&workspace), "two");
    let error = repository.checkout("main", &"1".repeat(40)).await.unwrap_err();
    assert!(error.to_string().starts_with("git fetch failed"), "{error}");
}

#[tokio::test]
async fn a_damaged_mirror_does_not_hurt() {
    let repository = Repository::new();
    let sha = repository.commit("two");
    repository.checkout("main", &sha).await.unwrap();
    let objects = repository.mirror().join("objects");
    std::fs::remove_dir_all(&objects).unwrap();
    std::fs::create_dir_all(objects.join("info")).unwrap();
    for _ in 0..2 {
        let (workspace, _kept) = repository.checkout("main", &sha).await.unwrap();
        assert_eq!(text_in(&workspace), "two");
    }
}

#[tokio::test]
async fn jobs_share_a_mirror_at_the_same_time() {
    let repository = Repository::new();
    let commits: Vec<String> = (0..4).map(|n| repository.commit(&n.to_string())).collect();
    let checkouts = commits.iter().map(|sha| repository.checkout("main", sha));
    let done = futures_util::future::join_all(checkouts).await;
    for (n, result) in done.into_iter().enumerate() {
        assert_eq!(text_in(&result.unwrap().0), n.to_string());
    }
}

#[tokio::test]
async fn a_server_that_gives_no_single_commits_is_asked_for_the_branch() {
    let repository = Repository::new();
    let old = repository.commit("old");
    repository.commit("new");
    // Protocol version 0 lets the server refuse what no ref points to.
    let source = Source::new(&repository.url(), "main", &old, None);
    let temp = tempfile::tempdir().unwrap();
    let git = Git::new(&source, temp.path(), CancellationToken::new()).unwrap();
    let git = git.with_config("protocol.version", "0");
    let into = temp.path().join("into");
    self::git(temp.path(), &["init", "--quiet", "--bare", "into"]);
    assert_eq!(Fetch { git: &git, source: &source, into: &into }.commit().await.unwrap(), old);

    let unknown = Source::new(&repository.url(), "main", &"2".repeat(40), None);
    let error = Fetch { git: &git, source: &unknown, into: &into }.commit().await.unwrap_err();
    assert!(matches!(error, CheckoutError::NoCommit { .. }), "{error}");
}

#[tokio::test]
async fn tags_leave_head_detached() {
    let repository = Repository::new();
    let sha = repository.commit("tagged");
    git(&repository.repo(), &["tag", "v1"]);
    for wanted in [sha.as_str(), "", &sha[..10]] {
        let (workspace, _kept) = repository.checkout("refs/tags/v1", wanted).await.unwrap();
        assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), sha);
        assert_eq!(git(&workspace, &["branch", "--show-current"]), "");
    }
}

#[tokio::test]
async fn the_credential_travels_in_a_header() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x.git", server.local_addr().unwrap());
    let request = tokio::spawn(async move {
        let (mut connection, _) = server.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = connection.read(&mut request).await.unwrap();
        let answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        connection.write_all(answer).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let dir = tempfile::tempdir().unwrap();
    let auth = GitAuth {
        kind: "basic".to_owned(),
        user: None,
        secret: "tok".to_owned(),
        ssh_host_key_policy: None,
        ssh_known_hosts_pem: None,
    };
    let wanted =
        Checkout::Git { url, reference: "main".to_owned(), sha: String::new(), auth: Some(auth) };
    let places = Places { workspace: dir.path(), mirrors: None, temp: dir.path(), detached: false };
    checkout(&wanted, &places, CancellationToken::new()).await.unwrap_err();
    let request = request.await.unwrap();
    // base64 of "x-access-token:tok"
    assert!(request.contains("Authorization: Basic eC1hY2Nlc3MtdG9rZW46dG9r"), "{request}");
    let config = std::fs::read_to_string(dir.path().join(".git/config")).unwrap();
    assert!(!config.contains("Basic") && !config.contains("tok"), "{config}");
}

#[tokio::test]
async fn an_ssh_key_is_private_and_pinned_hosts_are_checked() {
    use std::os::unix::fs::PermissionsExt as _;
    let temp = tempfile::tempdir().unwrap();
    let auth = GitAuth {
        kind: "ssh".to_owned(),
        user: None,
        secret: "KEY".to_owned(),
        ssh_host_key_policy: Some("pinned".to_owned()),
        ssh_known_hosts_pem: Some("host ssh-ed25519 AAAA".to_owned()),
    };
    let source = Source::new("git@host:x.git", "main", "", Some(&auth));
    let git = Git::new(&source, temp.path(), CancellationToken::new()).unwrap();
    let command = git.env("GIT_SSH_COMMAND").unwrap();
    for part in ["IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=yes"] {
        assert!(command.contains(part), "{command}");
    }
    let key = temp.path().join("ssh-key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(key).unwrap(), "KEY\n");

    let odd = GitAuth { kind: "magic".to_owned(), ..auth };
    let source = Source::new("git@host:x.git", "main", "", Some(&odd));
    let error = Git::new(&source, temp.path(), CancellationToken::new()).unwrap_err();
    assert!(error.to_string().contains("\"magic\""), "{error}");
}
