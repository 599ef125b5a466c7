//! From a glob to an expression.

use super::extglob;
use super::stars;
use super::text::{
    DOT_LITERAL, ONE_CHAR, PLUS_LITERAL, QMARK, QMARK_NO_DOT, SLASH_LITERAL, STAR, drop_last,
    escape_last, escape_regex, has_regex_chars, posix_class,
};
use super::tokens::{Kind, Open, OpenBrace, State, Token};

/// A parsed glob.
pub(super) struct Parsed {
    pub(super) output: String,
    pub(super) negated: bool,
}

/// Globs that mean the same as a shorter one.
pub(super) fn replacement(pattern: &str) -> &str {
    match pattern {
        "***" => "*",
        "**/**" | "**/**/**" => "**",
        other => other,
    }
}

/// Parses a glob. Without `shortcuts` even simple ones go through the tokens.
pub(super) fn parse(pattern: &str, shortcuts: bool) -> Parsed {
    let pattern = replacement(pattern);
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let complex = pattern.starts_with(['*', '!'])
        || pattern.contains(['/', '(', ')', '[', ']', '{', '}', '"']);
    if shortcuts && !complex {
        return Parsed { output: simple(pattern), negated: false };
    }
    let mut state = State::new(pattern);
    while !state.at_end() {
        let c = state.advance().expect("not at the end");
        one(&mut state, c);
    }
    finish(&mut state);
    Parsed { output: state.output, negated: state.negated }
}

/// Globs without slashes, groups and negation: only `*`, `?` and literals.
fn simple(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut out, mut at, mut backslashes) = (String::new(), 0, false);
    while let Some(c) = chars.get(at).copied() {
        if word(c) {
            out.push(c);
            at += 1;
            continue;
        }
        let escaped = c == '\\' && chars.get(at + 1).is_some_and(|next| !word(*next));
        let from = if escaped { at + 1 } else { at };
        let first = chars[from];
        let run = chars[from..].iter().take_while(|own| **own == first).count();
        let whole: String = chars[at..from + run].iter().collect();
        let rest = run - 1;
        match first {
            '\\' => {
                backslashes = true;
                out.push_str(&whole);
            }
            '?' if escaped => {
                out.push_str(r"\?");
                out.push_str(&QMARK.repeat(rest));
            }
            '?' if at == 0 => {
                out.push_str(QMARK_NO_DOT);
                out.push_str(&QMARK.repeat(rest));
            }
            '?' => out.push_str(&QMARK.repeat(run)),
            '.' => out.push_str(&DOT_LITERAL.repeat(run)),
            '*' if escaped => {
                out.push_str(r"\*");
                out.push_str(if rest > 0 { STAR } else { "" });
            }
            '*' => out.push_str(STAR),
            _ => {
                out.push_str(if escaped { "" } else { "\\" });
                out.push_str(&whole);
            }
        }
        at = from + run;
    }
    if backslashes {
        out = collapse_backslashes(&out);
    }
    format!("^(?:{out})$")
}

/// An even run of backslashes becomes two, an odd one becomes one.
fn collapse_backslashes(text: &str) -> String {
    let (mut out, mut run) = (String::new(), 0);
    for c in text.chars().map(Some).chain([None]) {
        if c == Some('\\') {
            run += 1;
            continue;
        }
        match run {
            0 => {}
            run if run % 2 == 0 => out.push_str(r"\\"),
            _ => out.push('\\'),
        }
        run = 0;
        out.extend(c);
    }
    out
}

