//! Small texts for terminals: durations, and what a stranger wrote made safe to print.

/// `12 ms`, `1.2 s`, `2 min 5 s`.
pub fn duration(ms: i64) -> String {
    match ms {
        ..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// Text without control characters, which could rewrite what the terminal shows.
///
/// Tabs stay; so do sequences that only choose colours, if `colour` says that they may.
pub fn printable(text: &str, colour: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(char::is_control) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(length) = escape_length(rest) {
            if colour && rest[..length].ends_with('m') {
                out.push_str(&rest[..length]);
            }
            rest = &rest[length..];
        } else {
            let mut chars = rest.chars();
            if chars.next() == Some('\t') {
                out.push('\t');
            }
            rest = chars.as_str();
        }
    }
    out.push_str(rest);
    // A colour that the line leaves on must not run into the next one.
    if out.contains('\u{1b}') {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// The length of the control sequence (`ESC [ … letter`) at the start of `text`.
fn escape_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\u{1b}[")?;
    let end = body.find(|c: char| !(c.is_ascii_digit() || matches!(c, ';' | '?' | ':')))?;
    let last = body[end..].chars().next()?;
    last.is_ascii_alphabetic().then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(0), "0 ms");
        assert_eq!(duration(1999), "1.9 s");
        assert_eq!(duration(125_000), "2 min 5 s");
    }

    #[test]
    fn nothing_in_a_log_line_can_steer_the_terminal() {
        let hostile = "a\u{1b}[2J\u{1b}[31mred\u{1b}]0;title\u{7}\r\tb\u{9b}5A";
        assert_eq!(printable(hostile, false), "ared]0;title\tb5A");
        assert_eq!(printable(hostile, true), "a\u{1b}[31mred]0;title\tb5A\u{1b}[0m");
    }
}
