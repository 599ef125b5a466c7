use std::time::Instant;

use serde_json::json;

use super::*;

fn event() -> Event {
    Event {
        kind: "push".to_owned(),
        target_branch: "feature/x".to_owned(),
        payload: json!({"ref": "refs/heads/feature/x", "n": 3}),
        ..Event::default()
    }
}

#[test]
fn functions_of_the_event_give_texts_and_maps() {
    assert_eq!(text("(event) => `grp-${event.targetBranch}`", &event()).unwrap(), "grp-feature/x");
    assert_eq!(
        text("function (e) {\n const [a] = e.targetBranch.split('/');\n return a\n}", &event())
            .unwrap(),
        "feature"
    );
    assert_eq!(text("() => event.type // the only extra global", &event()).unwrap(), "push");
    let map = env(
        "({ payload }) => ({ REF: payload.ref, N: payload.n, HALF: 0.5, ON: true, NONE: undefined })",
        &event(),
    )
    .unwrap();
    let expected = [("REF", "refs/heads/feature/x"), ("N", "3"), ("HALF", "0.5"), ("ON", "true")];
    assert_eq!(map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
}

#[test]
fn wrong_types_are_named() {
    let message = |result: Result<String, InlineError>| result.unwrap_err().to_string();
    assert_eq!(
        message(text("() => 5", &event())),
        "the inline expression returned a number, expected a string"
    );
    assert!(message(text("async () => 'a'", &event())).contains("must not be async"));
    assert!(message(text("5", &event())).contains("not a function: a number"));
    assert!(message(text("=>", &event())).contains("not a function: SyntaxError"));
    for wrong in ["() => ['a']", "() => 'a'", "() => null", "() => () => 1"] {
        assert!(matches!(env(wrong, &event()), Err(InlineError::WrongType { .. })), "{wrong}");
    }
    let error = env("() => ({ A: {} })", &event()).unwrap_err().to_string();
    assert_eq!(error, "the inline expression returned an object for `A`, expected strings");
}

#[test]
fn what_it_throws_is_reported() {
    let error = text("(e) => e.missing.field", &event()).unwrap_err().to_string();
    assert!(error.starts_with("the inline expression threw TypeError: "), "{error}");
    let error = text("() => { throw 'plain' }", &event()).unwrap_err();
    assert!(matches!(error, InlineError::Threw { error } if error.contains("plain")));
    let deep = text("() => { const f = () => f(); return f() }", &event()).unwrap_err();
    assert!(matches!(deep, InlineError::Threw { .. }), "{deep}");
    let getter = env("() => ({ get A() { throw new Error('no') } })", &event()).unwrap_err();
    assert!(matches!(getter, InlineError::Threw { .. }), "{getter}");
}

#[test]
fn runaways_are_stopped() {
    for endless in [
        "function(){ while(true){} }",
        "() => { for (;;) { try { for (;;) {} } catch {} } }",
        "() => /^(a+)+$/.test('a'.repeat(40) + '!') + ''",
        "() => { let s = 'a'; for (;;) s = s + 'a' }",
        "() => { const all = []; for (;;) { try { all.push(new Array(1e6).fill(0)) } catch {} } }",
        "() => { let n = 3n ** 50000n; for (;;) { try { n * n } catch {} } }",
        "() => { const a = Array.from({ length: 9e4 }, Math.random); for (;;) { try { a.slice().sort() } catch {} } }",
        "() => { for (;;) { try { 'a'.repeat(1e5).indexOf('a'.repeat(99) + 'b') } catch {} } }",
    ] {
        let started = Instant::now();
        let error = text(endless, &event()).unwrap_err();
        assert!(
            matches!(error, InlineError::TooSlow | InlineError::TooLarge),
            "{endless}: {error}"
        );
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{endless} took {:?}",
            started.elapsed()
        );
    }
    let hungry = "() => { const all = []; for (;;) all.push('x'.repeat(3e6) + all.length) }";
    assert_eq!(text(hungry, &event()).unwrap_err(), InlineError::TooLarge);
    for refused in [
        "() => [].includes.call({ length: 2 ** 53 - 1 }, 1) + ''",
        "() => new Array(4294967295).indexOf(1) + ''",
        "() => new Array(4294967295).some(() => true) + ''",
        "() => 'a'.repeat(1e6).includes('a'.repeat(5e5) + 'b') + ''",
    ] {
        let error = text(refused, &event()).unwrap_err().to_string();
        assert!(error.contains("too large a value"), "{refused}: {error}");
    }
}

#[test]
fn there_is_no_way_out_of_the_realm() {
    for name in ["require", "process", "console", "fetch", "setTimeout", "__kiciHost", "Deno"] {
        let seen = text(&format!("() => typeof {name}"), &event()).unwrap();
        assert_eq!(seen, "undefined", "{name}");
    }
    let module = text("() => { import('node:fs'); return 'asked' }", &event());
    assert!(module.is_ok_and(|text| text == "asked"), "the import itself can only fail later");
    let first =
        text("() => { globalThis.kept = 'x'; Object.prototype.kept = 'y'; return 'a' }", &event());
    assert_eq!(first.unwrap(), "a");
    assert_eq!(text("() => typeof kept", &event()).unwrap(), "undefined");
}
