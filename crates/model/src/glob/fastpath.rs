//! Ready-made expressions for the commonest globs.

use super::text::{DOT_LITERAL, GLOBSTAR, NO_DOT, ONE_CHAR, SLASH_LITERAL, STAR};

/// The expression of a common glob, if it is one.
pub(super) fn output(pattern: &str) -> Option<String> {
    let pattern = super::parser::replacement(pattern);
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    create(pattern).map(|source| format!("{source}{SLASH_LITERAL}?"))
}

fn create(pattern: &str) -> Option<String> {
    let deep = format!("(?:{NO_DOT}{GLOBSTAR}{SLASH_LITERAL})?");
    Some(match pattern {
        "*" => format!("{NO_DOT}{ONE_CHAR}{STAR}"),
        ".*" => format!("{DOT_LITERAL}{ONE_CHAR}{STAR}"),
        "*.*" => format!("{NO_DOT}{STAR}{DOT_LITERAL}{ONE_CHAR}{STAR}"),
        "*/*" => format!("{NO_DOT}{STAR}{SLASH_LITERAL}{ONE_CHAR}{NO_DOT}{STAR}"),
        "**" => format!("{NO_DOT}{GLOBSTAR}"),
        "**/*" => format!("{deep}{NO_DOT}{ONE_CHAR}{STAR}"),
        "**/*.*" => format!("{deep}{NO_DOT}{STAR}{DOT_LITERAL}{ONE_CHAR}{STAR}"),
        "**/.*" => format!("{deep}{DOT_LITERAL}{ONE_CHAR}{STAR}"),
        _ => {
            let (base, extension) = pattern.rsplit_once('.')?;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let line_end = |c| matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}');
            if extension.is_empty() || !extension.chars().all(word) || base.contains(line_end) {
                return None;
            }
            format!("{}{DOT_LITERAL}{extension}", create(base)?)
        }
    })
}
