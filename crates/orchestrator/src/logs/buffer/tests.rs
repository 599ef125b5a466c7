//! How lines are numbered, sealed, put back and offered again.

use super::*;

fn lines(buffer: &JobBuffer, step: i32) -> Vec<(i64, String)> {
    let extents = buffer.extents(1, step);
    extents
        .into_iter()
        .map(|e| (e.first_line, String::from_utf8(e.bytes.to_vec()).unwrap()))
        .collect()
}

#[test]
fn lines_are_numbered_for_each_step_and_repeats_are_dropped() {
    let mut buffer = JobBuffer::default();
    buffer.begin(1);
    let m1 = ["a".into(), "b\nc".into()];
    assert_eq!(buffer.push(0, 7, "m1", None, &m1), Push::New);
    assert_eq!(buffer.push(0, 7, "m1", None, &m1), Push::Known);
    buffer.push(1, 8, "m2", None, &["x".into()]);
    let sealed = buffer.seal(Uuid::nil(), 1).unwrap();
    assert_eq!(
        sealed.rows.iter().map(|r| (r.step, r.first_line, r.lines)).collect::<Vec<_>>(),
        [(0, 0, 3), (1, 0, 1)]
    );
    assert_eq!(&sealed.bytes[..], b"7\ta\n7\tb\n7\tc\n8\tx\n");
    buffer.push(0, 9, "m3", None, &["d".into()]);
    assert_eq!(lines(&buffer, 0), [(0, "7\ta\n7\tb\n7\tc\n".into()), (3, "9\td\n".into())]);
    buffer.keep(|object| object != sealed.object);
    assert_eq!(lines(&buffer, 0), [(3, "9\td\n".into())]);
    assert!(buffer.seal(Uuid::nil(), 1).is_some() && buffer.seal(Uuid::nil(), 1).is_none());
}

#[test]
fn an_object_that_was_not_stored_waits_again_in_its_place() {
    let mut buffer = JobBuffer::default();
    buffer.begin(1);
    buffer.push(0, 1, "a", None, &["first".into()]);
    let sealed = buffer.seal(Uuid::nil(), 1).unwrap();
    buffer.push(0, 2, "b", None, &["second".into()]);
    buffer.unsealed(sealed);
    assert_eq!(lines(&buffer, 0), [(0, "1\tfirst\n2\tsecond\n".into())]);
    let again = buffer.seal(Uuid::nil(), 1).unwrap();
    assert_eq!((again.rows[0].first_line, again.rows[0].lines), (0, 2));
}

#[test]
fn a_resumed_attempt_goes_on_counting() {
    let mut buffer = JobBuffer::default();
    let stored = LogExtent { steps: vec![(0, 40)], next_object: 3, seq: 9, taken_over: true };
    buffer.resume(1, stored);
    assert_eq!(buffer.push(0, 1, "a", Some(9), &["stored".into()]), Push::Known);
    buffer.push(0, 1, "b", Some(10), &["x".into()]);
    let sealed = buffer.seal(Uuid::nil(), 7).unwrap();
    let row = &sealed.rows[0];
    assert_eq!((sealed.object, row.first_line, row.seq, row.writer), (3, 40, 10, 7));
}

#[test]
fn a_number_that_leaves_some_out_leaves_a_mark() {
    let mut buffer = JobBuffer::default();
    buffer.begin(1);
    buffer.push(0, 1, "a", Some(1), &["first".into()]);
    buffer.push(0, 2, "b", Some(4), &["fourth".into()]);
    let wanted = "1\tfirst\n2\t[2 log messages are missing here]\n2\tfourth\n";
    assert_eq!(lines(&buffer, 0), [(0, wanted.into())]);
    assert_eq!(buffer.push(0, 3, "c", Some(3), &["third, late".into()]), Push::Known);
}

#[test]
fn rows_that_were_not_indexed_are_offered_again_as_they_were() {
    let mut buffer = JobBuffer::default();
    buffer.begin(1);
    buffer.push(0, 1, "a", None, &["x".into()]);
    buffer.seal(Uuid::nil(), 1).unwrap();
    let first = buffer.unindexed();
    buffer.push(0, 1, "b", None, &["y".into()]);
    buffer.seal(Uuid::nil(), 1).unwrap();
    let both = buffer.queue_unindexed();
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    assert!(buffer.unindexed().is_empty() && buffer.has_unindexed());
    buffer.keep(|_| false);
    assert!(!buffer.has_unindexed());
}
