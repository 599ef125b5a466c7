//! Tells globs from plain texts, as picomatch's `scan` does.

/// Whether the text is a glob.
pub(super) fn is_glob(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    let mut start = 0;
    while at < chars.len() {
        let next = chars.get(at + 1);
        match chars[at] {
            '\\' if next == Some(&'{') => return false,
            '\\' => at += 1,
            '{' => return is_brace(&chars[at + 1..]),
            '*' | '?' | '(' => return true,
            '+' | '@' | '!' if next == Some(&'(') => return true,
            '[' => return closes(&chars[at + 1..]),
            '!' if at == start => start += 1,
            _ => {}
        }
        at += 1;
    }
    false
}

/// After `{`: a comma or two dots before the brace closes.
fn is_brace(rest: &[char]) -> bool {
    let mut open = 1;
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 1,
            '{' => open += 1,
            ',' => return true,
            '.' => {
                // A single dot takes the character after it along, as the original does.
                at += 1;
                if rest.get(at) == Some(&'.') {
                    return true;
                }
                match rest.get(at) {
                    Some(',') => return true,
                    Some('}') => open -= 1,
                    _ => {}
                }
            }
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return false;
        }
        at += 1;
    }
    false
}

/// After `[`: an unescaped `]`.
fn closes(rest: &[char]) -> bool {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 1,
            ']' => return true,
            _ => {}
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_and_plain_texts() {
        for glob in
            ["web-*", "a?", "box-0[1-3]", "{a,b}", "{1..3}", "(a)", "@(a|b)", "+(a)", "!(a)"]
        {
            assert!(is_glob(glob), "{glob}");
        }
        let plain = [
            "{a}",
            "a{b}",
            "a[b",
            "a]",
            "a+b",
            "a|b",
            "@x",
            "!x",
            "$x",
            "./a",
            r"a\*",
            "",
            "a:b/c.d-e,f g",
            r"\{a,b}",
        ];
        for text in plain {
            assert!(!is_glob(text), "{text}");
        }
    }
}
