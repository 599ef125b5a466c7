//! Commands, where a whole job would not show enough.

use super::*;

fn command(script: &str) -> Command {
    Command {
        program: "bash".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        cwd: std::env::temp_dir(),
        env: BTreeMap::from([("PATH".to_owned(), std::env::var("PATH").unwrap())]),
        input: None,
    }
}

fn bounds() -> Bounds {
    Bounds {
        stop: Stop::default(),
        timeout: None,
        timeout_signal: Signal::SIGTERM,
        grace: Duration::from_secs(5),
    }
}

async fn run(command: Command, bounds: Bounds) -> Finished {
    start(command, Outlet::default(), Outlet::default()).unwrap().finish(bounds).await.unwrap()
}

#[tokio::test]
async fn streams_are_kept_apart_and_together() {
    let finished = run(command("echo out; sleep 0.1; echo err >&2; exit 3"), bounds()).await;
    assert_eq!(finished.ended, Ended::Exited(3));
    assert_eq!(finished.stdout.text(), "out\n");
    assert_eq!(finished.stderr.text(), "err\n");
    assert_eq!(finished.all.text(), "out\nerr\n");
    assert!(!finished.output_left_open && !finished.timed_out);
}

#[tokio::test]
async fn input_is_read_and_may_be_ignored() {
    let mut reads = command("wc -c");
    reads.input = Some(vec![b'x'; 1 << 20]);
    assert_eq!(run(reads, bounds()).await.stdout.text().trim(), "1048576");
    let mut ignores = command("true");
    ignores.input = Some(vec![b'x'; 1 << 20]);
    assert_eq!(run(ignores, bounds()).await.ended, Ended::Exited(0));
    assert_eq!(run(command("cat"), bounds()).await.ended, Ended::Exited(0), "no input is an end");
}

#[tokio::test]
async fn output_beyond_the_capture_is_counted_as_truncated() {
    let finished = run(command("head -c 20000000 /dev/zero"), bounds()).await;
    assert!(finished.stdout.truncated && finished.all.truncated);
    assert_eq!(finished.stdout.bytes.len(), 16 << 20);
}

#[tokio::test]
async fn a_signal_is_named() {
    let finished = run(command("kill -USR1 $$"), bounds()).await;
    assert_eq!(finished.ended, Ended::Killed("SIGUSR1".to_owned()));
}

#[tokio::test]
async fn children_of_the_shell_get_their_grace() {
    // The shell dies of TERM at once, its child tidies up.
    let script =
        "bash -c 'trap \"sleep 0.3; echo tidy; exit 0\" TERM; while :; do sleep 0.05; done' & wait";
    let limited = Bounds { timeout: Some(Duration::from_millis(300)), ..bounds() };
    let finished = run(command(script), limited).await;
    assert!(finished.timed_out);
    assert_eq!(finished.stdout.text(), "tidy\n");
}

#[tokio::test]
async fn what_ignores_term_is_killed_after_the_grace() {
    let limited = Bounds {
        timeout: Some(Duration::from_millis(100)),
        grace: Duration::from_millis(300),
        ..bounds()
    };
    let finished = run(command("trap '' TERM; while :; do sleep 0.05; done"), limited).await;
    assert_eq!(finished.ended, Ended::Killed("SIGKILL".to_owned()));
    assert!(finished.duration < Duration::from_secs(4), "{:?}", finished.duration);
}

#[tokio::test]
async fn what_cannot_be_started_is_named() {
    let mut missing = command("true");
    missing.program = "no-such-program".to_owned();
    let error = start(missing, Outlet::default(), Outlet::default()).unwrap_err();
    assert!(error.to_string().starts_with("could not start no-such-program in "), "{error}");
}

#[test]
fn signals_have_many_spellings() {
    for text in ["SIGTERM", "term", "15"] {
        assert_eq!(parse_signal(text), Some(Signal::SIGTERM), "{text}");
    }
    assert_eq!(parse_signal("SIGNOPE"), None);
}
