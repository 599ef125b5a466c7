-- Deliveries, runs, jobs, steps and the index of log chunks. docs/design/database.md explains the choices.
-- Hot tables keep room in their pages, so that a change of state stays in its page, and are vacuumed early.

-- One number for each start of an orchestrator. It holds the advisory lock (class 'kici', number) while it
-- lives, so that others see at once whose leases are orphaned.
CREATE SEQUENCE orchestrator_number AS integer CYCLE;

-- One webhook as received: the inbox that work is done from, and the event log.
CREATE TABLE delivery (
    id              uuid PRIMARY KEY,
    org_id          text NOT NULL,
    delivery_id     text NOT NULL,
    routing_key     text NOT NULL,
    provider        text NOT NULL,
    source_id       uuid,
    event           text NOT NULL,
    action          text,
    repo            text,
    git_ref         text,
    content_type    text,
    payload         bytea,
    payload_bytes   integer NOT NULL,
    payload_hash    bytea NOT NULL,
    payload_omitted text CHECK (payload_omitted IN ('size_exceeded', 'storage_failed')),
    state           text NOT NULL CHECK (state IN
                        ('received', 'processed', 'lockfile_missing', 'lockfile_corrupt', 'failed')),
    -- Set while there is work to do: when it is due, or until when it is leased.
    due_at          timestamptz,
    owner           integer NOT NULL DEFAULT 0,
    attempts        smallint NOT NULL DEFAULT 0,
    matched_count   integer NOT NULL DEFAULT 0,
    run_id          uuid,
    error_message   text,
    received_at     timestamptz NOT NULL DEFAULT now(),
    -- Until when the same id is a duplicate.
    dedup_until     timestamptz NOT NULL,
    -- An older delivery of an id that came again after its window.
    superseded      boolean NOT NULL DEFAULT false,
    CHECK (due_at IS NULL OR state = 'received'),
    CHECK (state <> 'failed' OR error_message IS NOT NULL),
    CHECK (payload IS NOT NULL OR payload_omitted IS NOT NULL)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX delivery_once ON delivery (org_id, delivery_id) WHERE NOT superseded;
CREATE INDEX delivery_due ON delivery (due_at) WHERE due_at IS NOT NULL;

-- A workflow as a lock file had it, stored once and named by its content.
CREATE TABLE definition (
    id         uuid PRIMARY KEY,
    body       json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Which agents a job may run on, stored once and named by its content. Waiting jobs are grouped by it.
CREATE TABLE selector (
    id          uuid PRIMARY KEY,
    body        json NOT NULL,
    -- Why its jobs wait; null when nothing but time keeps them.
    wait_reason json,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- One workflow for one event.
CREATE TABLE run (
    id                  uuid PRIMARY KEY,
    org_id              text NOT NULL,
    delivery            uuid,
    delivery_id         text NOT NULL,
    routing_key         text NOT NULL,
    provider            text NOT NULL,
    repo                text NOT NULL,
    git_ref             text NOT NULL,
    sha                 text NOT NULL,
    workflow_name       text NOT NULL,
    definition          uuid,
    state               text NOT NULL CHECK (state IN
                            ('pending', 'running', 'held', 'cancelling', 'success', 'failed', 'cancelled')),
    -- Set once by a cancel; nothing of this run starts afterwards.
    stop                text CHECK (stop IN ('graceful', 'force')),
    event               json NOT NULL,
    decision            json,
    open_jobs           integer NOT NULL CHECK (open_jobs >= 0),
    failure_reason      text,
    init_failure        json,
    environment         text,
    trust_tier          text,
    lock_file_source    text,
    contributor         text,
    triggered_by        text,
    cancelled_by        text,
    parent_run_id       uuid,
    original_run_id     uuid,
    is_test             boolean NOT NULL DEFAULT false,
    workflow_timeout_ms bigint,
    created_at          timestamptz NOT NULL DEFAULT now(),
    finished_at         timestamptz,
    CHECK ((finished_at IS NOT NULL) = (state IN ('success', 'failed', 'cancelled'))),
    CHECK (finished_at IS NULL OR open_jobs = 0)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
-- A delivery makes a workflow run at most once, however often it is processed.
CREATE UNIQUE INDEX run_once ON run (delivery, workflow_name, repo);
-- Both hold next to nothing: runs with a time limit, and runs that a repair has to look at.
CREATE INDEX run_limited ON run (id) WHERE finished_at IS NULL AND workflow_timeout_ms IS NOT NULL;
CREATE INDEX run_unsettled ON run (id) WHERE finished_at IS NULL AND open_jobs = 0;

-- One job of a run; `attempt` is its fencing number.
CREATE TABLE job (
    id            uuid PRIMARY KEY,
    run_id        uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    position      integer NOT NULL,
    name          text NOT NULL,
    base_name     text NOT NULL,
    -- Index in the definition's `jobs`; null for a job that is not in the lock file.
    lock_index    integer,
    matrix        json,
    variant_kind  text CHECK (variant_kind IN ('matrix', 'host')),
    variant_label text,
    fanout_index  integer,
    fanout_total  integer,
    selector      uuid NOT NULL,
    environment   text,
    environments  text[] NOT NULL DEFAULT '{}',
    env           json,
    state         text NOT NULL CHECK (state IN
                      ('pending', 'queued', 'running', 'recovering', 'cancelling', 'held', 'waiting', 'success',
                       'failed', 'cancelled', 'skipped', 'timed_out_stale', 'drift_dropped')),
    open_needs    integer NOT NULL DEFAULT 0 CHECK (open_needs >= 0),
    wait_reason   json,
    end_reason    json,
    error_message text,
    init_failure  json,
    attempt       integer NOT NULL DEFAULT 0,
    -- Dispatches that failed: rejected or never acknowledged.
    failures      smallint NOT NULL DEFAULT 0,
    -- The agent that refused it last; others are preferred.
    refused_by    text,
    -- Not offered before this time.
    not_before    timestamptz NOT NULL DEFAULT now(),
    agent_id      text,
    -- The orchestrator that the agent was connected to.
    owner         integer NOT NULL DEFAULT 0,
    acked         boolean NOT NULL DEFAULT false,
    -- When the present state gives up: acknowledgement, recovery or cancel.
    deadline      timestamptz,
    outputs       json,
    heartbeat_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    ready_at      timestamptz,
    started_at    timestamptz,
    finished_at   timestamptz,
    CHECK ((finished_at IS NOT NULL) = (state IN
        ('success', 'failed', 'cancelled', 'skipped', 'timed_out_stale', 'drift_dropped'))),
    CHECK (agent_id IS NOT NULL OR state NOT IN ('running', 'recovering')),
    CHECK (state <> 'queued' OR open_needs = 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX job_of_run ON job (run_id, name);
CREATE INDEX job_waiting ON job (selector, not_before, id) WHERE state = 'queued' AND agent_id IS NULL;
CREATE INDEX job_on_agent ON job (agent_id) WHERE agent_id IS NOT NULL AND finished_at IS NULL;
CREATE INDEX job_deadline ON job (deadline) WHERE deadline IS NOT NULL;

-- Edges of the graph, one for each expanded upstream. `run_on` lists the final states that let the job start.
CREATE TABLE job_need (
    job_id   uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    upstream uuid NOT NULL,
    run_on   text[] NOT NULL,
    PRIMARY KEY (job_id, upstream)
);
CREATE INDEX job_need_upstream ON job_need (upstream);

-- A step, hook or other action of one attempt. Pseudo-steps may share an index, so the name is part of the key.
CREATE TABLE step (
    job_id      uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt     integer NOT NULL,
    idx         integer NOT NULL,
    name        text NOT NULL,
    step_type   text NOT NULL,
    state       text NOT NULL CHECK (state IN ('pending', 'running', 'success', 'failed', 'skipped', 'cancelled')),
    exit_code   integer,
    signal      text,
    error       text,
    duration_ms bigint,
    group_id    text,
    secrets     text[] NOT NULL DEFAULT '{}',
    data        json,
    started_at  timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (job_id, attempt, idx, name),
    CHECK ((finished_at IS NOT NULL) = (state IN ('success', 'failed', 'skipped', 'cancelled')))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- Where the lines of one step lie: an extent of a sealed object in log storage.
CREATE TABLE log_chunk (
    job_id     uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt    integer NOT NULL,
    step       integer NOT NULL,
    first_line bigint NOT NULL,
    lines      integer NOT NULL CHECK (lines > 0),
    object     integer NOT NULL,
    start_byte integer NOT NULL,
    bytes      integer NOT NULL,
    sealed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, attempt, step, first_line)
);
