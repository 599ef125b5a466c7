//! Which `KICI_*` variables may be set, so that a misspelt one stops the start instead of being ignored.

/// Variables of the agent.
const KNOWN: &[&str] = &[
    "KICI_AGENT_ID",
    "KICI_AGENT_IS_ORCHESTRATOR_HOST",
    "KICI_AGENT_OUTBOX_MAX_BYTES",
    "KICI_AGENT_SHUTDOWN_GRACE_MS",
    "KICI_AGENT_TOKEN",
    "KICI_AGENT_WARM_PROCESS",
    "KICI_BACKPRESSURE_MODE",
    "KICI_CACHE",
    "KICI_CONCURRENCY_WAIT_TIMEOUT_MS",
    "KICI_DATA_DIR",
    "KICI_DEFAULT_STEP_TIMEOUT_MS",
    "KICI_DEPLOY_CONTAINER",
    "KICI_DEPLOY_CONTAINER_RUNTIME",
    "KICI_DEPLOY_MODE",
    "KICI_DEV",
    "KICI_DOCKER_KEEP_FAILED",
    "KICI_EXECUTION_MODE",
    "KICI_GITHUB_TOKEN",
    "KICI_JOB_HEARTBEAT_INTERVAL_MS",
    "KICI_JS_ENGINE",
    "KICI_LABELS",
    "KICI_LOG_DIR",
    "KICI_LOG_FORMAT",
    "KICI_LOG_LEVEL",
    "KICI_LOG_MAX_SIZE",
    "KICI_LOG_RETENTION_DAYS",
    "KICI_MAX_LOG_SIZE_BYTES",
    "KICI_NODE",
    "KICI_ORCHESTRATOR_URL",
    "KICI_PORT",
    "KICI_PROPERTIES",
    "KICI_ROLES",
    "KICI_SANDBOX",
    "KICI_SANDBOX_NETWORK",
    "KICI_SCALER_IDLE_TIMEOUT",
    "KICI_SCALER_MANAGED",
    "KICI_SCALER_PENDING_DISPATCH_TIMEOUT",
    "KICI_SDK",
];

/// Variables of the other programs: shared environment files are normal.
const SIBLINGS: &[&str] = &[
    "KICI_AUTO_MIGRATE",
    "KICI_BASE_PATH",
    "KICI_LISTEN_ADDRESS",
    "KICI_BOOTSTRAP_ADMIN_TOKEN",
    "KICI_BROWSER_CMD",
    "KICI_CONFIG",
    "KICI_CONFIG_ROOT",
    "KICI_DATABASE_URL",
    "KICI_DISPATCH_ACK_TIMEOUT_MS",
    "KICI_INSTANCE_ID",
    "KICI_MODE",
    "KICI_INSTANCE_MODE",
    "KICI_NODE_ENV",
    "KICI_TEST_MODE",
    "KICI_WORKER_CONCURRENCY",
    "KICI_AGENT_AUTH",
    "KICI_AGENT_MAX_RECONNECT_DELAY_MS",
    "KICI_AGENT_TOKEN_TTL_MS",
    "KICI_SCALER_CONFIG_PATH",
    "KICI_SCALER_CONFIG_DIR",
];

/// Families of the other programs, and what passes through unread.
const FAMILIES: &[&str] = &[
    "KICI_ADMIN_",
    "KICI_AGENT_ENV_",
    "KICI_BACKEND_",
    "KICI_CACHE_",
    "KICI_CLUSTER_",
    "KICI_COLD_STORE_",
    "KICI_E2E_",
    "KICI_EVENT_",
    "KICI_LOCKFILE_CACHE_",
    "KICI_PLATFORM_",
    "KICI_QUEUE_",
    "KICI_SECRET_KEY",
    "KICI_SERVER_",
    "KICI_STALE_DETECTOR_",
    "KICI_STORAGE_",
    "KICI_USER_CACHE_",
    "KICI_WEBHOOK_",
];

/// Whether a variable may be set.
pub(super) fn is_known(name: &str) -> bool {
    !name.starts_with("KICI_")
        || KNOWN.contains(&name)
        || SIBLINGS.contains(&name)
        || FAMILIES.iter().any(|family| name.starts_with(family))
        || name.contains("_ENV_PROBE")
}

/// One line about an unknown variable, with the nearest known one if it is near enough.
pub(super) fn complaint(name: &str) -> String {
    let nearest = KNOWN.iter().map(|known| (strsim::levenshtein(name, known), *known)).min();
    match nearest {
        Some((distance, known)) if distance <= 4 && distance * 3 <= name.len() => {
            format!("  - {name} (did you mean {known}?)")
        }
        Some(_) | None => format!("  - {name} (no close match in the schema)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_get_a_suggestion() {
        assert_eq!(complaint("KICI_LABLES"), "  - KICI_LABLES (did you mean KICI_LABELS?)");
        assert_eq!(
            complaint("KICI_WHATEVER_ELSE"),
            "  - KICI_WHATEVER_ELSE (no close match in the schema)"
        );
    }

    #[test]
    fn shared_environment_files_are_fine() {
        for name in ["KICI_DATABASE_URL", "KICI_ADMIN_URL", "KICI_STORAGE_TYPE", "HOME"] {
            assert!(is_known(name), "{name}");
        }
        assert!(!is_known("KICI_LABLES"));
    }
}
