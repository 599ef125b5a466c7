//! How a failure is told, and the exit code that goes with it.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use kici_client::ClientError;

use crate::args::Cli;

/// Prints what was wrong with the command line. Asking for help is no failure.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody reads any more when this fails.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::InvalidSubcommand => {
            let text = |kind| match error.get(kind) {
                Some(ContextValue::String(text)) => Some(text.clone()),
                Some(ContextValue::Strings(texts)) => texts.first().cloned(),
                _ => None,
            };
            eprintln!(
                "error: unknown command '{}'",
                text(ContextKind::InvalidSubcommand).unwrap_or_default()
            );
            if let Some(near) = text(ContextKind::SuggestedSubcommand) {
                eprintln!("(did you mean {near}?)");
            }
            ExitCode::FAILURE
        }
        // Said differently by clap when an option comes from the environment; the same to the user.
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprintln!("{}", asked_group().render_help());
            ExitCode::FAILURE
        }
        _ => {
            let _ = error.print();
            ExitCode::FAILURE
        }
    }
}

/// The command, or the group of commands, that the call named.
fn asked_group() -> clap::Command {
    let mut group = Cli::command();
    group.build();
    for word in std::env::args().skip(1) {
        if let Some(inner) = group.find_subcommand(&word) {
            group = inner.clone();
        }
    }
    group
}

/// Prints a failure with its causes and what to try.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that has seen enough (`| head`) is no failure.
    if error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    }) {
        return ExitCode::SUCCESS;
    }
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    eprintln!("Error: {line}");
    if let Some(error) = error.downcast_ref::<ClientError>() {
        for detail in error.details() {
            eprintln!("  {detail}");
        }
        if let Some(hint) = hint(error) {
            eprintln!("{hint}");
        }
    }
    ExitCode::FAILURE
}

fn hint(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::Unreachable { .. } => {
            Some("Is it running there? Set --url or KICI_ADMIN_URL to its address.")
        }
        ClientError::Refused { status: 401, .. } => {
            Some("Set --token or KICI_ADMIN_TOKEN to a token that is in force.")
        }
        ClientError::Address { .. }
        | ClientError::Token
        | ClientError::Broken { .. }
        | ClientError::Refused { .. }
        | ClientError::Unreadable { .. } => None,
    }
}
