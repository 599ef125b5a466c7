//! Admin tokens.

use kici_model::ids::TokenId;
use kici_protocol::http::tokens::{CreateToken, TokenCreated, TokenList, TokenRevoked};
use reqwest::Method;

use crate::{Client, ClientError};

const TOKENS: [&str; 4] = ["api", "v1", "admin", "tokens"];

impl Client {
    /// Makes an admin token.
    pub async fn token_create(&self, body: &CreateToken) -> Result<TokenCreated, ClientError> {
        self.send(Method::POST, &TOKENS, body).await
    }

    /// All admin tokens.
    pub async fn token_list(&self) -> Result<TokenList, ClientError> {
        self.get(&TOKENS, &()).await
    }

    /// Withdraws an admin token.
    pub async fn token_revoke(&self, id: TokenId) -> Result<TokenRevoked, ClientError> {
        let path = ["api", "v1", "admin", "tokens", &id.to_string()];
        self.json(self.request(Method::DELETE, &path), &path).await
    }
}
