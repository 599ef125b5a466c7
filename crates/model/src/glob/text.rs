//! Pieces of expressions and small functions on text that the other modules share.

pub(super) const DOT_LITERAL: &str = r"\.";
pub(super) const PLUS_LITERAL: &str = r"\+";
pub(super) const SLASH_LITERAL: &str = r"\/";
pub(super) const ONE_CHAR: &str = "(?=.)";
pub(super) const QMARK: &str = "[^/]";
pub(super) const QMARK_NO_DOT: &str = r"[^.\/]";
pub(super) const STAR: &str = "[^/]*?";
pub(super) const NO_DOT: &str = r"(?!\.)";
pub(super) const NO_DOT_SLASH: &str = r"(?!\.{0,1}(?:\/|$))";
pub(super) const GLOBSTAR: &str = r"(?:(?:(?!(?:^|\/)\.).)*?)";

/// The members of a POSIX class.
pub(super) fn posix_class(name: &str) -> Option<&'static str> {
    Some(match name {
        "alnum" => "a-zA-Z0-9",
        "alpha" => "a-zA-Z",
        "ascii" => r"\x00-\x7F",
        "blank" => r" \t",
        "cntrl" => r"\x00-\x1F\x7F",
        "digit" => "0-9",
        "graph" => r"\x21-\x7E",
        "lower" => "a-z",
        "print" => r"\x20-\x7E ",
        "punct" => r##"\-!"#$%&'()\*+,./:;<=>?@[\]^_`{|}~"##,
        "space" => r" \t\r\n\v\f",
        "upper" => "A-Z",
        "word" => "A-Za-z0-9_",
        "xdigit" => "A-Fa-f0-9",
        _ => return None,
    })
}

fn is_regex_char(c: char) -> bool {
    matches!(c, '-' | '*' | '+' | '?' | '.' | '^' | '$' | '{' | '}' | '(' | '|' | ')' | '[' | ']')
}

/// Whether the text has a character that means something in an expression.
pub(super) fn has_regex_chars(text: &str) -> bool {
    text.chars().any(is_regex_char)
}

/// Escapes characters that mean something in an expression (not the backslash).
pub(super) fn escape_regex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_regex_char(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Escapes the last occurrence of a character that is not escaped yet.
pub(super) fn escape_last(text: &mut String, wanted: char) {
    let mut end = text.len();
    while let Some(at) = text[..end].rfind(wanted) {
        if !text[..at].ends_with('\\') {
            text.insert(at, '\\');
            return;
        }
        end = at.saturating_sub(1);
    }
}

/// Removes the last `count` characters; none of them means all, as `slice(0, -0)` does.
pub(super) fn drop_last(text: &mut String, count: usize) {
    if count == 0 {
        text.clear();
        return;
    }
    let cut = text.char_indices().rev().nth(count - 1).map_or(0, |(at, _)| at);
    text.truncate(cut);
}
