-- The queue is shared fairly between repositories, and some jobs start ahead of others. docs/design/queue.md.

-- Which repository a job counts against: a hash of `<organisation>/<repository>`.
ALTER TABLE job ADD COLUMN share bigint NOT NULL DEFAULT 0;
-- 0 for most; 1 for a job that was held and released, 2 for a re-run.
ALTER TABLE job ADD COLUMN priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 2);
-- Limit of the job itself. Its agent keeps it; the orchestrator ends what an agent lets run on.
ALTER TABLE job ADD COLUMN timeout_ms bigint;

UPDATE job j SET share = hashtextextended(r.org_id || '/' || r.repo, 0)
  FROM run r WHERE r.id = j.run_id AND j.finished_at IS NULL;

-- Where a job that becomes ready now stands in the queue: `not_before`, by which it is ordered. Each step of priority
-- is a head start, so that an old job is overtaken for a while only.
CREATE FUNCTION queue_place(priority smallint) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    RETURN now() - priority * interval '10 minutes';

-- A line of the queue is a selector and a share: the index is walked from one line to the next.
DROP INDEX job_waiting;
CREATE INDEX job_waiting ON job (selector, share, not_before, id) WHERE state = 'queued' AND agent_id IS NULL;

-- When a repository had its last turn, and how many jobs of the present turn it has had. Written only while
-- several repositories wait for the same agents.
CREATE TABLE share (
    id      bigint PRIMARY KEY,
    turn_at timestamptz NOT NULL,
    used    integer NOT NULL CHECK (used >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
