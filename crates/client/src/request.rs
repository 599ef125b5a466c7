//! Sending requests and reading answers.

use std::time::Duration;

use kici_protocol::http::error::ErrorBody;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ClientError;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take, streams excepted.
const ANSWER: Duration = Duration::from_secs(60);

/// An orchestrator and, usually, a token for it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client of the orchestrator at `base`, which may have a path. Nothing is sent yet.
    pub fn new(base: &str, token: Option<&SecretString>) -> Result<Client, ClientError> {
        let address = || ClientError::Address { url: base.to_owned() };
        let mut base = Url::parse(base).map_err(|_| address())?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(address());
        }
        base.set_query(None);
        base.set_fragment(None);
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        // Fails when the program has chosen a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT)
            .user_agent(concat!("kici/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|source| ClientError::Unreachable { url: base.to_string(), source })?;
        Ok(Client { http, base })
    }

    /// Where the orchestrator is.
    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path).query(query);
        self.json(request, path).await
    }

    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.request(method, path).json(body);
        self.json(request, path).await
    }

    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        path: &[&str],
    ) -> Result<T, ClientError> {
        let response = self.answer(request.timeout(ANSWER)).await?;
        let bytes = response.bytes().await.map_err(|source| ClientError::Broken { source })?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ClientError::Unreadable { what: path.join("/"), source })
    }

    /// Sends, and turns every answer that is no success into an error.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|source| ClientError::Unreachable {
            url: self.base().to_owned(),
            source: source.without_url(),
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| {
            let text = text.trim();
            let reason = status.canonical_reason().unwrap_or("no reason given");
            ErrorBody::new(if text.is_empty() { reason } else { text })
        });
        Err(ClientError::Refused { status: status.as_u16(), body })
    }

    /// A request to a path below the base; each segment is encoded.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("http and https addresses have paths")
            .pop_if_empty()
            .extend(path);
        self.http.request(method, url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_paths_are_encoded_below_them() {
        for bad in ["", "localhost:4000", "ftp://x", "http://"] {
            assert!(matches!(Client::new(bad, None), Err(ClientError::Address { .. })), "{bad}");
        }
        for base in ["http://h:1/kici", "http://h:1/kici/"] {
            let client = Client::new(base, None).unwrap();
            let request = client.request(Method::GET, &["a", "x/y z"]).build().unwrap();
            assert_eq!(request.url().as_str(), "http://h:1/kici/a/x%2Fy%20z");
        }
    }

    #[test]
    fn the_token_is_not_printed() {
        let client = Client::new("http://h", Some(&"s3cret".into())).unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
    }
}
