//! Close codes of the agent link and their reason texts.

use super::limits::MAX_CLOSE_REASON;

/// Why a socket was closed, as a number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// Intended end.
    Normal = 1000,
    /// The server goes down, or this connection is no longer wanted.
    GoingAway = 1001,
    /// A frame above the limit.
    TooLarge = 1009,
    /// Reserved for another tier; permanent for an agent.
    Reserved = 4001,
    /// Nothing came in time during authentication or registration.
    Timeout = 4002,
    /// Malformed, invalid, unexpected or too much.
    Protocol = 4003,
    /// No heartbeat for 180 s.
    HeartbeatTimeout = 4004,
    /// Protocol versions do not meet.
    UnsupportedVersion = 4005,
    /// Internal error.
    Internal = 4006,
    /// Authentication or authorization failed: the agent must not come back.
    Refused = 4010,
    /// A dispatch was not acknowledged in time.
    DispatchAckTimeout = 4031,
}

impl CloseCode {
    /// The code behind a number, if it is one of this link.
    #[must_use]
    pub fn from_u16(code: u16) -> Option<Self> {
        [
            Self::Normal,
            Self::GoingAway,
            Self::TooLarge,
            Self::Reserved,
            Self::Timeout,
            Self::Protocol,
            Self::HeartbeatTimeout,
            Self::UnsupportedVersion,
            Self::Internal,
            Self::Refused,
            Self::DispatchAckTimeout,
        ]
        .into_iter()
        .find(|known| *known as u16 == code)
    }

    /// Whether an agent has to stop for good instead of reconnecting.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        matches!(self, Self::Reserved | Self::Refused)
    }
}

/// A close frame: code and a reason that fits into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: CloseCode,
    /// The reason, at most [`MAX_CLOSE_REASON`] bytes.
    pub reason: String,
}

impl Close {
    /// The agent goes away on purpose.
    pub const AGENT_DISCONNECT: &'static str = "Agent disconnect";
    /// The agent got `auth.failure`.
    pub const AUTH_FAILED: &'static str = "Auth failed";
    /// Graceful stop of an orchestrator.
    pub const SERVER_SHUTTING_DOWN: &'static str = "Server shutting down";
    /// Five messages about foreign jobs within a minute.
    pub const OWNERSHIP_VIOLATIONS: &'static str = "Too many ownership violations";
    /// The same agent registered again with the same token.
    pub const REPLACED: &'static str = "Replaced by a new connection";
    /// No `auth.request` within 5 s.
    pub const AUTH_TIMEOUT: &'static str = "Auth timeout";
    /// No `agent.register` within 10 s.
    pub const REGISTRATION_TIMEOUT: &'static str = "Registration timeout";
    /// Not JSON.
    pub const MALFORMED_JSON: &'static str = "Malformed JSON";
    /// First message was not a valid `auth.request`.
    pub const INVALID_AUTH_MESSAGE: &'static str = "Invalid auth message";
    /// Token unknown, revoked, expired or consumed.
    pub const AUTHENTICATION_FAILED: &'static str = "Authentication failed";
    /// Stored data of the token is corrupt.
    pub const TOKEN_STATE_ERROR: &'static str = "Token state error";
    /// Traffic before registration.
    pub const NOT_REGISTERED: &'static str = "Not registered";
    /// Anything but `agent.register` when it is due.
    pub const REGISTER_FIRST: &'static str = "First message must be agent.register";
    /// A registered peer sent something invalid.
    pub const INVALID_MESSAGE: &'static str = "Invalid message";
    /// Above the hard limit.
    pub const MESSAGE_TOO_LARGE: &'static str = "Message too large";
    /// Can never pass the byte bucket.
    pub const EXCEEDS_BURST: &'static str = "Message exceeds byte burst capacity";
    /// 5 s of uninterrupted violation.
    pub const SUSTAINED_RATE: &'static str = "Sustained rate limit violation";
    /// 180 s of silence.
    pub const HEARTBEAT_TIMEOUT: &'static str = "Heartbeat timeout";
    /// The version is too old.
    pub const UNSUPPORTED_VERSION: &'static str = "Unsupported protocol version";
    /// The token was revoked or ran out.
    pub const TOKEN_REVOKED: &'static str = "Token revoked";
    /// The agent id belongs to another token.
    pub const AGENT_ID_TAKEN: &'static str = "AgentId already registered with a different token";
    /// The dispatch was not acknowledged.
    pub const DISPATCH_ACK_TIMEOUT: &'static str = "dispatch ack timeout";

    /// A close frame; a longer reason is cut to what fits, on a character boundary.
    #[must_use]
    pub fn new(code: CloseCode, reason: &str) -> Self {
        let cut = reason.floor_char_boundary(MAX_CLOSE_REASON);
        Self { code, reason: reason[..cut].to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_on_a_character_boundary() {
        let close = Close::new(CloseCode::Refused, &format!("a{}", "ü".repeat(100)));
        assert_eq!(close.reason.len(), 123);
        let close = Close::new(CloseCode::Refused, &"ü".repeat(100));
        assert_eq!(close.reason.len(), 122);
        assert_eq!(
            Close::new(CloseCode::Normal, Close::AGENT_DISCONNECT).reason,
            "Agent disconnect"
        );
    }

    #[test]
    fn codes_come_back_from_their_numbers() {
        assert_eq!(CloseCode::from_u16(4010), Some(CloseCode::Refused));
        assert!(CloseCode::Refused.is_permanent());
        assert!(!CloseCode::Protocol.is_permanent());
        assert_eq!(CloseCode::from_u16(1006), None);
    }
}
