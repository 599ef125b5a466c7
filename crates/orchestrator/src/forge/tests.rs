//! Forges against real repositories.

use kici_testkit::Repo;
use serde_json::{Value, json};

use super::local::{changed_files, clone_url, lock_file, normalise};
use super::{Change, ForgeError, LockFetch};

const LOCK: &str = ".kici/kici.lock.json";

fn name(repo: &Repo) -> &str {
    repo.path().file_name().unwrap().to_str().unwrap()
}

async fn change(repo: &Repo, event: &str, mut body: Value) -> Option<Change> {
    body["repository"]["full_name"] = json!(name(repo));
    normalise(repo.path(), event, body).await.unwrap()
}

fn content(fetched: Result<LockFetch, ForgeError>) -> Result<String, String> {
    match fetched {
        Ok(LockFetch::Found(bytes)) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
        Ok(LockFetch::Missing) => Err("missing".into()),
        Ok(LockFetch::Corrupt(why)) => Err(why),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn pushes_and_tags_are_told_apart_and_deletions_are_nothing() {
    let repo = Repo::init();
    let sha = repo.commit("one");
    let push = change(
        &repo,
        "push",
        json!({ "ref": "refs/heads/topic/x", "after": sha, "sender": { "login": "ann", "id": 7 } }),
    );
    let push = push.await.unwrap();
    assert_eq!((push.event.kind.as_str(), push.event.target_branch.as_str()), ("push", "topic/x"));
    assert_eq!((push.sha.as_str(), push.lock_ref.as_str()), (sha.as_str(), sha.as_str()));
    assert_eq!(push.event.sender_username.as_deref(), Some("ann"));
    assert_eq!(push.event.sender_user_id.as_deref(), Some("7"));
    assert_eq!(push.trust_tier.as_deref(), Some("trusted"));

    let tag = change(&repo, "push", json!({ "ref": "refs/tags/v1", "after": sha })).await.unwrap();
    assert_eq!((tag.event.kind.as_str(), tag.event.target_branch.as_str()), ("tag", "v1"));
    let zero = "0".repeat(40);
    assert!(change(&repo, "push", json!({ "ref": "refs/heads/x", "after": zero })).await.is_none());
    assert!(
        change(&repo, "push", json!({ "ref": "refs/heads/x", "deleted": true })).await.is_none()
    );
}

#[tokio::test]
async fn an_event_without_a_commit_means_the_ref_or_head() {
    let repo = Repo::init();
    let first = repo.commit("one");
    repo.git(&["branch", "old"]);
    let second = repo.commit("two");
    let at = async |body: Value| change(&repo, "dispatch", body).await.unwrap().sha;
    assert_eq!(at(json!({})).await, second);
    assert_eq!(at(json!({ "ref": "refs/heads/old" })).await, first);
    let dispatch = change(&repo, "dispatch", json!({ "action": "nightly" })).await.unwrap();
    assert_eq!(dispatch.event.action.as_deref(), Some("nightly"));
    assert_eq!(dispatch.event.target_branch, "__local__");
}

#[tokio::test]
async fn a_pull_request_of_a_fork_gets_the_lock_file_of_its_base() {
    let repo = Repo::init();
    let base = repo.write(LOCK, "base").commit("base");
    let head = repo.write(LOCK, "head").commit("head");
    let pull = |head_repo: Value| {
        json!({ "action": "opened", "pull_request": {
            "head": { "sha": head, "ref": "fix", "repo": head_repo },
            "base": { "sha": base, "ref": "main", "repo": { "full_name": "acme/app" } },
        }})
    };
    let own =
        change(&repo, "pull_request", pull(json!({ "full_name": "acme/app" }))).await.unwrap();
    assert_eq!(
        (own.event.target_branch.as_str(), own.event.source_branch.as_deref()),
        ("main", Some("fix"))
    );
    assert_eq!((own.event.is_fork_pr, own.lock_ref == head), (Some(false), true));
    for fork in [json!({ "full_name": "eve/app" }), Value::Null] {
        let fork = change(&repo, "pull_request", pull(fork)).await.unwrap();
        assert_eq!(
            (fork.event.is_fork_pr, fork.trust_tier.as_deref()),
            (Some(true), Some("unknown"))
        );
        assert_eq!(
            (fork.sha.as_str(), fork.lock_file_source.as_deref()),
            (head.as_str(), Some("base"))
        );
        let lock = content(lock_file(repo.path(), name(&repo), &fork.lock_ref).await);
        assert_eq!(lock.as_deref(), Ok("base"));
    }
}

#[tokio::test]
async fn names_that_lead_out_are_refused_for_good() {
    let repo = Repo::init();
    for bad in ["../x", "file:///etc", "/etc"] {
        let body = json!({ "ref": "refs/heads/main", "repository": { "full_name": bad } });
        let refused = normalise(repo.path(), "push", body).await.unwrap_err();
        assert!(matches!(refused, ForgeError::Permanent(_)), "{refused}");
    }
    let refused = normalise(repo.path(), "push", json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("repository.full_name"), "{refused}");
}

#[tokio::test]
async fn the_lock_file_is_that_of_the_commit_also_in_a_bare_repository() {
    let repo = Repo::init();
    let none = repo.commit("none");
    let first = repo.write(LOCK, "first").commit("first");
    let second = repo.write(LOCK, "second").commit("second");
    let (_folder, bare) = repo.bare_origin();
    repo.git(&["push", "origin", "main"]);
    for base in [repo.path(), bare.as_path()] {
        let lock = async |sha: &str| content(lock_file(base, ".", sha).await);
        assert_eq!(lock(&first).await.as_deref(), Ok("first"));
        assert_eq!(lock(&second).await.as_deref(), Ok("second"));
        assert_eq!(lock("HEAD").await.as_deref(), Ok("second"));
        assert_eq!(lock(&none).await, Err("missing".into()));
    }
    // Agents could not check out a commit that is not there.
    let unknown = "1".repeat(40);
    let refused = lock_file(repo.path(), ".", &unknown).await.unwrap_err();
    assert!(
        matches!(&refused, ForgeError::Permanent(why) if why.contains("is not in the repository")),
        "{refused}"
    );
    let unborn = Repo::init();
    unborn.write(LOCK, "not committed");
    assert_eq!(
        content(lock_file(unborn.path(), ".", "HEAD").await).as_deref(),
        Ok("not committed")
    );
}

#[tokio::test]
async fn a_folder_without_git_has_the_lock_file_that_lies_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("acme/app");
    std::fs::create_dir_all(at.join(".kici")).unwrap();
    std::fs::write(at.join(LOCK), "plain").unwrap();
    assert_eq!(content(lock_file(folder.path(), "acme/app", "HEAD").await).as_deref(), Ok("plain"));
    std::fs::remove_file(at.join(LOCK)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at.join(LOCK)).unwrap();
    let refused = content(lock_file(folder.path(), "acme/app", "HEAD").await).unwrap_err();
    assert!(refused.contains("leads out of the repository"), "{refused}");
}

#[tokio::test]
async fn what_cannot_be_a_lock_file_is_corrupt() {
    let repo = Repo::init();
    let large = repo.write(LOCK, vec![b' '; 5 * 1024 * 1024 + 1]).commit("large");
    let empty = repo.write(LOCK, "").commit("empty");
    repo.git(&["rm", "-q", LOCK]);
    let folder = repo.write(&format!("{LOCK}/file"), "x").commit("folder");
    for (sha, why) in [(large, "larger than"), (empty, "is empty"), (folder, "is a tree")] {
        let said = content(lock_file(repo.path(), ".", &sha).await).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn changed_files_come_from_git() {
    let repo = Repo::init();
    let first = repo.write("docs/a.md", "a").write("src/x.rs", "x").commit("first");
    repo.git(&["mv", "src/x.rs", "src/y.rs"]);
    let second = repo.commit("rename");
    let files = async |event: &str, body: Value| {
        let change = change(&repo, event, body).await.unwrap();
        let found = changed_files(repo.path(), name(&repo), &change).await.unwrap();
        let mut files = found.files;
        files.sort();
        (files.join(" "), found.incomplete)
    };
    let zero = "0".repeat(40);
    let push = |git_ref: &str, before: &str, after: &str| json!({ "ref": git_ref, "before": before, "after": after });
    // Both names of a renamed file.
    let renamed = files("push", push("refs/heads/main", &first, &second)).await;
    assert_eq!(renamed, ("src/x.rs src/y.rs".into(), false));
    // The first push of the default branch brings everything; of a branch what it adds to the default branch.
    let all = files("push", push("refs/heads/main", &zero, &second)).await;
    assert_eq!(all, ("docs/a.md src/y.rs".into(), false));
    repo.git(&["checkout", "-q", "-b", "topic"]);
    let third = repo.write("docs/b.md", "b").commit("docs");
    let added = files("push", push("refs/heads/topic", &zero, &third)).await;
    assert_eq!(added, ("docs/b.md".into(), false));
    let pull = json!({ "pull_request": {
        "head": { "sha": third, "ref": "topic" }, "base": { "ref": "main" },
    }});
    assert_eq!(files("pull_request", pull).await, ("docs/b.md".into(), false));
    // What cannot be known counts as everything.
    let unknown = ("1".repeat(40), json!({ "ref": "refs/heads/main", "after": second }));
    assert!(files("push", push("refs/heads/main", &unknown.0, &second)).await.1);
    assert!(files("push", unknown.1).await.1);
    assert!(files("push", push("refs/heads/same", &zero, &second)).await.1);
}

#[test]
fn agents_clone_from_the_folder_or_from_the_given_address() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(base.join("acme/a b%.git")).unwrap();
    let url = clone_url(&base, None, "acme/a b%").unwrap();
    assert_eq!(url, format!("file://{}/acme/a%20b%25.git", base.display()));
    let url = clone_url(&base, Some("https://git.example/"), "acme/app").unwrap();
    assert_eq!(url, "https://git.example/acme/app");
    assert!(clone_url(&base, None, "acme/none").is_err());
}
