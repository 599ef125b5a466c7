//! `kici-admin org-settings`: what organisations have set.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use kici_protocol::http::org_settings::UpdateOrgSettings;

use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How approvals work.
    #[command(subcommand)]
    Approval(Setting),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Setting {
    /// Show the settings.
    Show(Org),
    /// How long an approval without a limit of its own may take, in seconds.
    SetExpiry {
        /// Seconds, at least 1.
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        seconds: i64,
        #[command(flatten)]
        org: Org,
    },
    /// Whether people may approve runs that they started.
    SetSelfApproval {
        /// true or false.
        #[arg(action = clap::ArgAction::Set)]
        allow: bool,
        #[command(flatten)]
        org: Org,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Org {
    /// The organisation.
    #[arg(long = "org", visible_alias = "customer-id", value_name = "ORG")]
    org: String,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    let Command::Approval(command) = command;
    let client = context.client()?;
    let answer = match command {
        Setting::Show(org) => client.org_settings(&org.org).await?,
        Setting::SetExpiry { seconds, org } => {
            let body = UpdateOrgSettings {
                customer_id: org.org,
                approval_expiry_seconds: Some(seconds),
                ..UpdateOrgSettings::default()
            };
            client.org_settings_update(&body).await?
        }
        Setting::SetSelfApproval { allow, org } => {
            let body = UpdateOrgSettings {
                customer_id: org.org,
                allow_self_approval: Some(allow),
                ..UpdateOrgSettings::default()
            };
            client.org_settings_update(&body).await?
        }
    };
    if !context.out.json(&answer)? {
        let settings = &answer.settings;
        context.out.fields(&[
            ("Approval expires after", Some(format!("{} s", settings.approval_expiry_seconds))),
            ("Self-approval", Some(settings.allow_self_approval.to_string())),
        ])?;
    }
    Ok(ExitCode::SUCCESS)
}
