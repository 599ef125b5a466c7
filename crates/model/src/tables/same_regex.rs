//! Decides by trial whether two label expressions accept the same labels.

use std::collections::BTreeSet;

use crate::regex::EsRegex;

/// Texts put into, before and after what the expressions spell out.
const FILL: &[&str] = &["", "a", "1", "7", ".", ".a", "/", "a/b", "/a", "a/", "-", "x-y", "!", "é"];

/// The first label on which the expressions disagree, if there is one.
pub(super) fn same_labels(a: &(String, String), b: &(String, String)) -> Result<(), String> {
    if a == b {
        return Ok(());
    }
    let (Ok(left), Ok(right)) = (EsRegex::new(&a.0, &a.1), EsRegex::new(&b.0, &b.1)) else {
        return Err("(one of them is invalid)".to_owned());
    };
    for label in probes(&a.0).into_iter().chain(probes(&b.0)) {
        if left.is_match(&label) != right.is_match(&label) {
            return Err(label);
        }
    }
    Ok(())
}

/// Labels made of the literal pieces of an expression, with fillings in every gap.
fn probes(source: &str) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = FILL.iter().map(ToString::to_string).collect();
    let pieces = pieces(source);
    for count in 1..=pieces.len().min(4) {
        for window in pieces.windows(count) {
            for between in FILL {
                let joined = window.join(between);
                for edge in FILL {
                    out.insert(format!("{edge}{joined}"));
                    out.insert(format!("{joined}{edge}"));
                    out.insert(format!("{edge}{joined}{edge}"));
                }
            }
        }
    }
    out
}

/// Runs of literal characters; members of classes count as pieces of their own.
fn pieces(source: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let next = chars.next().unwrap_or('\\');
                if !next.is_ascii_alphanumeric() {
                    out.last_mut().expect("starts with one piece").push(next);
                }
            }
            c if c.is_alphanumeric() || matches!(c, '-' | ':' | '_' | '/' | ',' | ' ') => {
                out.last_mut().expect("starts with one piece").push(c);
            }
            _ => out.push(String::new()),
        }
    }
    out.retain(|piece| !piece.is_empty());
    out.truncate(24);
    out
}
