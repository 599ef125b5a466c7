//! Compiled patterns and lists of them: plain OR lists, and lists where `!` excludes.

use crate::glob::Glob;
use crate::lock::{BranchPattern, PatternType};
use crate::regex::EsRegex;

/// A pattern, or why it is none.
#[derive(Debug)]
pub(super) struct Pattern(Result<Compiled, String>);

#[derive(Debug)]
enum Compiled {
    Glob(Glob),
    Regex(EsRegex),
}

impl Pattern {
    pub(super) fn glob(pattern: &str) -> Self {
        Self(Glob::new(pattern).map(Compiled::Glob).map_err(|error| error.to_string()))
    }

    pub(super) fn regex(source: &str, flags: &str) -> Self {
        Self(EsRegex::new(source, flags).map(Compiled::Regex).map_err(|error| error.to_string()))
    }

    pub(super) fn new(pattern: &BranchPattern) -> Self {
        match pattern.kind {
            PatternType::Glob => Self::glob(&pattern.pattern),
            PatternType::Regex => {
                Self::regex(&pattern.pattern, pattern.flags.as_deref().unwrap_or(""))
            }
        }
    }

    /// Whether the value matches, or why that cannot be told.
    pub(super) fn is_match(&self, value: &str) -> Result<bool, String> {
        match self.0.as_ref().map_err(Clone::clone)? {
            Compiled::Glob(glob) => glob.is_match(value).map_err(|error| error.to_string()),
            Compiled::Regex(regex) => regex.is_match(value).map_err(|error| error.to_string()),
        }
    }
}

/// Patterns of which any has to match; empty = no filter. `!` has no meaning of its own here.
#[derive(Debug)]
pub(super) struct AnyOf(Vec<Pattern>);

impl AnyOf {
    pub(super) fn new(patterns: &[BranchPattern]) -> Self {
        Self(patterns.iter().map(Pattern::new).collect())
    }

    pub(super) fn globs(patterns: &[String]) -> Self {
        Self(patterns.iter().map(|pattern| Pattern::glob(pattern)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn accepts(&self, value: &str) -> Result<bool, String> {
        if self.0.is_empty() {
            return Ok(true);
        }
        any(&self.0, value)
    }
}

/// Patterns with exclusions: what a `!` pattern matches is out, the rest must match an include; with
/// exclusions only, the rest is in.
#[derive(Debug)]
pub(super) struct WithExclusions {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl WithExclusions {
    /// `paths`.
    pub(super) fn globs(patterns: &[String]) -> Self {
        let mut list = Self { include: Vec::new(), exclude: Vec::new() };
        for pattern in patterns {
            match pattern.strip_prefix('!') {
                Some(rest) => list.exclude.push(Pattern::glob(rest)),
                None => list.include.push(Pattern::glob(pattern)),
            }
        }
        list
    }

    /// `repos`.
    pub(super) fn new(patterns: &[BranchPattern]) -> Self {
        let mut list = Self { include: Vec::new(), exclude: Vec::new() };
        for pattern in patterns {
            match pattern.pattern.strip_prefix('!') {
                Some(rest) => {
                    let rest = BranchPattern { pattern: rest.to_owned(), ..pattern.clone() };
                    list.exclude.push(Pattern::new(&rest));
                }
                None => list.include.push(Pattern::new(pattern)),
            }
        }
        list
    }

    pub(super) fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether any of the values passes. No values = nothing passes.
    pub(super) fn accepts_any<'a>(
        &self,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<bool, String> {
        for value in values {
            if any(&self.exclude, value)? {
                continue;
            }
            if self.include.is_empty() || any(&self.include, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn any(patterns: &[Pattern], value: &str) -> Result<bool, String> {
    for pattern in patterns {
        if pattern.is_match(value)? {
            return Ok(true);
        }
    }
    Ok(false)
}
