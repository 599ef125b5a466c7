-- What a job is for. `init` computes values of the job at its `lock_index`, `dynamic` runs the generator there; both
-- are rows of their run that travel through the queue like any other job. `build` and `bringup` prepare things for
-- others.
ALTER TABLE job ADD COLUMN kind text NOT NULL DEFAULT 'job'
    CHECK (kind IN ('job', 'init', 'dynamic', 'build', 'bringup'));
-- The job as a generator gave it (the shape of a static job of a lock file). Null for a job that the definition has;
-- for the others `lock_index` is that of their generator.
ALTER TABLE job ADD COLUMN body json;