/// Handles one character.
fn one(state: &mut State, c: char) {
    let mut value = c.to_string();
    if c == '\0' || c == '\\' && !escape(state, &mut value) {
        return;
    }
    let class_start = matches!(state.prev().value.as_str(), "[" | "[^");
    if state.brackets > 0 && (value != "]" || class_start) {
        in_class(state, value, class_start);
        return;
    }
    if state.quoted && c != '"' {
        state.extend_prev_value(&escape_regex(&value));
        return;
    }
    match c {
        '"' => state.quoted = !state.quoted,
        '(' => {
            state.enter(Open::Paren);
            state.push(Token::new(Kind::Paren, "("));
        }
        ')' => close_paren(state),
        '[' => {
            let closes = state.remaining().contains(&']');
            if closes {
                state.enter(Open::Bracket);
            }
            state.push(Token::new(Kind::Bracket, if closes { "[" } else { r"\[" }));
        }
        ']' => close_class(state),
        '{' => {
            let open = OpenBrace {
                token: state.arena.len(),
                output_len: state.output.chars().count(),
                tokens_len: state.tokens.len(),
            };
            state.enter(Open::Brace);
            state.open_braces.push(open);
            state.push(Token::new(Kind::Brace, "{").output("("));
        }
        '}' => close_brace(state),
        '|' => state.push(Token::new(Kind::Text, "|")),
        ',' => comma(state),
        '/' => slash(state),
        '.' => dot(state),
        '?' => question(state),
        '!' => exclamation(state),
        '+' => plus(state),
        '@' if opens_extglob(state) => {
            let mut token = Token::new(Kind::At, "@").output("");
            token.extglob = true;
            state.push(token);
        }
        '@' => state.push(Token::new(Kind::Text, "@")),
        '*' => stars::star(state),
        _ => text(state, c),
    }
}

/// Reads an escape; false when the backslash has no effect of its own or is already dealt with.
fn escape(state: &mut State, value: &mut String) -> bool {
    match state.peek(1) {
        Some('/' | '.' | ';') => return false,
        None => {
            state.push(Token::new(Kind::Text, r"\\"));
            return false;
        }
        Some(_) => {}
    }
    let run = state.remaining().iter().take_while(|c| **c == '\\').count();
    if run > 2 {
        state.index += run as isize;
        if run % 2 != 0 {
            value.push('\\');
        }
    }
    value.extend(state.advance());
    if state.brackets == 0 {
        state.push(Token::new(Kind::Text, std::mem::take(value)));
        return false;
    }
    true
}

/// Inside of `[…]`.
fn in_class(state: &mut State, mut value: String, class_start: bool) {
    if value == ":" {
        let own = state.prev().value.clone();
        let inner: String = own.chars().skip(1).collect();
        if inner.contains('[') {
            state.prev_mut().posix = true;
            let at = own.rfind('[').expect("the text has a bracket");
            let name = own.get(at + 2..).unwrap_or("");
            if inner.contains(':')
                && let Some(members) = posix_class(name)
            {
                state.prev_mut().value = format!("{}{members}", &own[..at]);
                state.backtrack = true;
                state.advance();
                let first = state.tokens.get(1) == Some(&state.prev);
                if first && state.arena[0].text().is_empty() {
                    state.arena[0].output = Some(ONE_CHAR.to_owned());
                }
                return;
            }
        }
    }
    let next = state.peek(1);
    if (value == "[" && next != Some(':')) || (value == "-" && next == Some(']')) {
        value.insert(0, '\\');
    }
    if value == "]" && class_start {
        value.insert(0, '\\');
    }
    state.extend_prev_value(&value);
}

fn close_class(state: &mut State) {
    let prev = state.prev();
    let alone = prev.kind == Kind::Bracket && prev.value.chars().count() == 1;
    if alone || state.brackets == 0 {
        state.push(Token::new(Kind::Text, "]").output(r"\]"));
        return;
    }
    let inner: String = prev.value.chars().skip(1).collect();
    let posix = prev.posix;
    state.leave(Open::Bracket);
    let negated = !posix && inner.starts_with('^') && !inner.contains('/');
    state.extend_prev_value(if negated { "/]" } else { "]" });
    if has_regex_chars(&inner) {
        return;
    }
    // A class of plain characters may also be meant literally: match both.
    let class = state.prev().value.clone();
    drop_last(&mut state.output, class.chars().count());
    let both = format!("(?:{}|{class})", escape_regex(&class));
    state.output.push_str(&both);
    state.prev_mut().value = both;
}

