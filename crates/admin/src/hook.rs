//! What installed hooks call: tells the orchestrator of a push or a commit.
//!
//! Needs no token, as local sources take no proof. A server that is down never fails the push; what was
//! not told can be sent again with `source trigger-local`, and the message says so.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use kici_client::{Client, Delivery};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::context::Context;
use crate::source::local_git::{ask, default_branch};

/// How long a push may be held up by a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

#[derive(Debug, Args)]
pub(crate) struct Hook {
    /// Which hook calls.
    #[arg(value_enum)]
    kind: Kind,
    /// The organisation of the source.
    #[arg(long)]
    org: String,
    /// The source.
    #[arg(long)]
    source: String,
    /// The repository in the source's folder.
    #[arg(long)]
    repo_full_name: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    PostReceive,
    PostCommit,
}

/// One ref that moved.
struct Moved {
    name: String,
    before: String,
    after: String,
}

impl Hook {
    /// Never fails: the exit code of a hook would only confuse whoever pushed.
    pub(crate) async fn run(self, context: &mut Context) -> ExitCode {
        if let Err(error) = self.tell(context).await {
            eprintln!("kici: {error:#}");
        }
        ExitCode::SUCCESS
    }

    async fn tell(&self, context: &mut Context) -> Result<()> {
        // git runs hooks in the repository, or sets GIT_DIR to it.
        let repository = Path::new(".");
        let moved = match self.kind {
            Kind::PostReceive => {
                let mut input = String::new();
                std::io::stdin()
                    .read_to_string(&mut input)
                    .context("could not read the pushed refs")?;
                pushed(&input)
            }
            Kind::PostCommit => committed(repository)?.into_iter().collect(),
        };
        if moved.is_empty() {
            return Ok(());
        }
        let branch = default_branch(repository)?;
        let user = ask(repository, &["config", "user.name"])?;
        let client = Client::new(context.url(), None)?;
        for one in moved {
            let body = self.body(&one, &branch, user.as_deref());
            let told = tokio::time::timeout(PATIENCE, self.deliver(&client, &body)).await;
            let problem = match told {
                Ok(Ok(())) => {
                    eprintln!("kici: told {} of {}", context.url(), one.name);
                    continue;
                }
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => {
                    format!("{} did not answer within {} s", context.url(), PATIENCE.as_secs())
                }
            };
            eprintln!("kici: the orchestrator does not know of {}: {problem}", one.name);
            eprintln!(
                "kici: git has done its part; to tell it again: kici-admin source trigger-local {} \
                 --repo-full-name {} --ref {} --sha {}",
                self.source, self.repo_full_name, one.name, one.after
            );
        }
        Ok(())
    }

    async fn deliver(&self, client: &Client, body: &Value) -> Result<()> {
        let delivery_id = Uuid::new_v4().to_string();
        let delivery = Delivery {
            org_id: &self.org,
            source: &self.source,
            event: "push",
            delivery_id: &delivery_id,
            body,
        };
        match client.deliver(&delivery).await {
            Ok(_) => {}
            // The id makes a second try harmless when only the answer was lost.
            Err(error) if error.is_transient() => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                client.deliver(&delivery).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn body(&self, moved: &Moved, branch: &str, user: Option<&str>) -> Value {
        let mut body = json!({
            "ref": moved.name,
            "before": moved.before,
            "after": moved.after,
            "repository": { "full_name": self.repo_full_name, "default_branch": branch },
        });
        if let Some(user) = user {
            body["sender"] = json!({ "login": user });
        }
        body
    }
}

/// The refs of a push: lines of `<old> <new> <ref>`. Deleted ones have nothing to run.
fn pushed(input: &str) -> Vec<Moved> {
    let lines = input.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    lines
        .filter(|(_, after, name)| after.bytes().any(|byte| byte != b'0') && is_branch_or_tag(name))
        .map(|(before, after, name)| Moved {
            name: name.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        })
        .collect()
}

/// Notes and other refs of tools start nothing.
fn is_branch_or_tag(name: &str) -> bool {
    name.starts_with("refs/heads/") || name.starts_with("refs/tags/")
}

/// The commit that was just made; none in the middle of a rebase, where HEAD is no branch.
fn committed(repository: &Path) -> Result<Option<Moved>> {
    let Some(name) = ask(repository, &["symbolic-ref", "--quiet", "HEAD"])? else {
        return Ok(None);
    };
    let commit = |what| ask(repository, &["rev-parse", "--verify", "--quiet", what]);
    let Some(after) = commit("HEAD^{commit}")? else { return Ok(None) };
    let before = commit("HEAD^^{commit}")?.unwrap_or_else(|| NO_COMMIT.to_owned());
    Ok(Some(Moved { name, before, after }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_refs_of_a_push_are_told_and_deleted_ones_are_not() {
        let old = "1".repeat(40);
        let new = "2".repeat(40);
        let none = NO_COMMIT;
        let input = format!(
            "{old} {new} refs/heads/main\n{none} {new} refs/tags/v1\n{old} {none} refs/heads/gone\n\
             {old} {new} refs/notes/commits\n"
        );
        let names: Vec<String> = pushed(&input).into_iter().map(|moved| moved.name).collect();
        assert_eq!(names, ["refs/heads/main", "refs/tags/v1"]);
    }
}
