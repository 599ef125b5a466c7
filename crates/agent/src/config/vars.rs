//! Reads single values from a set of variables and collects what is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// Variables, and the mistakes found in them so far.
pub(super) struct Vars {
    pub(super) values: BTreeMap<String, String>,
    pub(super) problems: Vec<String>,
}

impl Vars {
    /// Notes a mistake.
    pub(super) fn problem(&mut self, name: &str, what: impl Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// A text; empty counts as unset.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// `true|false`, also `1|0`.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        self.choice(name, default, &[("true", true), ("1", true), ("false", false), ("0", false)])
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, default: T, choices: &[(&str, T)]) -> T {
        let Some(text) = self.text(name) else { return default };
        if let Some((_, value)) = choices.iter().find(|(spelling, _)| *spelling == text) {
            return *value;
        }
        let spellings: Vec<&str> = choices.iter().map(|(spelling, _)| *spelling).collect();
        self.problem(name, format_args!("is {text:?}, write one of {}", spellings.join(", ")));
        default
    }

    /// A whole number of at least `least`.
    pub(super) fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        default: T,
        least: T,
    ) -> T {
        let Some(text) = self.text(name) else { return default };
        match text.parse::<T>() {
            Ok(number) if number >= least => number,
            Ok(_) | Err(_) => {
                self.problem(name, format_args!("is {text:?}, write a whole number from {least}"));
                default
            }
        }
    }

    /// Milliseconds.
    pub(super) fn millis(&mut self, name: &str, default: u64, least: u64) -> Duration {
        Duration::from_millis(self.number(name, default, least))
    }

    /// Words between commas.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.text(name)
            .map(|text| {
                text.split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect()
            })
            .unwrap_or_default()
    }
}
