//! Sizes, rates and times of the agent link, so that both sides and the tests use the same numbers.

use std::time::Duration;

/// Most bytes of reason in a close frame.
pub const MAX_CLOSE_REASON: usize = 123;
/// Largest frame that a peer must take.
pub const MAX_FRAME: usize = 25 * 1024 * 1024;
/// Hard size of a message to an orchestrator; larger closes with `Message too large`.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// An agent keeps each of its frames below this.
pub const AGENT_MAX_FRAME: usize = 1024 * 1024;
/// Burst of the byte bucket of an orchestrator.
pub const BYTE_BURST: usize = 2 * 1024 * 1024;
/// Refill of the byte bucket, per second.
pub const BYTES_PER_SECOND: usize = 500 * 1024;
/// Burst of the message bucket of an orchestrator.
pub const MESSAGE_BURST: u32 = 200;
/// Refill of the message bucket, per second.
pub const MESSAGES_PER_SECOND: u32 = 100;
/// An orchestrator waits this long for `auth.request`.
pub const AUTH_TIMEOUT: Duration = Duration::from_secs(5);
/// An orchestrator waits this long for `agent.register`, an agent for `register.ack`.
pub const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);
/// An agent sends `heartbeat` this often.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// An orchestrator logs an agent that was silent for this long.
pub const HEARTBEAT_LATE: Duration = Duration::from_secs(90);
/// An orchestrator closes an agent that was silent for this long.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(180);
/// WebSocket pings go out this often.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Without any frame for this long a peer counts as gone.
pub const PING_TIMEOUT: Duration = Duration::from_secs(60);
/// An agent sends `job.heartbeat` this often.
pub const JOB_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);
/// An agent sends `agent.metrics` this often.
pub const METRICS_INTERVAL: Duration = Duration::from_secs(30);
/// A dispatch has to be acknowledged within this time.
pub const DISPATCH_ACK_TIMEOUT: Duration = Duration::from_secs(10);
/// Lines after which a log stream is flushed.
pub const LOG_FLUSH_LINES: usize = 50;
/// Time after which a log stream is flushed.
pub const LOG_FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Log cap of one step.
pub const MAX_LOG_BYTES: u64 = 10 * 1024 * 1024;
/// Prefix of an agent token; 64 lower-case hex digits follow.
pub const TOKEN_PREFIX: &str = "kat_";
/// Labels that only agents and scalers may set.
pub const RESERVED_LABEL_PREFIX: &str = "kici:";
