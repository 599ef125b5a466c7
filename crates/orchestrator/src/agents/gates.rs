//! Who may register, and as what. Pure.

use kici_protocol::agent::{Close, CloseCode, Register};

use crate::access::AgentIdentity;
use crate::config::AgentAuth;

const ROOT: &str = "kici:privileged:root";

/// Bytes of an agent's id.
const LONGEST_ID: usize = 512;

/// Reserved labels that an agent finds out by itself.
const SELF_REPORTED: [&str; 3] = ["kici:os:", "kici:arch:", "kici:host:"];

/// Reserved labels that an agent's operator chooses without a token that names them.
const OPERATORS: &str = "kici:role:";

/// Checks a register message against the token that the agent showed (none when tokens are not asked for).
pub(super) fn check(
    auth: AgentAuth,
    identity: Option<&AgentIdentity>,
    register: &Register,
) -> Result<(), Close> {
    let refuse = |reason: String| Err(Close::new(CloseCode::Refused, &reason));
    if register.max_concurrency == Some(0) || !is_id(&register.agent_id) {
        return Err(Close::new(CloseCode::Protocol, Close::REGISTER_FIRST));
    }
    let scope = identity.and_then(|identity| identity.scope.as_ref());
    let mandatory = identity.map_or(&[][..], |identity| identity.mandatory.as_slice());
    let names_root = |labels: &[String]| labels.iter().any(|label| label == ROOT);
    let wants_root = names_root(&register.labels)
        || scope.is_some_and(|scope| names_root(scope))
        || names_root(mandatory);
    if wants_root && register.running_as_uid != Some(0) {
        let uid =
            register.running_as_uid.map_or_else(|| "absent".to_owned(), |uid| uid.to_string());
        return refuse(format!("privileged-root token presented by non-root agent (uid={uid})"));
    }
    let exceeding: Vec<&str> = register
        .labels
        .iter()
        .map(String::as_str)
        .filter(|label| !SELF_REPORTED.iter().any(|prefix| label.starts_with(prefix)))
        .filter(|label| match scope {
            Some(scope) => !scope.iter().any(|allowed| allowed == label),
            // A token without a scope is for ordinary labels: what KiCI itself reads has to be granted.
            None => {
                auth == AgentAuth::Token
                    && label.starts_with("kici:")
                    && !label.starts_with(OPERATORS)
            }
        })
        .collect();
    if !exceeding.is_empty() {
        return refuse(format!("Agent labels exceed token-bound scope: {}", exceeding.join(",")));
    }
    if let Some(bound) = identity.and_then(|identity| identity.bound_to.as_deref())
        && bound != register.agent_id
    {
        return refuse(format!(
            "Ephemeral token bound to a different agentId: expected {bound}, got {}",
            register.agent_id
        ));
    }
    Ok(())
}

/// Ids are shown, logged and stored: nothing endless, nothing that hides.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_ID && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use kici_model::ids::TokenId;

    use super::*;

    fn identity(scope: Option<&[&str]>) -> AgentIdentity {
        AgentIdentity {
            token: TokenId::generate(),
            scope: scope.map(|labels| labels.iter().map(ToString::to_string).collect()),
            mandatory: Vec::new(),
            bound_to: None,
        }
    }

    fn register(labels: &[&str], uid: Option<u32>) -> Register {
        Register {
            agent_id: "a".into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            running_as_uid: uid,
            ..Register::default()
        }
    }

    fn refusal(identity: &AgentIdentity, register: &Register) -> String {
        check(AgentAuth::Token, Some(identity), register).unwrap_err().reason
    }

    #[test]
    fn a_scope_names_every_label_but_the_self_reported() {
        let scoped = identity(Some(&["linux", "x64"]));
        let register_all = register(&["linux", "gpu", "kici:os:linux", "kici:host:h"], None);
        assert_eq!(refusal(&scoped, &register_all), "Agent labels exceed token-bound scope: gpu");
        assert!(
            check(AgentAuth::Token, Some(&scoped), &register(&["linux", "kici:arch:x64"], None))
                .is_ok()
        );
        let role = register(&["linux", "kici:role:builder"], None);
        assert_eq!(
            refusal(&scoped, &role),
            "Agent labels exceed token-bound scope: kici:role:builder"
        );
    }

    #[test]
    fn reserved_labels_have_to_be_granted() {
        let open = identity(None);
        let wanted =
            register(&["linux", "kici:role:builder", "kici:capability:ssh-transport"], None);
        assert_eq!(
            refusal(&open, &wanted),
            "Agent labels exceed token-bound scope: kici:capability:ssh-transport"
        );
        assert!(
            check(AgentAuth::Token, Some(&open), &register(&["gpu", "kici:role:builder"], None))
                .is_ok()
        );
        assert!(check(AgentAuth::None, None, &register(&["kici:scaler:x"], None)).is_ok());
    }

    #[test]
    fn root_is_for_root_in_every_mode() {
        for (uid, shown) in [(None, "absent"), (Some(1000), "1000")] {
            let close = check(AgentAuth::None, None, &register(&[ROOT], uid)).unwrap_err();
            assert_eq!(
                close.reason,
                format!("privileged-root token presented by non-root agent (uid={shown})")
            );
            assert_eq!(close.code, CloseCode::Refused);
        }
        assert!(check(AgentAuth::None, None, &register(&[ROOT], Some(0))).is_ok());
    }

    #[test]
    fn an_ephemeral_token_belongs_to_one_agent() {
        let bound = AgentIdentity { bound_to: Some("b".into()), ..identity(None) };
        assert_eq!(
            refusal(&bound, &register(&[], None)),
            "Ephemeral token bound to a different agentId: expected b, got a"
        );
    }

    #[test]
    fn many_labels_still_give_a_readable_reason() {
        let labels: Vec<String> = (0..40).map(|n| format!("elevated-ü-{n}")).collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let reason = refusal(&identity(Some(&["x"])), &register(&labels, None));
        assert!(reason.len() <= 123 && reason.starts_with("Agent labels exceed"));
    }
}
