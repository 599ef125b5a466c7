//! Globs in the dialect of npm's picomatch 4 with default options.
//!
//! Used for branches, tags, refs, paths, repositories, status contexts and comment bodies. Values come
//! from strangers: the engine below gives up after a fixed number of backtracking steps.

use picomatch_rs::{CompileOptions, Matcher, ScanOptions};

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
    /// Not understood, or too expensive on this value.
    #[error("glob `{pattern}` cannot be matched: {reason}")]
    Unusable {
        /// The pattern.
        pattern: String,
        /// Why.
        reason: String,
    },
}

/// A compiled glob.
pub struct Glob {
    pattern: String,
    /// Absent when the pattern has no special characters, as most branch names.
    matcher: Option<Matcher>,
}

impl std::fmt::Debug for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Glob").field(&self.pattern).finish()
    }
}

impl Glob {
    /// Compiles a glob.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        let matcher = if is_plain(pattern) {
            None
        } else {
            check_size(pattern)?;
            let options = CompileOptions::default();
            let matcher = picomatch_rs::compile_matcher(pattern, &options);
            Some(matcher.map_err(|error| unusable(pattern, &error))?)
        };
        Ok(Self { pattern: pattern.to_owned(), matcher })
    }

    /// Whether the whole value matches.
    pub fn is_match(&self, value: &str) -> Result<bool, GlobError> {
        match &self.matcher {
            None => Ok(value == self.pattern),
            Some(matcher) => {
                matcher.is_match(value).map_err(|error| unusable(&self.pattern, &error))
            }
        }
    }
}

/// Whether a label selector's text is a glob (else it is an exact label).
pub fn is_glob(text: &str) -> bool {
    !is_plain(text) && picomatch_rs::scan(text, &ScanOptions::default()).is_glob
}

/// The glob as source of an ECMAScript expression that accepts the same labels.
pub fn to_regex_source(pattern: &str) -> Result<String, GlobError> {
    check_size(pattern)?;
    picomatch_rs::make_re(pattern, &CompileOptions::default(), false)
        .map(|descriptor| format!("^(?:{})$", descriptor.output))
        .ok_or_else(|| GlobError::Unusable {
            pattern: pattern.to_owned(),
            reason: "unsupported pattern".to_owned(),
        })
}

fn unusable(pattern: &str, error: &picomatch_rs::MatchError) -> GlobError {
    use picomatch_rs::MatchError as E;
    let reason = match error {
        E::EmptyPattern => return GlobError::Empty,
        E::UnsupportedPattern(_) => "unsupported pattern".to_owned(),
        E::InvalidRegex(reason) => reason.clone(),
    };
    GlobError::Unusable { pattern: pattern.chars().take(200).collect(), reason }
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
