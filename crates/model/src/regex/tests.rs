use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn test(source: &str, flags: &str, text: &str) -> bool {
    EsRegex::new(source, flags).unwrap().is_match(text).unwrap()
}

#[test]
fn patterns_mean_what_javascript_means() {
    let yes = [
        (r"^release\/v\d+$", "", "release/v12"),
        ("fix", "", "my-hotfix-1"),
        ("^MAIN$", "i", "main"),
        ("^/deploy", "im", "hi\n/DEPLOY prod"),
        (r"^(?!\.)(?=.)[^/]*?-gpu$", "", "a-gpu"),
        (r"(?<=v)\d+$", "", "x-v12"),
        (r"(?<![a-z])\d", "", "-1"),
        (r"^(a+)-\1$", "", "aa-aa"),
        (r"^(?<w>\w+) \k<w>$", "", "ab ab"),
        (r"^(?:(a)|b)*\1$", "", "ab"),
        (r"^\u0061\x62\t$", "", "ab\t"),
        (r"^[\u{1F680}]$", "u", "🚀"),
        (r"^..$", "", "🚀"),
        (r"^.$", "u", "🚀"),
        (r"^🚀$", "", "🚀"),
        (r"^[🚀]{2}$", "", "🚀"),
        (r"a{,3}b{", "", "a{,3}b{"),
        (r"]", "", "a]"),
        (r"^\p{Lu}+$", "u", "ÄÖ"),
        (r"[[a-z]--[aeiou]]", "v", "e f"),
        (r"^a.c$", "s", "a\nc"),
        (r"\bfoo\b", "", "a foo b"),
        ("", "", ""),
        (r"^(a|a)*$", "", "aaaa"),
        (r"a(?=b)b", "g", "ab"),
        (r"^[^]$", "", "\n"),
        (r"\c", "", "\\c"),
        (r"^\1(a)$", "", "a"),
        (r"^\7$", "", "\u{7}"),
    ];
    for (source, flags, text) in yes {
        assert!(test(source, flags, text), "/{source}/{flags} should match {text:?}");
    }
    let no = [
        (r"^release\/v\d+$", "", "release/v1.2"),
        ("^/deploy", "", "hi\n/deploy"),
        ("main", "", "Main"),
        ("^.$", "", "🚀"),
        ("[]", "", "a"),
        (r"^(a+)-\1$", "", "aa-a"),
        ("b", "y", "ab"),
        (r"^a.c$", "", "a\nc"),
        (r"k", "i", "\u{212a}"),
        (r"\Boo", "", "oo"),
    ];
    for (source, flags, text) in no {
        assert!(!test(source, flags, text), "/{source}/{flags} should not match {text:?}");
    }
}

#[test]
fn invalid_patterns_and_flags_are_refused_with_a_reason() {
    for (source, flags) in
        [("(", ""), ("a", "z"), ("a", "gg"), ("a", "uv"), ("*", ""), ("[b-a]", "")]
    {
        let error = EsRegex::new(source, flags).unwrap_err().to_string();
        assert!(error.contains(&format!("/{source}/{flags}")), "{error}");
    }
    let deep = format!("{}a{}", "(".repeat(3000), ")".repeat(3000));
    assert!(matches!(EsRegex::new(&deep, ""), Err(RegexError::TooLarge { .. })));
    assert!(matches!(EsRegex::new("(a{1000}){1000}", ""), Err(RegexError::TooLarge { .. })));
    assert!(matches!(EsRegex::new(&"a".repeat(20_000), ""), Err(RegexError::TooLarge { .. })));
}

#[test]
fn exploding_patterns_end_quickly() {
    let text = format!("{}!", "a".repeat(20_000));
    for source in ["(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*)*x", "a*a*a*a*a*b", "(?:a?){50}b"] {
        let started = Instant::now();
        let answer = EsRegex::new(source, "").unwrap().is_match(&text);
        assert!(matches!(answer, Ok(false) | Err(RegexError::TooExpensive { .. })), "{source}");
        assert!(started.elapsed() < Duration::from_secs(20), "{source} took too long");
    }
    let backref = EsRegex::new(r"(a*)*\1b", "").unwrap().is_match(&text);
    assert!(matches!(backref, Err(RegexError::TooExpensive { .. })));
}

#[test]
fn the_gate_counts_height_and_operators() {
    let prone = |source: &str| is_redos_prone(source, "").unwrap();
    assert!(prone("(a+)+$"));
    assert!(prone("(.*)*"));
    assert!(prone(&"a*".repeat(26)));
    assert!(!prone(&"a*".repeat(25)));
    assert!(!prone("(a|a)*$"));
    assert!(!prone("^box-"));
    assert!(!prone(r"^(?:team(?:\/(?!\.)(?:(?:(?!(?:^|\/)\.).)*?)|$))$"));
}

fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[abc]",
        Just(".".to_owned()),
        Just("[ab]".to_owned()),
        Just("[^a]".to_owned()),
        Just(r"\w".to_owned()),
        Just(r"\b".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
        Just(r"\1".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
            inner.clone().prop_map(|a| format!("({a})")),
            (inner.clone(), "[*+?]|\\{1,2\\}|\\{0,2\\}\\?|\\*\\?")
                .prop_map(|(a, q)| format!("(?:{a}){q}")),
            (inner, "=|!|<=|<!").prop_map(|(a, kind)| format!("(?{kind}{a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// `regress` is the reference: wherever it answers in time, the bounded search agrees.
    #[test]
    fn agrees_with_the_unbounded_engine(source in pattern(), text in "[abc\n]{0,6}", i in any::<bool>()) {
        let flags = if i { "im" } else { "" };
        let Ok(reference) = regress::Regex::with_flags(&source, flags) else { return Ok(()) };
        let Ok(answer) = EsRegex::new(&source, flags).unwrap().is_match(&text) else { return Ok(()) };
        prop_assert_eq!(answer, reference.find(&text).is_some(), "/{}/{} on {:?}", source, flags, text);
    }
}
