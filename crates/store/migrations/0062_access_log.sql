-- Who did or was refused what. Written in batches beside the work, never in its way; ids are time-ordered.
CREATE TABLE access_log (
    id            uuid PRIMARY KEY,
    org_id        text,
    routing_key   text,
    actor_type    text NOT NULL CHECK (actor_type IN
                      ('user', 'api_key', 'service_account', 'platform_operator', 'system')),
    actor_id      text NOT NULL,
    actor_meta    json,
    action        text NOT NULL,
    target_type   text,
    target_id     text,
    request_id    text,
    source        text NOT NULL CHECK (source IN ('platform_proxy', 'admin_http', 'admin_cli', 'agent')),
    outcome       text NOT NULL CHECK (outcome IN ('allowed', 'denied', 'error')),
    error_message text,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX access_log_time ON access_log (created_at);
