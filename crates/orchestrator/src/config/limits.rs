//! Limits of the queue, the lock-file cache and the event log, and how long things are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::vars::Vars;

/// Waiting jobs.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// `KICI_QUEUE_MAX_DEPTH`: at most this many waiting jobs; 0 = no limit.
    pub max_depth: u32,
    /// `KICI_QUEUE_TIMEOUT_MS`: how long a job may wait for an agent; none = for ever.
    pub timeout: Option<Duration>,
    /// `KICI_QUEUE_BACKPRESSURE_THRESHOLD`: warn above; 0 = never.
    pub backpressure_threshold: u32,
    /// `KICI_QUEUE_WEIGHTS`: `<organisation>/<repository>` → how many times as many agents as others it may have.
    pub weights: BTreeMap<String, u32>,
    /// `KICI_CONCURRENCY_WAIT_TIMEOUT_MS`: how long a run may wait for its concurrency group.
    pub concurrency_wait: Duration,
}

impl QueueConfig {
    pub(super) fn read(vars: &mut Vars) -> QueueConfig {
        QueueConfig {
            max_depth: vars.number("KICI_QUEUE_MAX_DEPTH", 1000, 0),
            timeout: vars.optional_millis("KICI_QUEUE_TIMEOUT_MS", 3_600_000),
            backpressure_threshold: vars.number("KICI_QUEUE_BACKPRESSURE_THRESHOLD", 100, 0),
            weights: weights(vars),
            concurrency_wait: vars.millis("KICI_CONCURRENCY_WAIT_TIMEOUT_MS", 3_600_000, 1000),
        }
    }
}

/// The largest weight. Between much larger ones the smaller would hardly ever be served.
const MOST_WEIGHT: u32 = 100;

fn weights(vars: &mut Vars) -> BTreeMap<String, u32> {
    let name = "KICI_QUEUE_WEIGHTS";
    let mut weights = BTreeMap::new();
    for part in vars.text(name).unwrap_or_default().split(',').map(str::trim) {
        if part.is_empty() {
            continue;
        }
        let weight = part.rsplit_once('=').and_then(|(repository, weight)| {
            let weight = weight.trim().parse().ok().filter(|w| (1..=MOST_WEIGHT).contains(w))?;
            Some((repository.trim().to_owned(), weight)).filter(|(name, _)| name.contains('/'))
        });
        match weight {
            Some((repository, weight)) => drop(weights.insert(repository, weight)),
            None => vars.problem(
                name,
                format_args!(
                    "expected <organisation>/<repository>=<1 to {MOST_WEIGHT}>, separated by commas, found {part:?}"
                ),
            ),
        }
    }
    weights
}

/// The lock-file cache.
#[derive(Debug, Clone)]
pub struct LockFileCacheConfig {
    /// `KICI_LOCKFILE_CACHE_MAX`: entries.
    pub max: usize,
    /// `KICI_LOCKFILE_CACHE_TTL_MS`: life of an entry.
    pub ttl: Duration,
}

impl LockFileCacheConfig {
    pub(super) fn read(vars: &mut Vars) -> LockFileCacheConfig {
        LockFileCacheConfig {
            max: vars.number("KICI_LOCKFILE_CACHE_MAX", 500, 1),
            ttl: vars.millis("KICI_LOCKFILE_CACHE_TTL_MS", 3_600_000, 1),
        }
    }
}

/// Deliveries and how often they are tried.
#[derive(Debug, Clone)]
pub struct EventsConfig {
    /// `KICI_EVENT_LOG_MAX_PAYLOAD_BYTES`: larger payloads are not kept.
    pub max_payload_bytes: usize,
    /// `KICI_EVENT_ROUTER_MAX_DISPATCH_ATTEMPTS`: tries before a delivery fails.
    pub max_attempts: u16,
    /// `KICI_EVENT_ROUTER_LEASE_DURATION_MS`: how long one try may take.
    pub lease: Duration,
    /// `KICI_EVENT_ROUTER_RETRY_BASE_BACKOFF_MS`: pause after the first failure; doubles each time.
    pub retry_base: Duration,
    /// `KICI_EVENT_ROUTER_RETRY_MAX_BACKOFF_MS`: the longest pause.
    pub retry_max: Duration,
}

impl EventsConfig {
    pub(super) fn read(vars: &mut Vars) -> EventsConfig {
        EventsConfig {
            max_payload_bytes: vars.number("KICI_EVENT_LOG_MAX_PAYLOAD_BYTES", 5_242_880, 0),
            max_attempts: vars.number("KICI_EVENT_ROUTER_MAX_DISPATCH_ATTEMPTS", 5, 1),
            lease: vars.millis("KICI_EVENT_ROUTER_LEASE_DURATION_MS", 60_000, 1000),
            retry_base: vars.millis("KICI_EVENT_ROUTER_RETRY_BASE_BACKOFF_MS", 5000, 1),
            retry_max: vars.millis("KICI_EVENT_ROUTER_RETRY_MAX_BACKOFF_MS", 300_000, 1),
        }
    }
}

/// How long what has ended is kept.
#[derive(Debug, Clone)]
pub struct RetentionConfig {
    /// `KICI_RUN_RETENTION_DAYS`: ended runs with their logs; none = for ever.
    pub runs: Option<Duration>,
    /// `KICI_EVENT_LOG_RETENTION_DAYS`: settled deliveries whose runs are gone; none = for ever.
    pub deliveries: Option<Duration>,
    /// `KICI_ACCESS_LOG_RETENTION_DAYS`: who did what; none = for ever.
    pub access_log: Option<Duration>,
}

impl RetentionConfig {
    pub(super) fn read(vars: &mut Vars) -> RetentionConfig {
        let mut days = |name| {
            let days: u32 = vars.number(name, 0, 0);
            (days > 0).then(|| Duration::from_secs(u64::from(days) * 24 * 60 * 60))
        };
        RetentionConfig {
            runs: days("KICI_RUN_RETENTION_DAYS"),
            deliveries: days("KICI_EVENT_LOG_RETENTION_DAYS"),
            access_log: days("KICI_ACCESS_LOG_RETENTION_DAYS"),
        }
    }
}
