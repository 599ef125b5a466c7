//! The HTTP surface: every route goes through [`routes::Routes`], so that it has a stated access rule.
//!
//! `serve` listens and stops, `request` gives each request an id, a limit and one log line, `health` answers
//! probes and scrapes. Webhooks, the admin API and the agents' socket bring their own routes.

pub(crate) mod admin;
mod health;
mod request;
pub(crate) mod routes;
mod serve;

use axum::Router;

pub use crate::access::Permission;
use crate::app::App;
pub(crate) use request::Failure;
pub(crate) use routes::Routes;
pub use routes::{Access, RouteEntry};
pub use serve::{Server, Start, StartError};

/// All routes and who may use them.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .merge(health::routes())
        .merge(crate::agents::routes())
        .merge(crate::webhooks::routes())
        .merge(admin::routes())
}

/// All routes with their rules, for reference pages and tests.
pub fn route_table() -> Vec<RouteEntry> {
    routes().table().to_vec()
}

/// The whole service: with and without the base path, so that both kinds of reverse proxy work.
pub(crate) fn router(app: App) -> Router {
    let base = app.config.server.base_path.as_str().to_owned();
    let routes = routes().into_router();
    let routes = if base.is_empty() { routes } else { routes.clone().nest(&base, routes) };
    request::around(routes.with_state(app.clone()), app)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_listed_once_with_its_access() {
        let table = route_table();
        let mut seen = BTreeSet::new();
        for entry in &table {
            assert!(
                seen.insert((entry.method.clone(), entry.path.clone())),
                "{entry:?} is there twice"
            );
        }
        // Whoever adds a public route has to say so here.
        let public: Vec<&str> = table
            .iter()
            .filter(|entry| entry.access == Access::Public)
            .map(|entry| entry.path.as_str())
            .collect();
        assert_eq!(
            public,
            ["/health", "/ready", "/metrics", "/api/v1/capabilities", "/admin/diagnose"]
        );
        let guarded = |entry: &&RouteEntry| {
            entry.path.starts_with("/api/v1/") && entry.path != "/api/v1/capabilities"
        };
        for entry in table.iter().filter(guarded) {
            assert_ne!(entry.access, Access::Public, "{entry:?} is open to everybody");
        }
    }
}
