-- Places in concurrency groups. A place is free again when its run (or job) has ended: that is read from the run, so
-- that nothing has to be given back. docs/design/concurrency.md.
CREATE TABLE slot (
    -- The run, or the job for a job's own group.
    holder     uuid PRIMARY KEY,
    run_id     uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    job_id     uuid,
    -- Kind of group, routing key and name.
    group_key  text NOT NULL,
    name       text NOT NULL,
    max        integer NOT NULL CHECK (max > 0),
    -- A newer run cancels older ones.
    cancel     boolean NOT NULL,
    active     boolean NOT NULL DEFAULT false,
    -- An agent asked for it, which waits for the answer.
    asked      boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    granted_at timestamptz,
    CHECK (job_id IS NULL OR job_id = holder),
    CHECK (active = (granted_at IS NOT NULL))
);
CREATE INDEX slot_group ON slot (group_key);
CREATE INDEX slot_waiting ON slot (group_key) WHERE NOT active;
CREATE INDEX slot_run ON slot (run_id);
