-- A run that repeats another has the same delivery (its payload), so only first runs are unique by delivery.
DROP INDEX run_once;
CREATE UNIQUE INDEX run_once ON run (delivery, workflow_name, repo) WHERE parent_run_id IS NULL;
-- What was asked for (`all`, `failed` or `job:<name>`), and the key by which the same request is known again.
ALTER TABLE run ADD COLUMN rerun_scope text;
ALTER TABLE run ADD COLUMN rerun_key text;
CREATE INDEX run_repeats ON run (parent_run_id, id) WHERE parent_run_id IS NOT NULL;
-- The job whose result this one has, without having run. Always the one that ran, however long the chain.
ALTER TABLE job ADD COLUMN reused_from uuid;
