//! The route table: a route cannot be added without saying who may use it.
//!
//! The rule travels with the request as an extension, where the extractor that checks tokens (`crate::access`)
//! finds it; nothing else needs to know which permission a path takes.

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use axum::{Extension, Router};

use crate::access::Permission;
use crate::app::App;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: probes and scrapes.
    Public,
    /// Whoever the source's own verification lets in.
    Webhook,
    /// An agent, which authenticates inside the socket.
    Agent,
    /// A bearer token with this permission.
    Permission(Permission),
    /// Any valid bearer token.
    AnyToken,
}

/// One route, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path with its `{parameters}`, without the base path.
    pub path: String,
    /// Who may use it.
    pub access: Access,
}

/// Routes together with their entries in the table.
pub(crate) struct Routes {
    router: Router<App>,
    table: Vec<RouteEntry>,
}

impl Routes {
    pub(crate) fn new() -> Routes {
        Routes { router: Router::new(), table: Vec::new() }
    }

    pub(crate) fn get<H, T>(self, path: &str, access: Access, handler: H) -> Routes
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::GET, path, access, on(MethodFilter::GET, handler))
    }

    pub(crate) fn post<H, T>(self, path: &str, access: Access, handler: H) -> Routes
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::POST, path, access, on(MethodFilter::POST, handler))
    }

    pub(crate) fn patch<H, T>(self, path: &str, access: Access, handler: H) -> Routes
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::PATCH, path, access, on(MethodFilter::PATCH, handler))
    }

    pub(crate) fn delete<H, T>(self, path: &str, access: Access, handler: H) -> Routes
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::DELETE, path, access, on(MethodFilter::DELETE, handler))
    }

    /// Every method; for what catches the rest.
    pub(crate) fn any<H, T>(mut self, path: &str, access: Access, handler: H) -> Routes
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.router = self.router.route(path, any(handler).layer(Extension(access)));
        self.table.push(RouteEntry { method: "ANY".to_owned(), path: path.to_owned(), access });
        self
    }

    fn add(
        mut self,
        method: Method,
        path: &str,
        access: Access,
        handler: MethodRouter<App>,
    ) -> Routes {
        self.router = self.router.route(path, handler.layer(Extension(access)));
        self.table.push(RouteEntry { method: method.to_string(), path: path.to_owned(), access });
        self
    }

    /// A smaller or larger limit for the bodies of these routes than the general one.
    pub(crate) fn body_limit(mut self, bytes: usize) -> Routes {
        self.router = self.router.layer(DefaultBodyLimit::max(bytes));
        self
    }

    pub(crate) fn merge(mut self, other: Routes) -> Routes {
        self.router = self.router.merge(other.router);
        self.table.extend(other.table);
        self
    }

    /// What was registered.
    pub(crate) fn table(&self) -> &[RouteEntry] {
        &self.table
    }

    pub(super) fn into_router(self) -> Router<App> {
        self.router
    }
}
