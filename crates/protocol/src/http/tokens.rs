//! Admin tokens: the credentials of operators and their scripts.

use kici_model::ids::TokenId;
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What the holder of an admin token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything, also make tokens and rotate the key.
    Owner,
    /// May operate sources, secrets and runs, but not make tokens.
    Admin,
    /// May look, and change nothing.
    Auditor,
}

impl Role {
    /// Every role, most powerful first.
    pub const ALL: [Role; 3] = [Role::Owner, Role::Admin, Role::Auditor];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Auditor => "auditor",
        }
    }
}

/// Body of `POST /api/v1/admin/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateToken {
    /// What the token is for, 1 to 255 characters.
    pub label: String,
    /// What its holder may do.
    pub role: Role,
    /// Ties the token to the runs and sources of one routing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<String>,
    /// Whose approvals its holder can give: teams that approvals name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// When the token stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The same, counted from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// Answer to [`CreateToken`]; the only time the token is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenCreated {
    /// The credential itself.
    pub token: String,
    /// The name to revoke it by.
    pub id: TokenId,
}

/// A token as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenView {
    /// The name to revoke it by.
    pub id: TokenId,
    /// What it is for.
    pub label: String,
    /// Its role; a word outside [`Role`] has no permission at all.
    pub role: String,
    /// The routing key that it is tied to.
    pub routing_key: Option<String>,
    /// The teams that its holder approves for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Whether it was withdrawn.
    pub revoked: bool,
}

/// Answer of `GET /api/v1/admin/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenList {
    /// Newest first, withdrawn ones included.
    pub tokens: Vec<TokenView>,
}

/// Answer of `DELETE /api/v1/admin/tokens/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Always true.
    pub revoked: bool,
}