fn close_paren(state: &mut State) {
    if state.extglobs.last().is_some_and(|glob| state.parens == glob.parens + 1) {
        let glob = state.extglobs.pop().expect("just seen");
        extglob::close(state, &glob);
        return;
    }
    let output = if state.parens != 0 { ")" } else { r"\)" };
    state.push(Token::new(Kind::Paren, ")").output(output));
    state.leave(Open::Paren);
}

fn close_brace(state: &mut State) {
    let Some(open) = state.open_braces.last().copied() else {
        state.push(Token::new(Kind::Text, "}").output("}"));
        return;
    };
    let (comma, dots) = (state.arena[open.token].comma, state.arena[open.token].dots);
    let mut token = Token::new(Kind::Brace, "}").output(")");
    if dots {
        let mut range = Vec::new();
        while let Some(last) = state.tokens.pop() {
            match state.arena[last].kind {
                Kind::Brace => break,
                Kind::Dots => {}
                _ => range.push(state.arena[last].value.clone()),
            }
        }
        token.output = Some(expand_range(range));
        state.backtrack = true;
    }
    if !comma && !dots {
        let brace = &mut state.arena[open.token];
        brace.value = r"\{".to_owned();
        brace.output = Some(r"\{".to_owned());
        token = Token::new(Kind::Brace, r"\}").output(r"\}");
        let kept = state.output.chars().take(open.output_len).collect();
        state.output = kept;
        for index in state.tokens.get(open.tokens_len..).unwrap_or_default() {
            let token = &state.arena[*index];
            let text = token.output.as_deref().filter(|text| !text.is_empty());
            state.output.push_str(text.unwrap_or(&token.value));
        }
    }
    state.push(token);
    state.leave(Open::Brace);
    state.open_braces.pop();
}

/// `{a..c}` as a class; the ends are sorted as text.
fn expand_range(mut ends: Vec<String>) -> String {
    ends.sort();
    let class = format!("[{}]", ends.join("-"));
    if crate::regex::EsRegex::new(&class, "").is_ok() {
        return class;
    }
    ends.iter().map(|end| escape_regex(end)).collect::<Vec<_>>().join("..")
}

fn comma(state: &mut State) {
    let mut output = ",";
    if state.innermost() == Some(Open::Brace)
        && let Some(open) = state.open_braces.last()
    {
        state.arena[open.token].comma = true;
        output = "|";
    }
    state.push(Token::new(Kind::Comma, ",").output(output));
}

fn slash(state: &mut State) {
    // A leading "./" is as if it were not there.
    if state.prev().kind == Kind::Dot && state.index == state.start + 1 {
        state.start = state.index + 1;
        state.output.clear();
        state.tokens.pop();
        state.prev = 0;
        return;
    }
    state.push(Token::new(Kind::Slash, "/").output(SLASH_LITERAL));
}

fn dot(state: &mut State) {
    if state.braces > 0 && state.prev().kind == Kind::Dot {
        let open = state.open_braces.last().copied();
        let prev = state.prev_mut();
        if prev.value == "." {
            prev.output = Some(DOT_LITERAL.to_owned());
        }
        prev.kind = Kind::Dots;
        prev.extend(".");
        prev.value.push('.');
        if let Some(open) = open {
            state.arena[open.token].dots = true;
        }
        return;
    }
    let prev = state.prev().kind;
    let inside = state.braces + state.parens != 0;
    let kind =
        if !inside && !matches!(prev, Kind::Start | Kind::Slash) { Kind::Text } else { Kind::Dot };
    state.push(Token::new(kind, ".").output(DOT_LITERAL));
}

