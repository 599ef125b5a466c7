//! Order, repeats and recovery of the outbox.

use std::collections::BTreeMap;

use kici_protocol::agent::{Fate, JobState, JobStatus, LogsStored, StepState, StepStatus};

use super::*;

const LIMIT: u64 = 64 * 1024 * 1024;

fn status(id: &str) -> FromAgent {
    FromAgent::JobStatus(JobStatus {
        message_id: id.into(),
        run_id: "r".into(),
        job_id: "j".into(),
        state: JobState::Success,
        timestamp: 0,
        data: None,
        dropped_jobs: None,
        secret_outputs: None,
    })
}

fn step(id: &str) -> FromAgent {
    FromAgent::StepStatus(Box::new(StepStatus {
        message_id: id.into(),
        run_id: "r".into(),
        job_id: "j".into(),
        step_index: 0,
        step_name: "s".into(),
        state: StepState::Running,
        timestamp: 0,
        data: None,
        step_type: None,
        secrets_accessed: None,
        concurrency_kind: None,
        group_id: None,
        log_bytes_streamed: None,
    }))
}

fn job(name: &str) -> JobRef {
    JobRef { run_id: "r".into(), job_id: name.into() }
}

fn outbox(folder: Option<&std::path::Path>) -> Outbox {
    let mut outbox = Outbox::new(folder.map(Into::into), LIMIT);
    outbox.begin(job("j"));
    outbox
}

fn log(outbox: &mut Outbox, line: &str, now: Instant) {
    outbox.logs().unwrap().push(0, [line.to_owned()], now);
    outbox.logs().unwrap().flush(now);
}

fn name(frame: Option<Frame>) -> String {
    frame.map_or("-".into(), |frame| {
        let value: serde_json::Value = serde_json::from_str(&frame.text).unwrap();
        value["lines"][0].as_str().or(value["messageId"].as_str()).unwrap().to_owned()
    })
}

/// Everything that goes, as if each frame were written at once.
fn all(outbox: &mut Outbox, now: Instant) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        let frame = match outbox.next_fact(now) {
            Some(frame) => frame,
            None => match outbox.next_log(now) {
                Some(frame) => frame,
                None => return names,
            },
        };
        let ticket = frame.ticket;
        names.push(name(Some(frame)));
        for told in outbox.written(ticket) {
            names.push(match told {
                Told::Written(job) => format!("<{} written>", job.job_id),
                Told::Stored(job) => format!("<{} stored>", job.job_id),
            });
        }
    }
}

fn ack(ids: &[&str], seq: u64) -> Ack {
    let logs = if seq == 0 { vec![] } else { vec![LogsStored { job_id: "j".into(), seq }] };
    Ack { message_ids: ids.iter().map(|&id| id.to_owned()).collect(), logs }
}

fn places(test: impl Fn(Option<&std::path::Path>)) {
    let folder = tempfile::tempdir().unwrap();
    test(None);
    test(Some(folder.path()));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "everything was told: {left:?}");
}

#[test]
fn the_terminal_status_waits_for_the_log_and_nothing_else_does() {
    places(|place| {
        let now = Instant::now();
        let mut outbox = outbox(place);
        outbox.push(&step("step"));
        log(&mut outbox, "line", now);
        outbox.push_terminal(&status("end"), now);

        let step = outbox.next_fact(now).unwrap();
        assert_eq!(name(outbox.next_fact(now)), "-");
        let log = outbox.next_log(now).unwrap();
        assert_eq!(name(outbox.next_fact(now)), "-", "handed over is not written");
        assert_eq!(outbox.written(log.ticket), []);
        assert_eq!(outbox.written(step.ticket), []);
        assert_eq!(all(&mut outbox, now), ["end", "<j written>", "<j stored>"]);
        assert!(outbox.is_empty());
    });
}

