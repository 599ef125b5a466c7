//! What organisations have set.

use kici_protocol::http::org_settings::{OrgSettingsAnswer, UpdateOrgSettings};
use reqwest::Method;

use crate::{Client, ClientError};

const SETTINGS: [&str; 5] = ["api", "v1", "admin", "org-settings", "global-workflows"];

impl Client {
    /// The settings of an organisation, set or default.
    pub async fn org_settings(&self, org: &str) -> Result<OrgSettingsAnswer, ClientError> {
        self.get(&SETTINGS, &[("customerId", org)]).await
    }

    /// Sets what is given and leaves the rest.
    pub async fn org_settings_update(
        &self,
        body: &UpdateOrgSettings,
    ) -> Result<OrgSettingsAnswer, ClientError> {
        self.send(Method::PATCH, &SETTINGS, body).await
    }
}
