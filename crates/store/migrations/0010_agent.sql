-- The roster: every agent that is connected or was a moment ago, whichever orchestrator it is connected to.

-- Numbers the connections of agents over all orchestrators. The higher number of two is the later connection.
CREATE SEQUENCE agent_connection AS bigint;

CREATE TABLE agent (
    agent_id          text PRIMARY KEY,
    hostname          text,
    labels            text[] NOT NULL,
    -- Labels that every job on it has to ask for.
    mandatory_labels  text[] NOT NULL,
    platform          text NOT NULL,
    arch              text NOT NULL,
    version           text,
    -- What the agent says about its host (system, memory, user): shown, never searched.
    facts             json NOT NULL,
    properties        json NOT NULL,
    max_concurrency   integer NOT NULL CHECK (max_concurrency > 0),
    -- The token that it showed; null where none is asked for.
    token             uuid,
    scaler_managed    boolean NOT NULL,
    -- A declared host: it stays although it is away.
    durable           boolean NOT NULL DEFAULT false,
    remote_address    text NOT NULL,
    -- The fencing number: what an earlier connection says changes nothing.
    connection        bigint NOT NULL,
    -- The orchestrator that it is or was connected to.
    owner             integer NOT NULL,
    draining          boolean NOT NULL DEFAULT false,
    -- Its clock minus ours.
    clock_skew_ms     bigint,
    first_seen_at     timestamptz NOT NULL DEFAULT now(),
    connected_at      timestamptz NOT NULL DEFAULT now(),
    last_seen_at      timestamptz NOT NULL DEFAULT now(),
    disconnected_at   timestamptz,
    disconnect_reason text,
    CHECK ((disconnected_at IS NULL) = (disconnect_reason IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX agent_connected ON agent (owner) WHERE disconnected_at IS NULL;
CREATE INDEX agent_away ON agent (disconnected_at) WHERE disconnected_at IS NOT NULL;
