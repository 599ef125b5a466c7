//! `kici-admin source trigger-local`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use kici_client::{Client, Delivery};
use kici_model::ids::SourceId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::local_git::{ask, default_branch, full_name, is_repository};
use crate::context::Context;

#[derive(Debug, Args)]
pub(crate) struct TriggerLocal {
    /// The source's id.
    id: SourceId,
    /// The event's name; push and pull_request are the usual ones.
    #[arg(long, default_value = "push")]
    event: String,
    /// The ref, such as refs/heads/main; the repository's HEAD when neither this nor --sha is given.
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// The commit.
    #[arg(long)]
    sha: Option<String>,
    /// The commit before, for path filters; unknown when not given.
    #[arg(long, value_name = "SHA")]
    before: Option<String>,
    /// The repository in the source's folder; not needed when the folder is the repository.
    #[arg(long, value_name = "OWNER/NAME")]
    repo_full_name: Option<String>,
    /// Another address of the orchestrator than --url.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

impl TriggerLocal {
    pub(super) async fn run(self, context: &mut Context) -> Result<ExitCode> {
        let source = context.client()?.source_get(self.id).await?.source;
        let Some(local) = &source.git_config else {
            bail!("source {} is not a local source", self.id);
        };
        let base = Path::new(&local.repo_base_path);
        let name = match &self.repo_full_name {
            Some(name) => name.clone(),
            None if is_repository(base) => full_name(base, base)?,
            None => "local/repo".to_owned(),
        };
        let body = self.body(base, &name)?;
        let url = self.base_url.as_deref().unwrap_or(context.url());
        let delivery_id = Uuid::new_v4().to_string();
        let delivery = Delivery {
            org_id: &source.customer_id,
            source: &source.name,
            event: &self.event,
            delivery_id: &delivery_id,
            body: &body,
        };
        let answer = Client::new(url, None)?.deliver(&delivery).await?;
        if !context.out.json(&answer)? {
            let id = answer.delivery_id.as_deref().unwrap_or(&delivery_id);
            let place = body["ref"].as_str().unwrap_or("HEAD");
            let word = if answer.duplicate { "already known" } else { "accepted" };
            context.out.line(&format!("Event {} of {name} at {place} {word}: {id}", self.event))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn body(&self, base: &Path, name: &str) -> Result<Value> {
        let (mut git_ref, mut sha) = (self.git_ref.clone(), self.sha.clone());
        let mut branch = None;
        if git_ref.is_none() || sha.is_none() {
            let repository = [base.join(name), base.join(format!("{name}.git")), base.to_owned()]
                .into_iter()
                .find(|folder| is_repository(folder))
                .with_context(|| format!(
                    "could not find repository {name:?} below {} on this machine: give --ref and --sha, or \
                     --repo-full-name", base.display()
                ))?;
            branch = Some(default_branch(&repository)?);
            if git_ref.is_none() && sha.is_none() {
                git_ref = ask(&repository, &["symbolic-ref", "HEAD"])?;
            }
            if sha.is_none() {
                let what = git_ref.as_deref().unwrap_or("HEAD");
                let commit = format!("{what}^{{commit}}");
                sha = ask(&repository, &["rev-parse", "--verify", "--quiet", &commit])?;
                if sha.is_none() {
                    bail!("{what} is no commit in {}", repository.display());
                }
            }
        }
        let mut repository = json!({ "full_name": name });
        if let Some(branch) = branch {
            repository["default_branch"] = json!(branch);
        }
        let mut body = json!({ "repository": repository });
        for (key, value) in [("ref", git_ref), ("before", self.before.clone()), ("after", sha)] {
            if let Some(value) = value {
                body[key] = json!(value);
            }
        }
        Ok(body)
    }
}
