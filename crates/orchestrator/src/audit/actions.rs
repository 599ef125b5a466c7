//! What the routes of the admin API are called in the access log, and how often an allowed use is written.

use axum::http::Method;

/// A use of a route.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    pub(super) name: String,
    pub(super) target: Option<String>,
    /// Which part of the allowed ones is kept; refused ones are always.
    pub(super) rate: f64,
}

/// Method, path below `/api/v1/` (of the fleet: below `/`) with `{}` for parameters, name, kind of target, rate.
const NAMED: [(&str, &str, &str, &str, f64); 18] = [
    ("GET", "admin/runs", "runs.list.read", "run", 0.05),
    ("GET", "admin/runs/{}", "run.detail.read", "run", 0.05),
    ("GET", "admin/runs/{}/jobs", "run.detail.read", "run", 0.05),
    ("GET", "admin/runs/{}/structured", "run.structured.read", "run", 0.05),
    ("GET", "admin/runs/{}/follow", "step.logs.read", "run", 0.1),
    ("GET", "admin/runs/{}/jobs/{}/steps/{}/logs", "step.logs.read", "run", 0.1),
    ("POST", "admin/runs/{}/cancel", "run.cancel", "run", 1.0),
    ("POST", "admin/runs/{}/rerun", "run.rerun", "run", 1.0),
    ("GET", "admin/held-runs", "held_run.list.read", "held_run", 0.2),
    ("GET", "admin/held-runs/{}", "held_run.list.read", "held_run", 0.2),
    ("POST", "admin/held-runs/{}/approve", "held_run.approve", "held_run", 1.0),
    ("POST", "admin/held-runs/{}/reject", "held_run.reject", "held_run", 1.0),
    ("GET", "admin/event-log", "event_log.list.read", "event_log", 0.05),
    ("GET", "admin/event-log/{}", "event_log.detail.read", "event_log", 1.0),
    ("GET", "admin/fleet-topology", "fleet.read", "fleet", 0.1),
    ("POST", "admin/fleet-bundle", "fleet.bundle.read", "fleet", 1.0),
    ("GET", "admin/access-log", "access_log.list.read", "access_log", 1.0),
    ("GET", "admin/access-log/{}", "access_log.list.read", "access_log", 1.0),
];

/// Reads without a name of their own.
const OTHER_READS: f64 = 0.1;

/// The action of a route, given by its path with parameters. Nothing for what is not the admin API.
pub(super) fn action(method: &Method, path: &str) -> Option<Action> {
    let path = path
        .strip_prefix("/api/v1/")
        .filter(|path| path.starts_with("admin/") || path.starts_with("agent-tokens"))
        .or_else(|| path.strip_prefix('/').filter(|path| path.starts_with("admin/fleet-")))?;
    let shape: Vec<&str> =
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
    let shape = shape.join("/");
    let named = NAMED.iter().find(|named| named.0 == method.as_str() && named.1 == shape);
    if let Some((_, _, name, target, rate)) = named {
        let target = Some((*target).to_owned());
        return Some(Action { name: (*name).to_owned(), target, rate: *rate });
    }
    Some(unnamed(method, &shape))
}

/// `POST admin/generic-sources/{}/enable` is `generic_source.enable`; a route without a verb of its own has that of
/// its method.
fn unnamed(method: &Method, shape: &str) -> Action {
    let words: Vec<String> = shape
        .split('/')
        .filter(|part| *part != "admin" && *part != "{}" && !part.is_empty())
        .map(|part| part.replace('-', "_"))
        .collect();
    let subject = words.first().map_or_else(|| "admin".to_owned(), |word| singular(word));
    let mut name = vec![subject.clone()];
    name.extend(words.into_iter().skip(1));
    let ends_in_verb = name.len() > 1 && *method == Method::POST;
    if !ends_in_verb {
        name.push(
            match *method {
                Method::GET | Method::HEAD => "read",
                Method::DELETE => "delete",
                Method::POST => "create",
                _ => "update",
            }
            .to_owned(),
        );
    }
    let rate = if matches!(*method, Method::GET | Method::HEAD) { OTHER_READS } else { 1.0 };
    Action { name: name.join("."), target: Some(subject), rate }
}

fn singular(word: &str) -> String {
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route_table;

    fn name(method: Method, path: &str) -> String {
        let action = action(&method, path).unwrap();
        format!("{} {} {}", action.name, action.target.unwrap_or_default(), action.rate)
    }

    #[test]
    fn routes_have_names_also_those_that_nobody_named() {
        assert_eq!(name(Method::POST, "/api/v1/admin/runs/{id}/cancel"), "run.cancel run 1");
        assert_eq!(name(Method::POST, "/api/v1/admin/tokens"), "token.create token 1");
        assert_eq!(name(Method::DELETE, "/api/v1/admin/tokens/{id}"), "token.delete token 1");
        assert_eq!(name(Method::POST, "/api/v1/agent-tokens"), "agent_token.create agent_token 1");
        assert_eq!(
            name(Method::POST, "/api/v1/admin/event-log/{id}/replay"),
            "event_log.replay event_log 1"
        );
        assert_eq!(name(Method::GET, "/api/v1/admin/tokens"), "token.read token 0.1");
        assert_eq!(action(&Method::POST, "/webhook/{org}/generic/{id}"), None);
    }

    #[test]
    fn every_change_is_written_every_time() {
        for route in route_table() {
            let Ok(method) = Method::from_bytes(route.method.as_bytes()) else { continue };
            if method == Method::GET || route.method == "ANY" {
                continue;
            }
            if let Some(action) = action(&method, &route.path) {
                assert!(action.rate >= 1.0, "{route:?} is written only sometimes: {action:?}");
            }
        }
    }
}
