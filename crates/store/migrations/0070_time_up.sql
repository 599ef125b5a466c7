-- When the limit of a running job itself is over, with what its agent may take to stop it. Its agent keeps the limit; this
-- is for agents that do not. Limits beyond ten years are ten years, so that no author's number is out of range.
CREATE FUNCTION job_time_up(started_at timestamptz, timeout_ms bigint, grace_secs float8)
    RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    RETURN started_at + make_interval(secs => least(timeout_ms, 315360000000) / 1000.0 + grace_secs);
