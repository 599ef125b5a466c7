//! What is kept for how long.

use kici_protocol::http::retention::RetentionView;

use crate::{Client, ClientError};

impl Client {
    /// What is kept for how long, what that takes, and what was removed.
    pub async fn retention(&self) -> Result<RetentionView, ClientError> {
        self.get(&["api", "v1", "admin", "retention"], &()).await
    }
}