#[test]
fn what_was_not_written_goes_again_with_the_same_text() {
    places(|place| {
        let now = Instant::now();
        let mut outbox = outbox(place);
        outbox.push(&step("one"));
        outbox.push(&step("two"));
        log(&mut outbox, "line", now);
        let one = outbox.next_fact(now).unwrap();
        let two = outbox.next_fact(now).unwrap();
        let first = outbox.next_log(now).unwrap();
        outbox.written(one.ticket);
        outbox.rewind();
        log(&mut outbox, "later", now);

        assert_eq!(outbox.waiting(), 3);
        assert_eq!(outbox.next_fact(now).unwrap().text, two.text);
        assert_eq!(outbox.next_log(now).unwrap().text, first.text);
        outbox.rewind();
        outbox.push_terminal(&status("end"), now);
        let rest = all(&mut outbox, now);
        assert_eq!(rest, ["two", "line", "later", "end", "<j written>", "<j stored>"]);
    });
}

#[test]
fn with_acknowledgements_only_those_count() {
    places(|place| {
        let now = Instant::now();
        let mut outbox = outbox(place);
        outbox.registered(true, None);
        outbox.push(&step("one"));
        log(&mut outbox, "a", now);
        all(&mut outbox, now);
        log(&mut outbox, "b", now);
        outbox.push_terminal(&status("end"), now);
        assert_eq!(all(&mut outbox, now), ["b", "end", "<j written>"]);
        assert_eq!(outbox.untold(), [job("j")]);

        assert_eq!(outbox.stored(&ack(&["unknown"], 1)), []);
        outbox.rewind();
        assert_eq!(all(&mut outbox, now), ["one", "b", "end", "<j written>"]);
        // The end of a job covers what was said before it.
        assert_eq!(outbox.stored(&ack(&["end"], 0)), [Told::Stored(job("j"))]);
        assert_eq!(outbox.untold(), []);
        assert!(!outbox.is_empty(), "the log is not stored yet");
        outbox.rewind();
        assert_eq!(all(&mut outbox, now), ["b"]);
        outbox.stored(&ack(&[], 2));
        assert!(outbox.is_empty());
    });
}

#[test]
fn a_new_attempt_drops_what_the_last_one_had_to_say() {
    places(|place| {
        let now = Instant::now();
        let mut outbox = outbox(place);
        outbox.registered(true, None);
        outbox.push_terminal(&status("end"), now);
        outbox.begin(job("other"));
        outbox.begin(job("j"));
        outbox.push(&step("new"));
        assert_eq!(all(&mut outbox, now), ["new"]);
        outbox.give_up();
    });
}

#[test]
fn the_window_bounds_what_the_writer_holds() {
    let now = Instant::now();
    let mut outbox = outbox(None);
    for number in 0..=WINDOW {
        outbox.push(&step(&number.to_string()));
    }
    let first = outbox.next_fact(now).unwrap();
    for _ in 1..WINDOW {
        outbox.next_fact(now).unwrap();
    }
    assert_eq!(outbox.next_fact(now), None);
    outbox.written(first.ticket);
    assert_eq!(name(outbox.next_fact(now)), WINDOW.to_string());
}

#[test]
fn a_terminal_status_can_be_held_back() {
    let now = Instant::now();
    let mut outbox = outbox(None);
    outbox.registered(false, Some(now + RECONCILE_TIME));
    outbox.push_terminal(&status("end"), now);
    assert_eq!(outbox.next_fact(now), None);
    assert_eq!(outbox.wake_at(now, true), Some(now + RECONCILE_TIME));
    assert_eq!(name(outbox.next_fact(now + RECONCILE_TIME)), "end");
}

