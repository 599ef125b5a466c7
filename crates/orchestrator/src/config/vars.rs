//! Reads single values from a set of variables and collects everything that is wrong with them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// A set of variables and what was found wrong with it so far. An empty value counts as unset.
pub(super) struct Vars {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Vars {
    pub(super) fn new(vars: impl IntoIterator<Item = (String, String)>) -> Vars {
        Vars {
            values: vars.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// All names that are set.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Notes a problem with a field, under the name that the reference uses for it.
    pub(super) fn problem(&mut self, field: &str, message: impl std::fmt::Display) {
        self.problems.push(format!("{field}: {message}"));
    }

    /// Notes something that the operator should know.
    pub(super) fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }

    /// All problems and warnings.
    pub(super) fn finish(&mut self) -> (Vec<String>, Vec<String>) {
        (std::mem::take(&mut self.problems), std::mem::take(&mut self.warnings))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// A text with two spellings, which must not differ.
    pub(super) fn text_alias(&mut self, name: &str, alias: &str) -> Option<String> {
        match (self.text(name), self.text(alias)) {
            (Some(a), Some(b)) if a != b => {
                self.problem(
                    name,
                    format_args!("{name} and {alias} are both set and differ; keep {name}"),
                );
                Some(a)
            }
            (a, b) => a.or(b),
        }
    }

    /// `true|false`, also `1|0`.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.values.get(name).map(String::as_str) {
            None => default,
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(other) => {
                let message = format!("expected true or false, found {other:?}");
                self.problem(name, message);
                default
            }
        }
    }

    /// A whole number of at least `least`.
    pub(super) fn number<T>(&mut self, name: &str, default: T, least: T) -> T
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        match self.text(name) {
            None => default,
            Some(text) => self.parse_number(name, &text, least).unwrap_or(default),
        }
    }

    /// Checks a number that was read under another name.
    pub(super) fn parse_number<T>(&mut self, field: &str, text: &str, least: T) -> Option<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        match text.trim().parse::<T>() {
            Ok(value) if value >= least => Some(value),
            _ => {
                self.problem(
                    field,
                    format_args!("expected a whole number of at least {least}, found {text:?}"),
                );
                None
            }
        }
    }

    /// Milliseconds.
    pub(super) fn millis(&mut self, name: &str, default: u64, least: u64) -> Duration {
        Duration::from_millis(self.number(name, default, least))
    }

    /// Milliseconds, 0 for no limit.
    pub(super) fn optional_millis(&mut self, name: &str, default: u64) -> Option<Duration> {
        Some(self.millis(name, default, 0)).filter(|time| !time.is_zero())
    }
}
