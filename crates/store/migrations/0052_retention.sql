-- Runs that repeat another keep it: retention asks for them.
CREATE INDEX IF NOT EXISTS run_of_parent ON run (parent_run_id) WHERE parent_run_id IS NOT NULL;
