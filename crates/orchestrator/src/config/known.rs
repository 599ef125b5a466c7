//! All names of variables, so that a misspelt one stops the start instead of being ignored.

/// The orchestrator's variables, without the `KICI_` prefix.
const KNOWN: &[&str] = &[
    // core
    "MODE",
    "INSTANCE_MODE",
    "PORT",
    "SERVER_PORT",
    "LISTEN_ADDRESS",
    "BASE_PATH",
    "SERVER_BASE_PATH",
    "SERVER_TLS_CERT_PATH",
    "DATABASE_URL",
    "AUTO_MIGRATE",
    "SECRET_KEY",
    "SECRET_KEY_FILE",
    "SECRET_KEY_OLD",
    "SECRET_KEY_FILE_OLD",
    "BOOTSTRAP_ADMIN_TOKEN",
    "PG_CUSTOMER_SECRETS",
    "LOG_LEVEL",
    "SERVER_LOG_LEVEL",
    "NODE_ENV",
    "DATA_DIR",
    "WEBHOOK_PAYLOAD_DIR",
    "TEST_MODE",
    "TEST_EVENT_FAIL_FIRST_N",
    "CONFIG",
    "DEV",
    "CACHE",
    // platform
    "PLATFORM_URL",
    "PLATFORM_TOKEN",
    "DASHBOARD_URL",
    "WEBHOOK_PUBLIC_URL",
    "PROVENANCE_ISSUER",
    "GITHUB_APP_NAME_REFRESH_INTERVAL_MS",
    // storage and caches
    "STORAGE_TYPE",
    "STORAGE_BUCKET",
    "STORAGE_LOG_BUCKET",
    "STORAGE_PREFIX",
    "STORAGE_REGION",
    "STORAGE_ENDPOINT",
    "STORAGE_EXTERNAL_ENDPOINT",
    "STORAGE_UPLOAD_ENDPOINT",
    "STORAGE_FORCE_PATH_STYLE",
    "STORAGE_FS_PATH",
    "STORAGE_FS_BASE_URL",
    "STORAGE_PATH",
    "SKIP_S3_SENTINEL_VALIDATION",
    "CACHE_TTL_DAYS",
    "CACHE_BUILD_TIMEOUT_MS",
    "CACHE_MAX_TARBALL_BYTES",
    "USER_CACHE_QUOTA_BYTES",
    "USER_CACHE_TTL_MS",
    "LOCKFILE_CACHE_MAX",
    "LOCKFILE_CACHE_TTL_MS",
    // queue, dispatch, agents
    "QUEUE_MAX_DEPTH",
    "QUEUE_TIMEOUT_MS",
    "QUEUE_BACKPRESSURE_THRESHOLD",
    "QUEUE_WEIGHTS",
    "WORKER_CONCURRENCY",
    "CONCURRENCY_WAIT_TIMEOUT_MS",
    "DISPATCH_ACK_TIMEOUT_MS",
    "AGENT_AUTH",
    "AGENT_TOKEN_TTL_MS",
    "AGENT_MAX_RECONNECT_DELAY_MS",
    "AGENT_LOST_RETRIES",
    "JOB_HEARTBEAT_INTERVAL_MS",
    "JOB_TIMEOUT_GRACE_MS",
    "STALE_DETECTOR_SCAN_INTERVAL_MS",
    "STALE_DETECTOR_THRESHOLD_MULTIPLIER",
    "ROSTER_GRACE_MS",
    "ROSTER_TTL_MS",
    "MAX_FANOUT_HOSTS",
    "HOST_REBOOT_DEADLINE_MS",
    "ORCHESTRATOR_HOST_AGENT_ID",
    "MAX_FANOUT_HOSTS",
    "SCALER_CONFIG_PATH",
    "SCALER_CONFIG_DIR",
    "MACHINE_LEDGER_DIR",
    // events
    "EVENT_ROUTER_MAX_CHAIN_DEPTH",
    "EVENT_ROUTER_RATE_LIMIT_PER_WORKFLOW_PER_MINUTE",
    "EVENT_ROUTER_EVENT_TTL_SECONDS",
    "EVENT_ROUTER_CLEANUP_INTERVAL_MS",
    "EVENT_ROUTER_MAX_DISPATCH_ATTEMPTS",
    "EVENT_ROUTER_LEASE_DURATION_MS",
    "EVENT_ROUTER_RETRY_BASE_BACKOFF_MS",
    "EVENT_ROUTER_RETRY_MAX_BACKOFF_MS",
    "EVENT_ROUTER_RETRY_SCAN_INTERVAL_MS",
    "EVENT_LOG_MAX_PAYLOAD_BYTES",
    "EVENT_LOG_RETENTION_DAYS",
    "RUN_RETENTION_DAYS",
    "ACCESS_LOG_RETENTION_DAYS",
    // cluster
    "CLUSTER_NAME",
    "CLUSTER_INSTANCE_ID",
    "INSTANCE_ID",
    "CLUSTER_ROLE",
    "CLUSTER_ADDRESS",
    "CLUSTER_PEERS",
    "CLUSTER_JOIN_TOKEN",
    "CLUSTER_CREDENTIAL_FILE",
    "CLUSTER_COORDINATOR_URL",
    "CLUSTER_COORDINATOR_URLS",
    "CLUSTER_RAFT_ELECTION_TIMEOUT_MIN_MS",
    "CLUSTER_RAFT_ELECTION_TIMEOUT_MAX_MS",
    "CLUSTER_RAFT_HEARTBEAT_MS",
    "CLUSTER_PEER_HEARTBEAT_INTERVAL_MS",
    "CLUSTER_PEER_MAX_RECONNECT_DELAY_MS",
    "CLUSTER_PEER_STALE_TIMEOUT_MS",
    "CLUSTER_ELECTION_GRACE_PERIOD_MS",
    "CLUSTER_SINGLE_NODE",
    "CLUSTER_TRUSTED_PROXIES",
    "CLUSTER_AUTO_ROTATE_CREDENTIALS",
    // logger, deployment
    "LOG_DIR",
    "LOG_MAX_SIZE",
    "LOG_RETENTION_DAYS",
    "LOG_FORMAT",
    "DEPLOY_MODE",
    "DEPLOY_CONTAINER",
    "DEPLOY_CONTAINER_RUNTIME",
];

