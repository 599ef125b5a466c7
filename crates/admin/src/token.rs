//! `kici-admin token`: credentials of operators and their scripts.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use kici_model::ids::TokenId;
use kici_protocol::http::tokens::{CreateToken, Role};

use crate::context::Context;
use crate::output::{moment, or_dash};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token. It is shown once.
    Create {
        /// What it is for.
        label: String,
        /// What its holder may do.
        #[arg(long, value_enum)]
        role: RoleName,
        /// Tie it to the sources and runs of one routing key.
        #[arg(long, value_name = "KEY")]
        routing_key: Option<String>,
        /// A team that its holder can approve for; may be given several times.
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<String>,
        /// Let it end by itself, such as 30m, 12h or 90d.
        #[arg(long, value_name = "DURATION", value_parser = seconds)]
        expires_in: Option<u64>,
    },
    /// List all tokens, newest first.
    List,
    /// Withdraw a token at once.
    Revoke {
        /// Its id, as `token list` shows it.
        id: TokenId,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RoleName {
    /// Everything, also making tokens.
    Owner,
    /// Sources, secrets and runs.
    Admin,
    /// Looking only.
    Auditor,
}

pub(crate) async fn run(context: &mut Context, command: Command) -> Result<ExitCode> {
    let client = context.client()?;
    let out = &mut context.out;
    match command {
        Command::Create { label, role, routing_key, teams, expires_in } => {
            let role = match role {
                RoleName::Owner => Role::Owner,
                RoleName::Admin => Role::Admin,
                RoleName::Auditor => Role::Auditor,
            };
            let body = CreateToken {
                label,
                role,
                routing_key,
                teams,
                expires_at: None,
                expires_in_seconds: expires_in,
            };
            let made = client.token_create(&body).await?;
            if !out.json(&made)? {
                out.line(&format!("Token created: {}", made.token))?;
                out.line(&format!("Token ID: {}", made.id))?;
                out.line("Save this token -- it will not be shown again.")?;
            }
        }
        Command::List => {
            let list = client.token_list().await?;
            if out.json(&list)? {
                return Ok(ExitCode::SUCCESS);
            }
            if list.tokens.is_empty() {
                out.line("No tokens found.")?;
                return Ok(ExitCode::SUCCESS);
            }
            let rows: Vec<[String; 9]> = list
                .tokens
                .into_iter()
                .map(|token| {
                    [
                        token.id.to_string(),
                        token.label,
                        token.role,
                        or_dash(token.routing_key),
                        or_dash(Some(token.teams.join(", ")).filter(|teams| !teams.is_empty())),
                        moment(token.created_at),
                        or_dash(token.expires_at.map(moment)),
                        or_dash(token.last_used_at.map(moment)),
                        if token.revoked { "yes" } else { "no" }.to_owned(),
                    ]
                })
                .collect();
            out.table(
                [
                    "ID",
                    "Label",
                    "Role",
                    "RoutingKey",
                    "Teams",
                    "Created",
                    "Expires",
                    "LastUsed",
                    "Revoked",
                ],
                &rows,
            )?;
        }
        Command::Revoke { id } => {
            let done = client.token_revoke(id).await?;
            if !out.json(&done)? {
                out.line(&format!("Token revoked: {id}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads `90s`, `30m`, `12h`, `90d`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a number and one of s, m, h, d, such as 12h, got {text:?}");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let each: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(each).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("2d"), Ok(172_800));
        for bad in ["", "5", "0h", "h", "1w", "-1h", "99999999999999999999d", "é"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