#[test]
fn a_killed_agents_outbox_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut outbox = outbox(Some(folder.path()));
    let process =
        ProcessRecord { pid: 7, started: Some(1), boot: None, folders: vec!["/tmp/kici-a".into()] };
    outbox.note_process(&process);
    outbox.push(&step("one"));
    outbox.push(&step("two"));
    log(&mut outbox, "a", now);
    outbox.spill(now);
    let one = outbox.next_fact(now).unwrap();
    outbox.written(one.ticket);
    log(&mut outbox, "b", now);
    outbox.spill(now);
    drop(outbox);

    let mut outbox = Outbox::new(Some(folder.path().into()), LIMIT);
    let unfinished = outbox.recover();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((&unfinished[0].job, unfinished[0].process.as_ref()), (&job("j"), Some(&process)));
    outbox.end_unfinished(&job("j"), "restarted", &status("end"), now);
    assert_eq!(outbox.untold(), [job("j")]);
    // A new job may run meanwhile.
    outbox.begin(job("next"));
    outbox.push(&step("three"));
    let said = all(&mut outbox, now);
    assert_eq!(said, ["two", "three", "a", "b", "restarted", "end", "<j written>", "<j stored>"]);
    drop(outbox);
    let mut outbox = Outbox::new(Some(folder.path().into()), LIMIT);
    let jobs: Vec<JobRef> = outbox.recover().into_iter().map(|unfinished| unfinished.job).collect();
    assert_eq!(jobs, [job("next")]);
    assert_eq!(outbox.next_number, 3, "numbers are not used again");
}

#[test]
fn an_agent_that_is_killed_again_still_knows_which_job_it_lost() {
    let folder = tempfile::tempdir().unwrap();
    let now = Instant::now();
    drop(outbox(Some(folder.path())));
    let restarted = || Outbox::new(Some(folder.path().into()), LIMIT);
    let mut first = restarted();
    assert_eq!(first.recover().len(), 1);
    assert!(first.fates().is_empty(), "its end is not known yet");
    first.end_unfinished(&job("j"), "restarted", &status("end"), now);
    let lost = BTreeMap::from([("j".to_owned(), Fate::Lost)]);
    assert_eq!(first.fates(), lost);
    drop(first);
    let mut second = restarted();
    assert!(second.recover().is_empty());
    assert_eq!((second.untold(), second.fates()), (vec![job("j")], lost));
    all(&mut second, now);
    assert!(second.fates().is_empty(), "it was told");
    drop(second);
    let mut third = restarted();
    assert!(third.recover().is_empty() && third.fates().is_empty());
}

#[test]
fn an_agent_that_is_killed_still_knows_that_its_job_was_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = outbox(Some(folder.path()));
    first.note_stopping();
    first.push_terminal(&status("end"), Instant::now());
    drop(first);
    let mut second = Outbox::new(Some(folder.path().into()), LIMIT);
    assert!(second.recover().is_empty(), "it had ended");
    assert_eq!(second.fates(), BTreeMap::from([("j".to_owned(), Fate::Stopping)]));
}

#[test]
fn a_full_disk_is_answered_from_memory_and_left_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("gone");
    let now = Instant::now();
    let mut outbox = outbox(Some(&place));
    assert!(outbox.standing().problem.is_some());
    outbox.push(&step("one"));
    log(&mut outbox, "a", now);
    assert!(outbox.has_room(false));
    outbox.push_terminal(&status("end"), now);
    std::fs::create_dir(&place).unwrap();
    assert_eq!(all(&mut outbox, now), ["one", "a", "end", "<j written>", "<j stored>"]);
    outbox.begin(job("k"));
    assert_eq!(outbox.standing().problem, None);
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
}

#[test]
fn log_beyond_the_limit_has_no_room_and_facts_do() {
    let folder = tempfile::tempdir().unwrap();
    let now = Instant::now();
    let mut outbox = Outbox::new(Some(folder.path().into()), 4000);
    outbox.begin(job("j"));
    assert!(outbox.has_room(true));
    log(&mut outbox, &"x".repeat(8000), now);
    outbox.spill(now);
    assert!(!outbox.has_room(true) && !outbox.has_room(false));
    outbox.push(&step("one"));
    assert_eq!(name(outbox.next_fact(now)), "one");
    let frame = outbox.next_log(now).unwrap();
    outbox.written(frame.ticket);
    assert!(outbox.has_room(true) && outbox.has_much_room());
}
