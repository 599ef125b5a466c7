-- Who writes the log of a job's attempt: the orchestrator that its agent is connected to. What another one still
-- has in memory does not count any more, as the agent sends it again.
ALTER TABLE job ADD COLUMN log_writer integer NOT NULL DEFAULT 0;
-- Part of the object's name, so that two writers never overwrite each other's objects; 0 is not part of a name.
ALTER TABLE log_chunk ADD COLUMN writer integer NOT NULL DEFAULT 0;
-- The log messages of the attempt up to this number are stored; 0 for agents that do not number them.
ALTER TABLE log_chunk ADD COLUMN seq bigint NOT NULL DEFAULT 0;
