-- Fan-outs whose children follow each other. `max_parallel` of them may be under way; the others are `gated`, which
-- counts as one in `open_needs` until an end among them lets the next one go. A child that was gated to its end never
-- had a turn.
ALTER TABLE job ADD COLUMN max_parallel integer CHECK (max_parallel > 0);
ALTER TABLE job ADD COLUMN fail_fast boolean NOT NULL DEFAULT false;
ALTER TABLE job ADD COLUMN gated boolean NOT NULL DEFAULT false;
ALTER TABLE job ADD CHECK (NOT gated OR max_parallel IS NOT NULL);
ALTER TABLE job ADD CHECK (state <> 'queued' OR NOT gated);
CREATE INDEX job_gated ON job (run_id, base_name, fanout_index) WHERE gated;
