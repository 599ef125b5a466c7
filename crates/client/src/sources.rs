//! Generic and local sources.

use kici_model::ids::SourceId;
use kici_protocol::http::sources::{
    CreateSource, SourceAnswer, SourceDeleted, SourceEnabled, SourceList, UpdateSource,
};
use reqwest::Method;

use crate::{Client, ClientError};

const SOURCES: [&str; 4] = ["api", "v1", "admin", "generic-sources"];

impl Client {
    /// Adds a source.
    pub async fn source_create(&self, body: &CreateSource) -> Result<SourceAnswer, ClientError> {
        self.send(Method::POST, &SOURCES, body).await
    }

    /// The sources of an organisation.
    pub async fn source_list(
        &self,
        org_id: &str,
        with_deleted: bool,
    ) -> Result<SourceList, ClientError> {
        let with_deleted = if with_deleted { "true" } else { "false" };
        self.get(&SOURCES, &[("orgId", org_id), ("includeDeleted", with_deleted)]).await
    }

    /// One source.
    pub async fn source_get(&self, id: SourceId) -> Result<SourceAnswer, ClientError> {
        self.get(&one(&id.to_string()), &()).await
    }

    /// Changes a source.
    pub async fn source_update(
        &self,
        id: SourceId,
        body: &UpdateSource,
    ) -> Result<SourceAnswer, ClientError> {
        self.send(Method::PATCH, &one(&id.to_string()), body).await
    }

    /// Removes a source; with `hard` nothing of it is kept.
    pub async fn source_delete(
        &self,
        id: SourceId,
        hard: bool,
    ) -> Result<SourceDeleted, ClientError> {
        let id = id.to_string();
        let hard = if hard { "true" } else { "false" };
        let request = self.request(Method::DELETE, &one(&id)).query(&[("hard", hard)]);
        self.json(request, &one(&id)).await
    }

    /// Lets a source's deliveries in, or keeps them out.
    pub async fn source_enable(
        &self,
        id: SourceId,
        enabled: bool,
    ) -> Result<SourceEnabled, ClientError> {
        let id = id.to_string();
        let [api, v1, admin, sources, id] = one(&id);
        let switch = if enabled { "enable" } else { "disable" };
        let path = [api, v1, admin, sources, id, switch];
        self.json(self.request(Method::POST, &path), &path).await
    }
}

fn one(id: &str) -> [&str; 5] {
    let [api, v1, admin, sources] = SOURCES;
    [api, v1, admin, sources, id]
}
