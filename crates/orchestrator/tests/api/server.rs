//! An orchestrator under test, and requests to it.

use std::collections::HashMap;

use kici_orchestrator::{Config, Server, Start};
use kici_store::{Connect, Store};
use kici_testkit::pg::TestDb;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The owner's token of every orchestrator here.
pub(crate) const OWNER: &str = "the-owner-of-this-test";

/// A database that any number of orchestrators may run on.
pub(crate) struct Place {
    db: TestDb,
    pub(crate) data: TempDir,
}

/// A running orchestrator.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) store: Store,
    http: reqwest::Client,
    place: std::sync::Arc<Place>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
}

impl Answer {
    /// Status and body as one value, to compare.
    pub(crate) fn both(&self) -> (u16, Value) {
        (self.status.as_u16(), self.json())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body of an answer that must be this.
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.json()
    }
}

impl TestServer {
    /// An orchestrator on a database of its own.
    pub(crate) async fn start() -> TestServer {
        TestServer::start_with(Place::new().await, &[]).await
    }

    /// Another orchestrator on the same database, or one with other settings.
    pub(crate) async fn start_with(place: Place, vars: &[(&str, &str)]) -> TestServer {
        TestServer::start_on(std::sync::Arc::new(place), vars).await
    }

    /// A second orchestrator beside this one.
    pub(crate) async fn beside(&self, vars: &[(&str, &str)]) -> TestServer {
        TestServer::start_on(self.place.clone(), vars).await
    }

    async fn start_on(place: std::sync::Arc<Place>, vars: &[(&str, &str)]) -> TestServer {
        let data = place.data.path().to_str().unwrap();
        let mut all: HashMap<&str, &str> = HashMap::from([
            ("KICI_MODE", "independent"),
            ("KICI_PORT", "0"),
            ("KICI_DATABASE_URL", place.db.url()),
            ("KICI_SECRET_KEY", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
            ("KICI_DATA_DIR", data),
            ("KICI_BOOTSTRAP_ADMIN_TOKEN", OWNER),
        ]);
        all.extend(vars.iter().copied());
        let vars = all
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (config, _) = Config::from_vars(vars).unwrap();
        let server = Start { config }.run().await.unwrap();
        // Ours and the one that reqwest would pick are both in the tree.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Store::connect(place.db.url(), Connect::default()).await.unwrap();
        TestServer { server, store, http: reqwest::Client::new(), place }
    }

    /// Stops, and gives the database to the next one.
    pub(crate) async fn stop(self) -> Place {
        self.server.stop().await;
        self.store.close().await;
        std::sync::Arc::into_inner(self.place).expect("no other orchestrator is on this database")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let port = self.server.address.port();
        self.http.request(method, format!("http://127.0.0.1:{port}{path}"))
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        answer(self.request(Method::GET, path).bearer_auth(token)).await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Answer {
        answer(self.request(Method::DELETE, path).bearer_auth(token)).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).bearer_auth(token).json(body)).await
    }

    pub(crate) async fn patch(&self, token: &str, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::PATCH, path).bearer_auth(token).json(body)).await
    }

    /// A token of this role, perhaps tied to a routing key.
    pub(crate) async fn token(&self, role: &str, routing_key: Option<&str>) -> String {
        let body = json!({ "label": role, "role": role, "routingKey": routing_key });
        let made = self.post(OWNER, "/api/v1/admin/tokens", &body).await.expect(201);
        made["token"].as_str().unwrap().to_owned()
    }

    /// Adds a source and gives its view.
    pub(crate) async fn source(&self, body: Value) -> Value {
        let mut all = json!({ "orgId": "acme", "name": "one", "verificationMethod": "none" });
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        self.post(OWNER, "/api/v1/admin/generic-sources", &all).await.expect(201)["source"].clone()
    }

    /// Sends a delivery to a source of `acme`.
    pub(crate) async fn deliver(
        &self,
        source: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = self.request(Method::POST, &format!("/webhook/acme/generic/{source}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.body(body.to_vec())).await
    }

    /// Runs a statement that the API has no way to do, such as letting time pass.
    pub(crate) async fn sql(&self, statement: &str) {
        let mut conn = self.store.connection().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut *conn).await.unwrap();
    }
}

impl Place {
    pub(crate) async fn new() -> Place {
        let db = TestDb::migrated(async |url| {
            let store = Store::connect(url, Connect::default()).await?;
            store.migrate().await?;
            store.close().await;
            Ok::<_, kici_store::StoreError>(())
        })
        .await;
        Place { db, data: tempfile::tempdir().unwrap() }
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    Answer { status, headers, text: response.text().await.unwrap() }
}
