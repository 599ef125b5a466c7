//! Globs in the dialect of npm's picomatch 4 with default options.
//!
//! Used for branches, tags, refs, paths, repositories, status contexts and comment bodies, and to turn
//! label globs into expressions. The dialect *is* its algorithm, so that `parser` and its neighbours
//! follow picomatch 4.0.7 (Copyright (c) 2017-present, Jon Schlinkert, MIT licence) move by move and
//! give the same ECMAScript expression; `crate::regex` runs it with bounded work.

mod extglob;
mod fastpath;
mod parser;
mod scan;
mod stars;
mod text;
mod tokens;

use crate::regex::{EsRegex, RegexError};

/// Longest pattern, in characters.
const MAX_PATTERN: usize = 65_536;
/// Deepest nesting of brackets, braces and parentheses.
const MAX_DEPTH: usize = 32;

/// Why a glob cannot be used, or gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The empty pattern is no glob.
    #[error("the empty pattern is not a glob")]
    Empty,
    /// Longer or deeper than any author needs.
    #[error("glob is too large: {what}")]
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// Too large or too expensive as an expression.
    #[error("glob `{pattern}` cannot be matched")]
    Unusable {
        /// The pattern.
        pattern: String,
        /// Why.
        #[source]
        source: RegexError,
    },
}

/// A compiled glob.
#[derive(Debug, Clone)]
pub struct Glob {
    pattern: String,
    matcher: Matcher,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// No special characters, as most branch names.
    Plain,
    /// Its expression.
    Regex(EsRegex),
    /// Its expression is invalid: picomatch lets such a glob match only its own text.
    Nothing,
}

impl Glob {
    /// Compiles a glob.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        let matcher = if is_plain(pattern) {
            Matcher::Plain
        } else {
            match EsRegex::new(&to_regex_source(pattern)?, "") {
                Ok(regex) => Matcher::Regex(regex),
                Err(RegexError::Invalid { .. }) => Matcher::Nothing,
                Err(source) => return Err(unusable(pattern, source)),
            }
        };
        Ok(Self { pattern: pattern.to_owned(), matcher })
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &str) -> Result<bool, GlobError> {
        if value.is_empty() || value == self.pattern {
            return Ok(!value.is_empty());
        }
        match &self.matcher {
            Matcher::Plain | Matcher::Nothing => Ok(false),
            Matcher::Regex(regex) => {
                regex.is_match(value).map_err(|source| unusable(&self.pattern, source))
            }
        }
    }
}

/// Whether a label selector's text is a glob (else it is an exact label).
pub fn is_glob(text: &str) -> bool {
    !is_plain(text) && scan::is_glob(text)
}

/// The glob as source of an ECMAScript expression.
pub fn to_regex_source(pattern: &str) -> Result<String, GlobError> {
    check_size(pattern)?;
    if pattern.starts_with(['.', '*'])
        && let Some(output) = fastpath::output(pattern)
    {
        return Ok(format!("^(?:{output})$"));
    }
    let parsed = parser::parse(pattern, true);
    let source = format!("^(?:{})$", parsed.output);
    Ok(if parsed.negated { format!("^(?!{source}).*$") } else { source })
}

fn unusable(pattern: &str, source: RegexError) -> GlobError {
    GlobError::Unusable { pattern: pattern.chars().take(200).collect(), source }
}

fn is_plain(pattern: &str) -> bool {
    !pattern.starts_with("./")
        && pattern
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'.' | b':'))
}

fn check_size(pattern: &str) -> Result<(), GlobError> {
    let too_large = |what: String| Err(GlobError::TooLarge { what });
    let length = pattern.chars().count();
    if length > MAX_PATTERN {
        return too_large(format!("{length} characters (max {MAX_PATTERN})"));
    }
    let mut depth = 0_usize;
    for c in pattern.chars() {
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return too_large(format!("nested deeper than {MAX_DEPTH}"));
        }
    }
    Ok(())
}
