-- What keeps the removal of old rows going, whatever lies first. docs/design/database.md explains it.

-- When a workflow or selector was last named by something new, give or take an hour. One that nobody has named for
-- longer than runs are kept can only be named by the few runs that stay for other reasons.
ALTER TABLE definition ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE selector ADD COLUMN used_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX definition_used ON definition (used_at);
CREATE INDEX selector_used ON selector (used_at);

-- Jobs whose rows are gone and whose log is still in storage. Written by the transaction that removes the rows.
CREATE TABLE log_removal (
    job_id     uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- What the passes have done, for people to see. One row for each kind of thing.
CREATE TABLE retention (
    kind            text PRIMARY KEY CHECK (kind IN
                        ('run', 'log', 'delivery', 'access_log', 'definition', 'selector')),
    -- The last pass that looked.
    passed_at       timestamptz NOT NULL DEFAULT now(),
    removed         bigint NOT NULL DEFAULT 0,
    last_removed    bigint NOT NULL DEFAULT 0,
    last_removed_at timestamptz,
    -- What logs take in storage, as last counted.
    chunks          bigint,
    bytes           bigint,
    counted_at      timestamptz
);
