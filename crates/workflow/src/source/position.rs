//! Lines and columns of a text, and the excerpt that error messages show.

/// A 1-based place in a text; columns count UTF-16 units, as editors and stack traces do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// The place of a byte offset.
pub(crate) fn at(text: &str, offset: u32) -> Position {
    let mut offset = (offset as usize).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: count(before.bytes().filter(|byte| *byte == b'\n').count()) + 1,
        column: count(before[line_start..].encode_utf16().count()) + 1,
    }
}

/// The line at `position` with its number and a mark below.
pub(crate) fn excerpt(text: &str, position: Position) -> String {
    let Some(line) = text.lines().nth(position.line as usize - 1) else { return String::new() };
    if line.len() > 400 {
        return String::new(); // a bundle's line would bury the message
    }
    let number = position.line.to_string();
    let gutter = " ".repeat(number.len());
    let indent: String = line
        .chars()
        .take(position.column as usize - 1)
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    format!("{gutter} |\n{number} | {line}\n{gutter} | {indent}^")
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_utf16_columns() {
        let text = "ab\n\u{1f980}c = ;\n";
        assert_eq!(at(text, 0), Position { line: 1, column: 1 });
        assert_eq!(at(text, 8), Position { line: 2, column: 4 });
        assert_eq!(at(text, 999), Position { line: 3, column: 1 });
    }

    #[test]
    fn the_excerpt_marks_the_place() {
        assert_eq!(
            excerpt("one\n\tconst x = ;\n", Position { line: 2, column: 12 }),
            "  |\n2 | \tconst x = ;\n  | \t          ^"
        );
    }
}
