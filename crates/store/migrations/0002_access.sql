-- Who may come in: sources of deliveries, tokens of operators and tokens of agents.

-- A sender of webhooks. Secrets are sealed by the caller before they come here; `verification` holds only
-- what may be shown. `previous_secret` is accepted beside `secret` until `previous_until`.
CREATE TABLE source (
    id                     uuid PRIMARY KEY,
    org_id                 text NOT NULL,
    name                   text NOT NULL,
    routing_key            text NOT NULL UNIQUE,
    provider_type          text NOT NULL CHECK (provider_type IN ('generic', 'local')),
    local_config           json,
    verification_method    text NOT NULL CHECK (verification_method IN
                               ('hmac_sha256', 'bearer_token', 'api_key', 'ip_allowlist', 'none')),
    verification           json NOT NULL,
    secret                 text,
    previous_secret        text,
    previous_until         timestamptz,
    event_type_header      text,
    event_type_path        text,
    idempotency_key_header text,
    idempotency_key_path   text,
    dedup_window_seconds   integer NOT NULL CHECK (dedup_window_seconds > 0),
    max_payload_bytes      integer NOT NULL CHECK (max_payload_bytes > 0),
    allowed_events         text[],
    strip_headers          text[] NOT NULL,
    enabled                boolean NOT NULL DEFAULT true,
    rate_limit_rpm         integer NOT NULL CHECK (rate_limit_rpm > 0),
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    deleted_at             timestamptz,
    CHECK ((provider_type = 'local') = (local_config IS NOT NULL)),
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
);
CREATE UNIQUE INDEX source_name ON source (org_id, name) WHERE deleted_at IS NULL;

-- Every orchestrator keeps the sources in memory and reads them again when told.
CREATE FUNCTION source_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('generic_sources_change', coalesce(NEW.routing_key, OLD.routing_key));
    RETURN NULL;
END $$;
CREATE TRIGGER source_changed AFTER INSERT OR UPDATE OR DELETE ON source
    FOR EACH ROW EXECUTE FUNCTION source_changed();

-- A credential for the admin API, known only by its SHA-256.
CREATE TABLE admin_token (
    id           uuid PRIMARY KEY,
    token_hash   bytea NOT NULL UNIQUE,
    label        text NOT NULL,
    role         text NOT NULL,
    routing_key  text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked      boolean NOT NULL DEFAULT false
);
-- The bootstrap token is one row, whose hash follows the configuration.
CREATE UNIQUE INDEX admin_token_bootstrap ON admin_token (label) WHERE label = 'bootstrap';

-- A credential for agents, known only by its SHA-256. Empty `labels` allow any label.
CREATE TABLE agent_token (
    id               uuid PRIMARY KEY,
    token_hash       bytea NOT NULL UNIQUE,
    token_prefix     text NOT NULL,
    labels           text[] NOT NULL,
    mandatory_labels text[] NOT NULL,
    agent_type       text NOT NULL CHECK (agent_type IN ('static', 'ephemeral')),
    created_by       text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    last_seen_at     timestamptz,
    expires_at       timestamptz,
    revoked_at       timestamptz,
    CHECK (agent_type = 'static' OR expires_at IS NOT NULL)
);
