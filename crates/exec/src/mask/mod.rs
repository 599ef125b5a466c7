//! Keeps secret values out of everything that leaves a job: logs, errors, outputs.
//!
//! The set of values only grows: a value registered late never makes an earlier one visible. `forms`
//! says in which shapes a value is recognised, `stream` masks output that arrives in pieces.

mod forms;
mod stream;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

pub(crate) use stream::StreamMasker;

/// What a secret is replaced by.
const MASK: &str = "***";

/// The secrets of one job.
#[derive(Debug, Default)]
pub(crate) struct Masker {
    current: RwLock<Arc<FormSet>>,
}

impl Masker {
    /// A masker that knows `values`.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let masker = Self::default();
        masker.add(values);
        masker
    }

    /// Registers further values; those of before stay.
    pub(crate) fn add<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        let mut new = BTreeSet::new();
        for value in values {
            forms::of(value, &mut new);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if new.iter().all(|form| current.sorted.binary_search(form).is_ok()) {
            return;
        }
        new.extend(current.sorted.iter().cloned());
        *current = Arc::new(FormSet::build(new));
    }

    /// The set as it is now.
    fn forms(&self) -> Arc<FormSet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A whole text with its secrets replaced.
    pub(crate) fn text(&self, text: &str) -> String {
        let set = self.forms();
        let spans = set.spans(text.as_bytes());
        if spans.is_empty() {
            return text.to_owned();
        }
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        for (start, end) in spans {
            out.extend_from_slice(&text.as_bytes()[at..start]);
            out.extend_from_slice(MASK.as_bytes());
            at = end;
        }
        out.extend_from_slice(&text.as_bytes()[at..]);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A JSON value with the secrets in its strings and keys replaced.
    pub(crate) fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, item)| (self.text(&key), self.json(item)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }
}

/// Every form of every secret, ready to be searched for.
#[derive(Debug, Default)]
struct FormSet {
    /// In byte order, so that "does one begin with this?" is a binary search.
    sorted: Vec<Vec<u8>>,
    automaton: Option<AhoCorasick>,
    longest: usize,
    /// Bytes that some form begins with.
    firsts: Vec<bool>,
}

impl FormSet {
    fn build(forms: BTreeSet<Vec<u8>>) -> Self {
        let sorted: Vec<_> = forms.into_iter().collect();
        let mut firsts = vec![false; 256];
        for form in &sorted {
            firsts[usize::from(form[0])] = true;
        }
        // Standard semantics, because all overlapping matches are wanted: of two secrets that
        // overlap in the output neither may show its end.
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&sorted).ok();
        Self { longest: sorted.iter().map(Vec::len).max().unwrap_or(0), automaton, firsts, sorted }
    }

    /// Where secrets are, in order, overlapping ones joined.
    fn spans(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let mut spans: Vec<(usize, usize)> = Vec::new();
        // Matches come in the order of their ends; one that reaches further back swallows others.
        for found in automaton.find_overlapping_iter(text) {
            let (mut start, end) = (found.start(), found.end());
            while let Some(&(before, before_end)) = spans.last() {
                if before_end <= start {
                    break;
                }
                start = start.min(before);
                spans.pop();
            }
            spans.push((start, end));
        }
        spans
    }

    /// The first position from which `text` might go on to become a secret.
    fn open_end(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        (from..text.len())
            .find(|&at| self.firsts[usize::from(text[at])] && self.begins_one(&text[at..]))
            .unwrap_or(text.len())
    }

    /// Whether `start` is the beginning of a form, without being all of it.
    fn begins_one(&self, start: &[u8]) -> bool {
        let at = self.sorted.partition_point(|form| form.as_slice() <= start);
        self.sorted.get(at).is_some_and(|form| form.starts_with(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_value_does_not_uncover_an_early_one() {
        let masker = Masker::new(["first-secret"]);
        masker.add(["second-secret"]);
        assert_eq!(masker.text("first-secret second-secret"), "*** ***");
    }

    #[test]
    fn of_two_overlapping_secrets_neither_shows_its_end() {
        let masker = Masker::new(["hunter2", "ter2secret"]);
        assert_eq!(masker.text("<hunter2secret>"), "<***>");
        let masker = Masker::new(["hunter2secret", "ter2"]);
        assert_eq!(masker.text("<hunter2secret> ter2"), "<***> ***");
    }

    #[test]
    fn outputs_are_masked_in_depth() {
        let masker = Masker::new(["hunter2secret"]);
        let masked = masker.json(serde_json::json!({"a": ["x hunter2secret"], "hunter2secret": 1}));
        assert_eq!(masked, serde_json::json!({"a": ["x ***"], "***": 1}));
    }

    #[test]
    fn short_values_are_left_alone() {
        assert_eq!(Masker::new(["ab", "", "  "]).text("ab  "), "ab  ");
    }
}