fn opens_extglob(state: &State) -> bool {
    state.peek(1) == Some('(') && state.peek(2) != Some('?')
}

fn question(state: &mut State) {
    let after_open = state.prev().value == "(";
    if !after_open && opens_extglob(state) {
        extglob::open(state, Kind::Qmark, '?');
        return;
    }
    let prev = state.prev().kind;
    if prev == Kind::Paren {
        let next = state.peek(1);
        let special = matches!(next, Some('!' | '=' | '<' | ':'));
        let named = next == Some('<') && !looks_named(state.remaining());
        let output = if (after_open && !special) || named { r"\?" } else { "?" };
        state.push(Token::new(Kind::Text, "?").output(output));
        return;
    }
    let output = if matches!(prev, Kind::Slash | Kind::Start) { QMARK_NO_DOT } else { QMARK };
    state.push(Token::new(Kind::Qmark, "?").output(output));
}

/// Whether somewhere a lookbehind or a group's name follows: `<!`, `<=`, `<name>`.
fn looks_named(rest: &[char]) -> bool {
    rest.iter().enumerate().filter(|(_, c)| **c == '<').any(|(at, _)| {
        let after = &rest[at + 1..];
        let name = after.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count();
        matches!(after.first(), Some('!' | '=')) || name > 0 && after.get(name) == Some(&'>')
    })
}

fn exclamation(state: &mut State) {
    if state.peek(1) == Some('(') {
        let assertion = matches!(state.peek(3), Some('!' | '=' | '<' | ':'));
        if state.peek(2) != Some('?') || !assertion {
            extglob::open(state, Kind::Negate, '!');
            return;
        }
    }
    if state.index != 0 {
        text(state, '!');
        return;
    }
    let mut count = 1;
    while state.peek(1) == Some('!') && (state.peek(2) != Some('(') || state.peek(3) == Some('?')) {
        state.advance();
        state.start += 1;
        count += 1;
    }
    if count % 2 == 1 {
        state.negated = true;
        state.start += 1;
    }
}

fn plus(state: &mut State) {
    if opens_extglob(state) {
        extglob::open(state, Kind::Plus, '+');
        return;
    }
    let prev = state.prev();
    let token = if prev.value == "(" {
        Token::new(Kind::Plus, "+").output(PLUS_LITERAL)
    } else if matches!(prev.kind, Kind::Bracket | Kind::Paren | Kind::Brace) || state.parens > 0 {
        Token::new(Kind::Plus, "+")
    } else {
        Token::new(Kind::Plus, PLUS_LITERAL)
    };
    state.push(token);
}

/// A literal character and all that follow it without meaning anything.
fn text(state: &mut State, c: char) {
    let special = |c: &char| "@![].,$*+?^{}()|\\/".contains(*c);
    let mut value = String::new();
    if matches!(c, '$' | '^') {
        value.push('\\');
    }
    value.push(c);
    let run: String = state.remaining().iter().take_while(|c| !special(c)).collect();
    state.index += run.chars().count() as isize;
    value.push_str(&run);
    state.push(Token::new(Kind::Text, value));
}

/// What was left open is literal; a trailing star or class tolerates a slash.
fn finish(state: &mut State) {
    for (open, sign) in [(Open::Bracket, '['), (Open::Paren, '('), (Open::Brace, '{')] {
        let count = match open {
            Open::Bracket => state.brackets,
            Open::Paren => state.parens,
            Open::Brace => state.braces,
        };
        for _ in 0..count.max(0) {
            escape_last(&mut state.output, sign);
            state.leave(open);
        }
    }
    if matches!(state.prev().kind, Kind::Star | Kind::Bracket) {
        state.push(Token::new(Kind::MaybeSlash, "").output(format!("{SLASH_LITERAL}?")));
    }
    if state.backtrack {
        state.output = state.tokens.iter().map(|token| state.arena[*token].text()).collect();
    }
}
