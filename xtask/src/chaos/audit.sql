-- What chaos writes down beside the tables of its own database: every change of state, so that a final state that
-- changes is seen even when it changes back.
CREATE SCHEMA chaos;

CREATE TABLE chaos.change (
    seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind    text NOT NULL,
    id      text NOT NULL,
    was     text,
    became  text,
    attempt integer,
    agent   text,
    owner   integer,
    -- It was final, and is not what it was.
    revived boolean NOT NULL
);

CREATE FUNCTION chaos.job_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO chaos.change (kind, id, became, attempt, agent, owner, revived)
        VALUES ('job', NEW.id::text, NEW.state, NEW.attempt, NEW.agent_id, NEW.owner, false);
    ELSIF (OLD.state, OLD.attempt, OLD.agent_id, OLD.owner, OLD.finished_at)
          IS DISTINCT FROM (NEW.state, NEW.attempt, NEW.agent_id, NEW.owner, NEW.finished_at) THEN
        INSERT INTO chaos.change (kind, id, was, became, attempt, agent, owner, revived)
        VALUES ('job', NEW.id::text, OLD.state, NEW.state, NEW.attempt, NEW.agent_id, NEW.owner,
                OLD.finished_at IS NOT NULL AND (OLD.state, OLD.attempt, OLD.finished_at)
                    IS DISTINCT FROM (NEW.state, NEW.attempt, NEW.finished_at)
                -- A job that is not run again is made as ended, and gets the results that it keeps.
                AND NOT (OLD.reused_from IS NULL AND NEW.reused_from IS NOT NULL AND OLD.state = NEW.state));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_job AFTER INSERT OR UPDATE ON job FOR EACH ROW EXECUTE FUNCTION chaos.job_changed();

CREATE FUNCTION chaos.run_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO chaos.change (kind, id, became, revived) VALUES ('run', NEW.id::text, NEW.state, false);
    ELSIF (OLD.state, OLD.finished_at) IS DISTINCT FROM (NEW.state, NEW.finished_at) THEN
        INSERT INTO chaos.change (kind, id, was, became, revived)
        VALUES ('run', NEW.id::text, OLD.state, NEW.state, OLD.finished_at IS NOT NULL);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_run AFTER INSERT OR UPDATE ON run FOR EACH ROW EXECUTE FUNCTION chaos.run_changed();

CREATE FUNCTION chaos.step_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL AND OLD.state IS DISTINCT FROM NEW.state THEN
        INSERT INTO chaos.change (kind, id, was, became, attempt, revived)
        VALUES ('step', NEW.job_id || ' ' || NEW.idx || ' ' || NEW.name, OLD.state, NEW.state, NEW.attempt, true);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_step AFTER UPDATE ON step FOR EACH ROW EXECUTE FUNCTION chaos.step_changed();

-- Who got a place in a concurrency group, and when the transaction that gave it began.
CREATE TABLE chaos.place (
    holder    uuid NOT NULL,
    group_key text NOT NULL,
    began     timestamptz NOT NULL DEFAULT now(),
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION chaos.place_given() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.place (holder, group_key) VALUES (NEW.holder, NEW.group_key);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_place AFTER UPDATE OF active ON slot FOR EACH ROW
    WHEN (NEW.active AND NOT OLD.active) EXECUTE FUNCTION chaos.place_given();

-- Who was seen waiting for a place by everybody who began to look after this time.
CREATE TABLE chaos.waiter (
    holder    uuid PRIMARY KEY,
    group_key text NOT NULL,
    -- The order of the group: age of the run, then the job's place in it.
    run_id    uuid NOT NULL,
    position  integer NOT NULL,
    seen      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION chaos.see_waiters() RETURNS void LANGUAGE sql AS $$
    INSERT INTO chaos.waiter (holder, group_key, run_id, position)
    SELECT s.holder, s.group_key, s.run_id, coalesce(j.position, 0)
      FROM slot s JOIN run r ON r.id = s.run_id LEFT JOIN job j ON j.id = s.job_id
     WHERE NOT s.active AND r.stop IS NULL
       AND (s.asked OR EXISTS (SELECT 1 FROM job o WHERE o.run_id = s.run_id AND o.state = 'waiting'
                                                     AND (s.job_id IS NULL OR o.id = s.job_id)))
        ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION chaos.row_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A job that stands for others goes when they are made; nothing that has ended ever goes.
    INSERT INTO chaos.change (kind, id, was, became, revived)
    VALUES (TG_TABLE_NAME, OLD.id::text, OLD.state, NULL, OLD.finished_at IS NOT NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_job_gone AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION chaos.row_gone();
CREATE TRIGGER chaos_run_gone AFTER DELETE ON run FOR EACH ROW EXECUTE FUNCTION chaos.row_gone();
