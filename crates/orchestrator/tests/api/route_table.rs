//! The routes that are served ask for what the published table of routes says.

use kici_orchestrator::http::{Access, Permission, route_table};
use serde_json::Value;

/// Routes that the table does not know.
const OURS: [&str; 7] = [
    "GET /ws",
    "GET /api/v1/admin/agents",
    "GET /api/v1/admin/retention",
    "GET /api/v1/admin/runs/{}/follow",
    "GET /api/v1/admin/held-runs/{}",
    "POST /api/v1/admin/event-log/{}/replay",
    "ANY /api/v1/admin/{}",
];

/// `POST /a/{}/b`: parameters have other names here and there.
fn key(method: &str, path: &str) -> String {
    let parts: Vec<&str> =
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
    format!("{method} {}", parts.join("/"))
}

#[test]
fn every_served_route_asks_for_the_permission_of_the_table() {
    let table: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/admin-routes.json")).unwrap();
    for served in route_table() {
        let served_key = key(&served.method, &served.path);
        let listed = table.iter().find(|entry| {
            key(entry["method"].as_str().unwrap(), entry["path"].as_str().unwrap()) == served_key
        });
        let Some(listed) = listed else {
            assert!(OURS.contains(&served_key.as_str()), "{served_key} is not in the table");
            continue;
        };
        let wanted = match listed["auth"].as_str().unwrap() {
            "none" => Access::Public,
            "per_source_verification" => Access::Webhook,
            _ => {
                let name =
                    listed["permission"].as_str().or(listed["recommendedPermission"].as_str());
                let name = name.unwrap();
                let known = Permission::ALL.iter().find(|known| known.as_str() == name);
                Access::Permission(*known.unwrap_or_else(|| panic!("no permission {name:?}")))
            }
        };
        assert_eq!(served.access, wanted, "{served_key}");
    }
}
