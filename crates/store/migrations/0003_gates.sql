-- What stands between a job whose needs are met and the queue. A job passes its gates in this order: `hold`
-- (somebody has to approve; the job is `held`), then `slot` (its concurrency groups have no room; it is `waiting`).
-- Each flag is cleared by whoever opens the gate, so that a job is `queued` exactly when nothing keeps it.
ALTER TABLE job ADD COLUMN hold boolean NOT NULL DEFAULT false;
ALTER TABLE job ADD COLUMN slot boolean NOT NULL DEFAULT false;
ALTER TABLE job ADD CHECK (state <> 'queued' OR NOT (hold OR slot));
