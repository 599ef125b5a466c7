//! Who asks, and whether they may.

use kici_model::approval::Person;
use kici_model::ids::TokenId;
use kici_protocol::http::tokens::Role;
use kici_store::admin_token::AdminTokenRow;

use super::permission::Permission;

/// The holder of an admin token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    token: TokenId,
    label: String,
    role: String,
    routing_key: Option<String>,
    teams: Vec<String>,
}

/// A caller who may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// The role lacks the permission.
    #[error("Role \"{role}\" does not have permission \"{}\"", needed.as_str())]
    Role {
        /// The caller's role.
        role: String,
        /// What it lacks.
        needed: Permission,
    },
    /// The same, in the words of the cancel route.
    #[error("Permission denied: run.cancel required")]
    Cancel,
    /// A token of one routing key asks about another.
    #[error(
        "Access denied: token is restricted to a single routing key and this request targets a different one"
    )]
    OtherKey,
    /// A token of one routing key asks about everything.
    #[error(
        "Access denied: this route requires an unscoped admin token (the calling token is restricted to a single \
         routing key)"
    )]
    Scoped,
}

impl Caller {
    pub(super) fn new(row: AdminTokenRow) -> Caller {
        Caller {
            token: TokenId(row.id),
            label: row.label,
            role: row.role,
            routing_key: row.routing_key,
            teams: row.teams,
        }
    }

    /// What the caller's token is for: how people know the caller.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The caller's role, also one that this version does not know.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }

    /// The routing key that the caller is tied to.
    pub(crate) fn routing_key(&self) -> Option<&str> {
        self.routing_key.as_deref()
    }

    /// The token that the caller came with.
    pub(crate) fn token(&self) -> TokenId {
        self.token
    }

    /// Whom the caller is for approvals: the token's label is the user.
    pub(crate) fn person(&self) -> Person {
        Person { user: self.label.clone(), teams: self.teams.clone() }
    }

    /// Whether the caller's role has this permission. An unknown role has none.
    pub(crate) fn may(&self, needed: Permission) -> bool {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == self.role)
            .is_some_and(|role| needed.roles().contains(&role))
    }

    /// Refuses a caller whose role lacks this permission.
    pub(crate) fn require(&self, needed: Permission) -> Result<(), Denied> {
        if self.may(needed) {
            return Ok(());
        }
        Err(match needed {
            Permission::RunCancel => Denied::Cancel,
            _ => Denied::Role { role: self.role.clone(), needed },
        })
    }

    /// Refuses a token that is tied to a routing key: for what concerns all of them.
    pub(crate) fn require_unscoped(&self) -> Result<(), Denied> {
        match self.routing_key {
            None => Ok(()),
            Some(_) => Err(Denied::Scoped),
        }
    }

    /// Refuses a token that is tied to another routing key: for what concerns this one.
    pub(crate) fn require_key(&self, routing_key: &str) -> Result<(), Denied> {
        match &self.routing_key {
            Some(own) if own != routing_key => Err(Denied::OtherKey),
            Some(_) | None => Ok(()),
        }
    }

    /// The routing key that lists are narrowed to; a caller who asks for a different one is refused.
    pub(crate) fn narrow(&self, asked: Option<String>) -> Result<Option<String>, Denied> {
        match (&self.routing_key, asked) {
            (Some(own), Some(asked)) if *own != asked => Err(Denied::OtherKey),
            (Some(own), _) => Ok(Some(own.clone())),
            (None, asked) => Ok(asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: &str, key: Option<&str>) -> Caller {
        Caller {
            token: TokenId::generate(),
            label: "test".into(),
            role: role.into(),
            routing_key: key.map(Into::into),
            teams: Vec::new(),
        }
    }

    #[test]
    fn the_texts_of_refusals() {
        let auditor = caller("auditor", Some("github:42"));
        let refusals = [
            auditor.require(Permission::TokenManage),
            auditor.require(Permission::RunCancel),
            auditor.require_key("github:43"),
            auditor.require_unscoped(),
            caller("king", None).require(Permission::RunRead),
        ]
        .map(|refusal| refusal.unwrap_err().to_string());
        assert_eq!(
            refusals,
            [
                r#"Role "auditor" does not have permission "token.manage""#,
                "Permission denied: run.cancel required",
                "Access denied: token is restricted to a single routing key and this request targets a different one",
                "Access denied: this route requires an unscoped admin token (the calling token is restricted to a single routing key)",
                r#"Role "king" does not have permission "run.read""#,
            ]
        );
    }

    #[test]
    fn lists_of_a_tied_token_are_narrowed() {
        let tied = caller("admin", Some("github:42"));
        assert_eq!(tied.narrow(None).unwrap().as_deref(), Some("github:42"));
        assert_eq!(tied.narrow(Some("github:42".into())).unwrap().as_deref(), Some("github:42"));
        assert_eq!(tied.narrow(Some("github:7".into())).unwrap_err(), Denied::OtherKey);
        let free = caller("admin", None);
        assert_eq!(free.narrow(None).unwrap(), None);
        assert!(free.require_unscoped().is_ok() && free.require_key("github:1").is_ok());
    }
}
