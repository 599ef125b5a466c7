//! Declared caches (`cache:` of jobs, steps and init items) while there is no storage for them:
//! restores miss, saves are skipped, and both are shown.

use std::time::Instant;

use serde_json::{Value, json};

use crate::context::Context;
use crate::indexes::{self, CacheOwner};
use crate::report::{Report, Row};
use crate::spec::StepStatus;

/// Restores the caches that `owner` declares.
pub(crate) async fn restore(context: &Context, owner: CacheOwner, specs: &[Value]) {
    for (n, key) in keys(specs) {
        let index = indexes::cache(owner, n, false);
        row(context, index, "restore", key, "miss").await;
    }
}

/// Saves them.
pub(crate) async fn save(context: &Context, owner: CacheOwner, specs: &[Value]) {
    for (n, key) in keys(specs) {
        let index = indexes::cache(owner, n, true);
        context
            .logs
            .open(index)
            .text(&format!("[kici] cache '{key}' is not saved: no cache storage is configured"));
        row(context, index, "save", key, "skipped").await;
    }
}

/// The caches of an option that holds one or a list.
pub(crate) fn specs_of(option: Option<&Value>) -> Vec<Value> {
    match option {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(specs)) => specs.clone(),
        Some(spec) => vec![spec.clone()],
    }
}

fn keys(specs: &[Value]) -> impl Iterator<Item = (i64, &str)> {
    (0..).zip(specs.iter().map(|spec| spec.get("key").and_then(Value::as_str).unwrap_or_default()))
}

async fn row(context: &Context, index: i64, verb: &str, key: &str, outcome: &str) {
    let started = Instant::now();
    let row = Row { index, name: format!("cache {verb}: {key}"), group: None }
        .typed(format!("cache:{verb}"));
    row.started(context).await;
    let mut report = Report::new(StepStatus::Success, started.elapsed());
    report.data.insert("cacheOutcome".to_owned(), json!(outcome));
    report.data.insert("key".to_owned(), json!(key));
    row.ended(context, report).await;
}
