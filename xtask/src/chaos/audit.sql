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
                    IS DISTINCT FROM (NEW.state, NEW.attempt, NEW.finished_at));
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

CREATE FUNCTION chaos.row_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos.change (kind, id, was, became, revived) VALUES (TG_TABLE_NAME, OLD.id::text, OLD.state, NULL, true);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_job_gone AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION chaos.row_gone();
CREATE TRIGGER chaos_run_gone AFTER DELETE ON run FOR EACH ROW EXECUTE FUNCTION chaos.row_gone();
