//! What there is to be allowed, and which role is allowed what.

use kici_protocol::http::tokens::Role;

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, [$($role:ident),*];)*) => {
        /// One thing that a route may ask for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[$doc])* $variant,)*
        }

        impl Permission {
            /// All of them.
            pub const ALL: &[Permission] = &[$(Permission::$variant,)*];

            /// The name that error texts and the documentation use.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Permission::$variant => $name,)*
                }
            }

            /// The roles that have it. There is no inheritance beyond this list.
            pub fn roles(self) -> &'static [Role] {
                match self {
                    $(Permission::$variant => &[$(Role::$role),*],)*
                }
            }
        }
    };
}

permissions! {
    /// Add sources, trust and events.
    ContextCreate = "context.create", [Owner, Admin];
    /// Look at sources, registrations and the schema.
    ContextRead = "context.read", [Owner, Admin, Auditor];
    /// Change them.
    ContextUpdate = "context.update", [Owner, Admin];
    /// Remove them.
    ContextDelete = "context.delete", [Owner, Admin];
    /// See names of secrets.
    SecretRead = "secret.read", [Owner, Admin];
    /// Store secrets.
    SecretWrite = "secret.write", [Owner, Admin];
    /// Remove secrets.
    SecretDelete = "secret.delete", [Owner, Admin];
    /// See values of secrets.
    SecretReveal = "secret.reveal", [Owner, Admin];
    /// Read the audit log.
    AuditRead = "audit.read", [Owner, Admin, Auditor];
    /// Make and withdraw tokens of operators and agents.
    TokenManage = "token.manage", [Owner];
    /// Encrypt all secrets anew.
    KeyRotate = "key.rotate", [Owner];
    /// See runs and their logs.
    RunRead = "run.read", [Owner, Admin, Auditor];
    /// Stop and repeat runs.
    RunCancel = "run.cancel", [Owner, Admin];
    /// See which deliveries came.
    EventLogRead = "event_log.read", [Owner, Admin, Auditor];
    /// See what was in them.
    EventLogReadPayload = "event_log.read_payload", [Owner, Admin];
    /// Read the access log.
    AccessLogRead = "access_log.read", [Owner, Admin, Auditor];
    /// Start housekeeping by hand.
    ScheduledJobTrigger = "scheduled_job.trigger", [Owner, Admin];
    /// See events that could not be dispatched.
    EventDlqRead = "event_dlq.read", [Owner, Admin, Auditor];
    /// Retry or discard them.
    EventDlqManage = "event_dlq.manage", [Owner, Admin];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_roles() {
        let rows: Vec<String> = Permission::ALL
            .iter()
            .map(|permission| {
                let roles = permission.roles().iter().map(|role| role.as_str());
                format!("{}: {}", permission.as_str(), roles.collect::<Vec<_>>().join(" "))
            })
            .collect();
        assert_eq!(
            rows.join("\n"),
            "\
context.create: owner admin
context.read: owner admin auditor
context.update: owner admin
context.delete: owner admin
secret.read: owner admin
secret.write: owner admin
secret.delete: owner admin
secret.reveal: owner admin
audit.read: owner admin auditor
token.manage: owner
key.rotate: owner
run.read: owner admin auditor
run.cancel: owner admin
event_log.read: owner admin auditor
event_log.read_payload: owner admin
access_log.read: owner admin auditor
scheduled_job.trigger: owner admin
event_dlq.read: owner admin auditor
event_dlq.manage: owner admin"
        );
    }
}