/// Variables of the other programs: shared environment files are normal.
const SIBLINGS: &[&str] = &[
    "ADMIN_URL",
    "ADMIN_TOKEN",
    "ORCHESTRATOR_URL",
    "CONFIG_ROOT",
    "BROWSER_CMD",
    "LABELS",
    "PROPERTIES",
    "ROLES",
    "GITHUB_TOKEN",
    "MAX_LOG_SIZE_BYTES",
    "DEFAULT_STEP_TIMEOUT_MS",
    "BACKPRESSURE_MODE",
    "DOCKER_KEEP_FAILED",
    "SANDBOX",
    "SANDBOX_NETWORK",
    "EXECUTION_MODE",
    "SCALER_MANAGED",
    "SCALER_IDLE_TIMEOUT",
    "SCALER_PENDING_DISPATCH_TIMEOUT",
    "JS_ENGINE",
    "SDK",
    "NODE",
];

/// Whole families that are allowed.
const FAMILIES: &[&str] = &["E2E_", "AGENT_", "BACKEND_", "COLD_STORE_", "POSTGRES_"];

/// Families of earlier versions: accepted, without effect.
const LEGACY: &[&str] = &["PROVIDERS_GITHUB_", "VAULT_"];

/// One line for each `KICI_*` name that nobody knows.
pub(super) fn unknown<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names
        .filter_map(|name| Some((name, name.strip_prefix("KICI_")?)))
        .filter(|(_, rest)| !allowed(rest))
        .map(line)
        .collect()
}

/// One line for each variable that is accepted but has no effect.
pub(super) fn ignored<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    names
        .filter(|name| name.strip_prefix("KICI_").is_some_and(|rest| starts_with_any(rest, LEGACY)))
        .map(|name| format!("{name} belongs to an earlier version and has no effect"))
        .collect()
}

fn allowed(rest: &str) -> bool {
    KNOWN.contains(&rest)
        || SIBLINGS.contains(&rest)
        || starts_with_any(rest, FAMILIES)
        || starts_with_any(rest, LEGACY)
        || rest.contains("_ENV_PROBE")
}

fn starts_with_any(text: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix))
}

fn line((name, rest): (&str, &str)) -> String {
    let closest = KNOWN.iter().map(|known| (strsim::levenshtein(rest, known), known)).min();
    match closest {
        // A third of the letters wrong is no longer a slip of the pen.
        Some((edits, known)) if edits <= (rest.len() / 3).max(1) => {
            format!("{name} (did you mean KICI_{known}?)")
        }
        _ => format!("{name} (no close match in the schema)"),
    }
}
