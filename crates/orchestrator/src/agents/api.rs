//! What jobs ask about agents and hosts: `infrastructure.list`, `inventory.query` and `inventory.get`, answered from the
//! roster of all orchestrators.

use jiff::Timestamp;
use kici_model::labels::{AgentLabels, Selector};
use kici_model::lock::LabelMatcher;
use kici_protocol::agent::{AgentApiRequest, AgentApiResponse};
use kici_store::roster::{RosterRow, roster_get, roster_list};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tracing::warn;

use crate::app::App;
use crate::logging::Chain;

/// Hosts of one look at the table, and of one answer.
const PAGE: i64 = 500;
const HOSTS: usize = 10_000;

/// `inventory.query`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Query {
    /// A host fits when it has all labels of one of these; without any, every host does.
    include: Vec<Vec<LabelMatcher>>,
    exclude: Vec<LabelMatcher>,
}

/// Answers a request.
pub(super) async fn answer(app: &App, request: AgentApiRequest) -> AgentApiResponse {
    let params = request.params.filter(|params| !params.is_null()).unwrap_or_else(|| json!({}));
    let answer = match request.method.as_str() {
        "infrastructure.list" => infrastructure(app).await,
        "inventory.query" => query(app, params).await,
        "inventory.get" => get(app, &params).await,
        other => Err(format!("Unknown API method '{other}'")),
    };
    let (result, error) = match answer {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(error)),
    };
    AgentApiResponse { request_id: request.request_id, result, error }
}

async fn infrastructure(app: &App) -> Result<Value, String> {
    let hosts = hosts(app).await?;
    let connected = hosts.iter().filter(|host| host.disconnected_at.is_none()).map(|host| {
        json!({
            "agentId": host.agent_id, "labels": host.labels, "scalerManaged": host.scaler_managed,
            "source": "local",
        })
    });
    Ok(json!({"scalers": [], "agents": connected.collect::<Vec<_>>()}))
}

async fn query(app: &App, params: Value) -> Result<Value, String> {
    let query: Query =
        serde_json::from_value(params).map_err(|error| format!("inventory.query: {error}"))?;
    let selectors = selectors(&query)?;
    let hosts = hosts(app).await?;
    let grace = app.config.agents.roster_grace;
    let fitting = hosts.iter().filter(|host| fits(&selectors, &host.labels));
    Ok(fitting.map(|host| entry(host, grace)).collect())
}

async fn get(app: &App, params: &Value) -> Result<Value, String> {
    let Some(id) = params.get("agentId").and_then(Value::as_str) else {
        return Err("inventory.get: agentId is missing".into());
    };
    let mut conn = app.store.connection().await.map_err(|error| away(&error))?;
    let host = roster_get(&mut conn, id).await.map_err(|error| away(&error))?;
    Ok(host.map_or(Value::Null, |host| entry(&host, app.config.agents.roster_grace)))
}

async fn hosts(app: &App) -> Result<Vec<RosterRow>, String> {
    let mut hosts: Vec<RosterRow> = Vec::new();
    let mut conn = app.store.connection().await.map_err(|error| away(&error))?;
    loop {
        let after = hosts.last().map_or(String::new(), |host| host.agent_id.clone());
        let page = roster_list(&mut conn, &after, PAGE).await.map_err(|error| away(&error))?;
        let more = i64::try_from(page.len()).is_ok_and(|count| count == PAGE);
        hosts.extend(page);
        if !more || hosts.len() >= HOSTS {
            return Ok(hosts);
        }
    }
}

fn away(error: &(dyn std::error::Error + 'static)) -> String {
    warn!(error = %Chain(error), "could not read the roster for a job");
    "the roster of hosts cannot be read now".into()
}

fn selectors(query: &Query) -> Result<Vec<Selector>, String> {
    let whole = [Vec::new()];
    let include = if query.include.is_empty() { &whole[..] } else { &query.include };
    include
        .iter()
        .map(|all| Selector::new(all, &query.exclude))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("inventory.query: {error}"))
}

/// A taint keeps jobs away, not questions.
fn fits(selectors: &[Selector], labels: &[String]) -> bool {
    let labels = AgentLabels { labels: labels.iter().cloned().collect(), ..AgentLabels::default() };
    selectors.iter().any(|selector| selector.matches(&labels))
}

fn entry(host: &RosterRow, grace: Duration) -> Value {
    let live = host.disconnected_at.is_none()
        || u64::try_from(host.silent_ms).is_ok_and(|ms| Duration::from_millis(ms) <= grace);
    let status = match (live, host.durable) {
        (true, _) => "ready",
        (false, true) => "unreachable",
        (false, false) => "stale",
    };
    let properties: Value = serde_json::from_str(&host.properties).unwrap_or_default();
    let seen = Timestamp::from_millisecond(host.last_seen_at.millis()).unwrap_or_default();
    json!({
        "agentId": host.agent_id, "labels": host.labels, "properties": properties, "hostname": host.hostname,
        "platform": host.platform, "arch": host.arch,
        "lifecycleClass": if host.scaler_managed { "ephemeral" } else { "static" },
        "status": status, "lastSeen": format!("{seen:.3}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_fits_when_it_has_all_labels_of_one_clause() {
        let exact = |value: &str| json!({"kind": "exact", "value": value});
        let query: Query = serde_json::from_value(json!({
            "include": [[exact("linux"), exact("gpu")], [exact("mac")]], "exclude": [exact("old")],
        }))
        .unwrap();
        let selectors = selectors(&query).unwrap();
        let fits = |labels: &[&str]| {
            fits(&selectors, &labels.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(fits(&["linux", "gpu"]) && fits(&["mac"]));
        assert!(!fits(&["linux"]) && !fits(&["mac", "old"]) && !fits(&[]));
        let all = super::selectors(&Query::default()).unwrap();
        assert!(super::fits(&all, &[]));
    }
}
