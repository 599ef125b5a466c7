-- What waits for people: a run before its first job, a job before its dispatch, a step before its function.
--
-- The hold of a job is `planned` with its run and becomes `pending` when everything else that the job waits for is
-- there, because its time starts then and whoever decides can see what the upstreams did. Holds of steps come while
-- the step waits. A hold whose job or run ended first counts as `cancelled`, also before its row says so.
CREATE TABLE hold (
    id          uuid PRIMARY KEY,
    run_id      uuid NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    job_id      uuid REFERENCES job (id) ON DELETE CASCADE,
    scope       text NOT NULL CHECK (scope IN ('workflow', 'job', 'step')),
    kind        text NOT NULL CHECK (kind IN ('approval', 'reviewer', 'wait_timer', 'concurrency', 'security')),
    queue       text NOT NULL CHECK (queue IN ('environment', 'security')),
    source      text NOT NULL CHECK (source IN ('environment', 'explicit')),
    reason      text,
    -- Who has to approve: a list of {team} and {user}, all of them; empty: anybody who may approve.
    clauses     json NOT NULL,
    -- What the job shows while it waits.
    wait_reason json NOT NULL,
    -- The author's limit; without one that of the organisation counts.
    timeout_secs bigint,
    state       text NOT NULL CHECK (state IN
                    ('planned', 'pending', 'approved', 'rejected', 'expired', 'released', 'cancelled')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    opened_at   timestamptz,
    expires_at  timestamptz,
    resolved_at timestamptz,
    resolved_by text,
    comment     text,
    -- Steps only. `content` names what is asked, so that a changed drift is a new question and a repeated question is not.
    attempt     integer,
    step_index  integer,
    step_name   text,
    content     uuid,
    payload     json,
    -- The question to answer, and whether the answer has been sent.
    request_id  text,
    told        boolean NOT NULL DEFAULT false,
    CHECK ((scope = 'workflow') = (job_id IS NULL)),
    CHECK ((scope = 'step') = (step_index IS NOT NULL AND attempt IS NOT NULL AND content IS NOT NULL
                               AND request_id IS NOT NULL)),
    CHECK ((state = 'planned') = (opened_at IS NULL) OR state = 'cancelled'),
    CHECK (state <> 'pending' OR expires_at IS NOT NULL),
    CHECK ((resolved_at IS NOT NULL) = (state NOT IN ('planned', 'pending')))
);
CREATE INDEX hold_of_run ON hold (run_id);
CREATE INDEX hold_of_job ON hold (job_id) WHERE job_id IS NOT NULL;
CREATE UNIQUE INDEX hold_of_step ON hold (job_id, attempt, step_index, content) WHERE scope = 'step';
-- Both hold next to nothing: what waits for somebody, and answers that an agent has not been sent.
CREATE INDEX hold_open ON hold (expires_at) WHERE state IN ('planned', 'pending');
CREATE INDEX hold_untold ON hold (id)
    WHERE scope = 'step' AND NOT told AND state IN ('approved', 'rejected', 'expired');

-- Who decided what. A hold with several clauses needs several approvals; teams are those of that moment.
CREATE TABLE hold_decision (
    hold_id    uuid NOT NULL REFERENCES hold (id) ON DELETE CASCADE,
    who        text NOT NULL,
    token      uuid NOT NULL,
    teams      text[] NOT NULL,
    approves   boolean NOT NULL,
    comment    text,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (hold_id, who)
);

-- Whom a token stands for: its label is the user, these are the user's teams.
ALTER TABLE admin_token ADD COLUMN teams text[] NOT NULL DEFAULT '{}';

-- What an organisation has set; absent = defaults.
CREATE TABLE org_setting (
    org_id                  text PRIMARY KEY,
    approval_expiry_seconds bigint NOT NULL DEFAULT 86400 CHECK (approval_expiry_seconds >= 1),
    allow_self_approval     boolean NOT NULL DEFAULT true,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now()
);
