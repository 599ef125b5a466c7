-- What several orchestrators on one database owe each other. docs/design/cluster.md explains it.

-- An order to stop a job whose agent is connected to another orchestrator (`owner`), which takes it from here and
-- sends it. Nothing is lost with a row: an agent that registers hears of every stop from the run itself.
CREATE TABLE stop_order (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner      integer NOT NULL,
    agent_id   text NOT NULL,
    run_id     uuid NOT NULL,
    job_id     uuid NOT NULL,
    reason     text NOT NULL,
    force      boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stop_order_owner ON stop_order (owner);

-- Who does what only one orchestrator may do, until when. `fence` grows with every change of hands.
CREATE TABLE leader (
    name  text PRIMARY KEY,
    owner integer NOT NULL,
    fence bigint NOT NULL,
    until timestamptz NOT NULL
);

-- Attempts of a job that ended otherwise than by a result of their agent, and why.
CREATE TABLE attempt (
    job_id        uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    attempt       integer NOT NULL,
    agent_id      text NOT NULL,
    reason        json NOT NULL,
    started_at    timestamptz,
    ended_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, attempt)
);

-- Attempts that had started and were lost with their agent: what the operator's limit counts.
ALTER TABLE job ADD COLUMN lost smallint NOT NULL DEFAULT 0;
