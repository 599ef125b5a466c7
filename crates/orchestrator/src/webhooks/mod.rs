//! Webhook routes. (Owner fills it in; `App` holds one `Webhooks`.)

use crate::config::Config;
use crate::http::Routes;

/// State of the webhook routes: rate limits.
pub(crate) struct Webhooks;

impl Webhooks {
    pub(crate) fn new(_config: &Config) -> Webhooks {
        Webhooks
    }
}

pub(crate) fn routes() -> Routes {
    Routes::new()
}
