//! How agents are let in and watched.

use std::time::Duration;

use kici_model::hosts::MAX_HOSTS;

use super::vars::Vars;
use crate::runs::HostRules;

/// Agents: authentication and deadlines.
#[derive(Debug, Clone)]
pub struct AgentsConfig {
    /// `KICI_AGENT_AUTH`: `token` (default) or `none`.
    pub auth: AgentAuth,
    /// `KICI_DISPATCH_ACK_TIMEOUT_MS`: how long an agent may take to acknowledge a job.
    pub ack_timeout: Duration,
    /// `KICI_AGENT_MAX_RECONNECT_DELAY_MS`: the longest pause of a reconnecting agent.
    pub max_reconnect_delay: Duration,
    /// `KICI_JOB_HEARTBEAT_INTERVAL_MS`: how often a running job says that it lives.
    pub job_heartbeat: Duration,
    /// `KICI_STALE_DETECTOR_SCAN_INTERVAL_MS`: how often silent jobs are looked for.
    pub stale_scan: Duration,
    /// `KICI_STALE_DETECTOR_THRESHOLD_MULTIPLIER`: heartbeats that may be missing.
    pub stale_multiplier: u32,
    /// `KICI_JOB_TIMEOUT_GRACE_MS`: how much longer than its own limit a job may take until it is ended here.
    pub job_timeout_grace: Duration,
    /// `KICI_AGENT_LOST_RETRIES`: further attempts of a job that had started and was lost with its agent.
    pub lost_retries: i16,
    /// `KICI_AGENT_TOKEN_TTL_MS`: life of an ephemeral agent token.
    pub token_ttl: Duration,
    /// `KICI_ROSTER_GRACE_MS`: how long a host counts as there after its last sign of life.
    pub roster_grace: Duration,
    /// `KICI_ROSTER_TTL_MS`: how long the roster remembers an agent that is away.
    pub roster_ttl: Duration,
    /// `KICI_MAX_FANOUT_HOSTS`: most children of a host fan-out.
    pub max_fanout_hosts: usize,
}

/// Whether agents show a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentAuth {
    /// They must.
    Token,
    /// Any agent may connect: for closed networks and development.
    None,
}

impl AgentsConfig {
    /// How long a lost agent may take to come back: twice its longest pause.
    pub fn recovery_window(&self) -> Duration {
        self.max_reconnect_delay * 2
    }

    /// How long a running job may be silent.
    pub fn stale_after(&self) -> Duration {
        self.job_heartbeat * self.stale_multiplier
    }

    /// What there is to say about hosts of fan-outs.
    pub(crate) fn host_rules(&self) -> HostRules {
        HostRules { grace: self.roster_grace, max: self.max_fanout_hosts }
    }

    pub(super) fn read(vars: &mut Vars) -> AgentsConfig {
        let auth = match vars.text("KICI_AGENT_AUTH").as_deref() {
            None | Some("token") => AgentAuth::Token,
            Some("none") => AgentAuth::None,
            Some(other) => {
                let message = format!("expected token or none in KICI_AGENT_AUTH, found {other:?}");
                vars.problem("agentAuth", message);
                AgentAuth::Token
            }
        };
        AgentsConfig {
            auth,
            ack_timeout: vars.millis("KICI_DISPATCH_ACK_TIMEOUT_MS", 10_000, 1000),
            max_reconnect_delay: vars.millis("KICI_AGENT_MAX_RECONNECT_DELAY_MS", 60_000, 1),
            job_heartbeat: vars.millis("KICI_JOB_HEARTBEAT_INTERVAL_MS", 60_000, 1),
            stale_scan: vars.millis("KICI_STALE_DETECTOR_SCAN_INTERVAL_MS", 60_000, 1),
            stale_multiplier: vars.number("KICI_STALE_DETECTOR_THRESHOLD_MULTIPLIER", 2, 1),
            job_timeout_grace: vars.millis("KICI_JOB_TIMEOUT_GRACE_MS", 60_000, 1),
            lost_retries: vars.number("KICI_AGENT_LOST_RETRIES", 0, 0),
            token_ttl: vars.millis("KICI_AGENT_TOKEN_TTL_MS", 3_600_000, 1),
            roster_grace: vars.millis("KICI_ROSTER_GRACE_MS", 300_000, 1),
            roster_ttl: vars.millis("KICI_ROSTER_TTL_MS", 1_800_000, 1),
            max_fanout_hosts: vars.number("KICI_MAX_FANOUT_HOSTS", MAX_HOSTS, 1),
        }
    }
}
