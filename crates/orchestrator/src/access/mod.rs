//! Who may do what: admin tokens with roles, and agent tokens.
//!
//! Credentials are 32 random bytes, shown once and stored as SHA-256. `http::admin` asks [`Caller`];
//! the agent link asks [`agent_token_verify`].

mod agents;
mod bootstrap;
mod caller;
mod permission;
mod token;
mod verify;

pub use agents::{AgentIdentity, agent_token_create, agent_token_verify};
pub use bootstrap::{Bootstrap, bootstrap};
pub use caller::{Caller, Denied};
pub use permission::{Guard, Permission};
pub use token::{Credential, token_hash};
pub use verify::AdminTokens;
