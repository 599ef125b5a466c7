//! `runsOn` and `runsOnAll`: what authors write, as label matchers.

use kici_model::glob;
use kici_model::lock::{LabelMatcher, RunsOnAll, RunsOnPick};
use serde_json::Value;

/// `runsOn` as the lock file has it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct OneAgent {
    pub(super) labels: Vec<LabelMatcher>,
    pub(super) exclude: Vec<LabelMatcher>,
    pub(super) pick: RunsOnPick,
}

/// Reads `runsOn`: one label, a list, or `{labels, exclude, pick}`.
pub(super) fn one_agent(value: &Value) -> Result<OneAgent, String> {
    let selector = value.as_object().filter(|object| !object.contains_key("$re"));
    let Some(selector) = selector else {
        return Ok(OneAgent { labels: matchers(value)?, ..OneAgent::default() });
    };
    let pick = match selector.get("pick").and_then(Value::as_str) {
        None | Some("deterministic") => RunsOnPick::Deterministic,
        Some("any") => RunsOnPick::Any,
        Some(other) => return Err(format!("`pick` is '{other}'; write 'deterministic' or 'any'")),
    };
    Ok(OneAgent {
        labels: selector.get("labels").map_or(Ok(Vec::new()), matchers)?,
        exclude: selector.get("exclude").map_or(Ok(Vec::new()), matchers)?,
        pick,
    })
}

/// Reads `runsOnAll`: one label, a list with `!` for exclusions, or `{include: [{all}], exclude}`.
pub(super) fn all_hosts(value: &Value) -> Result<RunsOnAll, String> {
    if let Some(structured) = value.as_object().filter(|object| !object.contains_key("$re")) {
        let groups = structured
            .get("include")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let include = groups
            .iter()
            .map(|group| {
                group
                    .get("all")
                    .map_or(Err("each element of `include` needs `all`".to_owned()), matchers)
            })
            .collect::<Result<_, _>>()?;
        return Ok(RunsOnAll {
            include,
            exclude: structured.get("exclude").map_or(Ok(Vec::new()), matchers)?,
        });
    }
    let Some(list) = value.as_array() else {
        return Ok(RunsOnAll { include: vec![vec![matcher(value)?]], exclude: Vec::new() });
    };
    let (mut wanted, mut exclude) = (Vec::new(), Vec::new());
    for element in list {
        match element.as_str().and_then(|text| text.strip_prefix('!')) {
            Some(text) => exclude.push(text_matcher(text)?),
            None => wanted.push(matcher(element)?),
        }
    }
    let include = if wanted.is_empty() { Vec::new() } else { vec![wanted] };
    Ok(RunsOnAll { include, exclude })
}

fn matchers(value: &Value) -> Result<Vec<LabelMatcher>, String> {
    match value.as_array() {
        Some(list) => list.iter().map(matcher).collect(),
        None => Ok(vec![matcher(value)?]),
    }
}

fn matcher(value: &Value) -> Result<LabelMatcher, String> {
    if let Some(text) = value.as_str() {
        return text_matcher(text);
    }
    match regex(value) {
        Some((source, flags)) => Ok(LabelMatcher::Regex { source, flags }),
        None => Err(format!("{value} is no label; write a string or a regular expression")),
    }
}

/// A label, or a glob turned into the expression that matches the same labels.
fn text_matcher(text: &str) -> Result<LabelMatcher, String> {
    if !glob::is_glob(text) {
        return Ok(LabelMatcher::exact(text));
    }
    let source = glob::to_regex_source(text)
        .map_err(|error| format!("'{text}' is no valid glob: {error}"))?;
    Ok(LabelMatcher::Regex { source, flags: String::new() })
}

/// A regular expression of a description.
pub(super) fn regex(value: &Value) -> Option<(String, String)> {
    let parts = value.get("$re")?;
    let text = |key: &str| parts.get(key).and_then(Value::as_str).map(str::to_owned);
    Some((text("source")?, text("flags").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_runs_on() {
        let exact = LabelMatcher::exact;
        assert_eq!(one_agent(&json!("linux")).unwrap().labels, [exact("linux")]);
        assert_eq!(one_agent(&json!(["a", "b"])).unwrap().labels, [exact("a"), exact("b")]);
        let regex = LabelMatcher::Regex { source: "^a".into(), flags: "i".into() };
        assert_eq!(
            one_agent(&json!({"$re": {"source": "^a", "flags": "i"}})).unwrap().labels,
            [regex]
        );
        let full =
            one_agent(&json!({"labels": "linux", "exclude": ["spot"], "pick": "any"})).unwrap();
        assert_eq!(full.exclude, [exact("spot")]);
        assert_eq!(full.pick, RunsOnPick::Any);
        assert!(
            one_agent(&json!({"labels": "a", "pick": "random"})).unwrap_err().contains("random")
        );
    }

    #[test]
    fn exclusions_alone_match_no_host() {
        let all = all_hosts(&json!(["!canary"])).unwrap();
        assert_eq!(
            all,
            RunsOnAll { include: vec![], exclude: vec![LabelMatcher::exact("canary")] }
        );
    }
}
