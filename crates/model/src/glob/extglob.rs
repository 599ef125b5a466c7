//! Extended globs `@(…) ?(…) +(…) *(…) !(…)`, and which repeated ones are too risky to keep.

use super::parser;
use super::text::{GLOBSTAR, ONE_CHAR, STAR, escape_regex};
use super::tokens::{Kind, Open, State, Token};

/// An open extended glob.
pub(super) struct Extglob {
    kind: Kind,
    pub(super) inner: String,
    pub(super) parens: i32,
    output: String,
    start: usize,
    token: usize,
}

impl Extglob {
    pub(super) fn is_negate(&self) -> bool {
        self.kind == Kind::Negate
    }
}

/// Starts an extended glob at its sign.
pub(super) fn open(state: &mut State, kind: Kind, sign: char) {
    let opened = Extglob {
        kind,
        inner: String::new(),
        parens: state.parens,
        output: state.output.clone(),
        start: state.index.unsigned_abs(),
        token: state.tokens.len(),
    };
    let paren = if kind == Kind::Negate { "(?:(?!(?:" } else { "(?:" };
    state.enter(Open::Paren);
    let output = if state.output.is_empty() { ONE_CHAR } else { "" };
    state.push(Token::new(kind, sign).output(output));
    let value: String = state.advance().into_iter().collect();
    let mut token = Token::new(Kind::Paren, value).output(paren);
    token.extglob = true;
    state.push(token);
    state.extglobs.push(opened);
}

/// Ends an extended glob at its closing parenthesis.
pub(super) fn close(state: &mut State, glob: &Extglob) {
    let at = state.index.unsigned_abs();
    let literal: String = state.input[glob.start..=at].iter().collect();
    let body: String = state.input.get(glob.start + 2..at).unwrap_or_default().iter().collect();
    if matches!(glob.kind, Kind::Plus | Kind::Star)
        && let Some(risk) = risk(&body)
    {
        neutralise(state, glob, &literal, risk);
        return;
    }
    let output = match glob.kind {
        Kind::Negate => negate_close(state, glob),
        Kind::Qmark => ")?".to_owned(),
        Kind::Plus => ")+".to_owned(),
        Kind::Star => ")*".to_owned(),
        _ => ")".to_owned(),
    };
    push_paren(state, output);
}

fn push_paren(state: &mut State, output: String) {
    let mut token = Token::new(Kind::Paren, ")").output(output);
    token.extglob = true;
    state.push(token);
    state.leave(Open::Paren);
}

fn negate_close(state: &State, glob: &Extglob) -> String {
    let deep = glob.inner.chars().count() > 1 && glob.inner.contains('/');
    let star = if deep { GLOBSTAR } else { STAR };
    let rest = state.remaining();
    let only_parens = !rest.is_empty() && rest.iter().all(|c| *c == ')');
    let mut output = format!(")){STAR})");
    if deep || state.at_end() || only_parens {
        output = format!(")$)){star}");
    }
    let is_extension = rest.len() > 1
        && rest[0] == '.'
        && !rest[1..].iter().any(|c| matches!(c, '\\' | '/' | '.'));
    if glob.inner.contains('*') && is_extension {
        let rest: String = rest.iter().collect();
        let expression = parser::parse(&rest, false).output;
        output = format!("){expression}){star})");
    }
    output
}

/// Replaces a risky repetition by a safe class, or by its own text.
fn neutralise(state: &mut State, glob: &Extglob, literal: &str, risk: Risk) {
    let output = match risk {
        Risk::Class(class) => {
            let one = if glob.output.is_empty() { ONE_CHAR } else { "" };
            format!("{one}{class}")
        }
        Risk::Literal => escape_regex(literal),
    };
    state.output = format!("{}{output}", glob.output);
    for (i, token) in state.tokens.iter().enumerate().skip(glob.token) {
        let token = &mut state.arena[*token];
        if i == glob.token {
            token.kind = Kind::Text;
            token.value = literal.to_owned();
            token.output = Some(output.clone());
        } else {
            token.value.clear();
            token.output = Some(String::new());
        }
    }
    state.backtrack = true;
    push_paren(state, String::new());
}

/// What to do with a repeated extended glob that could backtrack for ages.
enum Risk {
    Class(String),
    Literal,
}

fn risk(body: &str) -> Option<Risk> {
    let branches: Vec<String> =
        split_top_level(body).iter().map(|branch| branch.trim().to_owned()).collect();
    let only_magic = |b: &String| !b.is_empty() && b.chars().all(|c| matches!(c, '*' | '?'));
    if branches.len() > 1
        && (branches.iter().any(|branch| branch.is_empty() || only_magic(branch))
            || has_prefix_overlap(&branches))
    {
        return Some(Risk::Literal);
    }
    let mut safe: Vec<String> = Vec::new();
    let (mut saw_sequence, mut combinable) = (false, true);
    for branch in &branches {
        if let Some(chars) = star_sequence(branch) {
            saw_sequence = true;
            safe.extend(chars);
        } else if let Some(literal) = plain(branch).filter(|text| text.chars().count() == 1) {
            safe.push(literal);
        } else {
            combinable = false;
            if repeated(branch.trim(), true).is_some() {
                return Some(Risk::Literal);
            }
        }
    }
    if !saw_sequence {
        return None;
    }
    if !combinable {
        return Some(Risk::Literal);
    }
    let mut unique: Vec<String> = Vec::new();
    for c in safe {
        if !unique.contains(&c) {
            unique.push(c);
        }
    }
    let escaped: String = unique.iter().map(|c| escape_regex(c)).collect();
    Some(Risk::Class(if unique.len() == 1 {
        format!("{escaped}*")
    } else {
        format!("[{escaped}]*")
    }))
}

/// Splits at `|` outside of parentheses, brackets and quotes.
fn split_top_level(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut bracket, mut paren, mut quoted, mut escaped) = (0, 0, false, false);
    for c in text.chars() {
        if std::mem::take(&mut escaped) {
        } else if c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        } else if !quoted {
            match c {
                '[' => bracket += 1,
                ']' if bracket > 0 => bracket -= 1,
                '(' if bracket == 0 => paren += 1,
                ')' if bracket == 0 && paren > 0 => paren -= 1,
                '|' if bracket == 0 && paren == 0 => {
                    parts.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        parts.last_mut().expect("starts with one part").push(c);
    }
    parts
}

/// A branch without magic, unescaped; `@(x)` around it is taken off.
fn plain(branch: &str) -> Option<String> {
    let mut value = branch.trim();
    while let Some(inner) = value.strip_prefix("@(").and_then(|rest| rest.strip_suffix(')')) {
        let magic = |c| matches!(c, '\\' | '(' | ')' | '[' | ']' | '{' | '}' | '|');
        if inner.is_empty() || inner.contains(magic) {
            break;
        }
        value = inner;
    }
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().unwrap_or('\\')),
            '?' | '*' | '+' | '@' | '!' | '(' | ')' | '[' | ']' | '{' | '}' => return None,
            _ => out.push(c),
        }
    }
    Some(out).filter(|text| !text.is_empty())
}

/// Two branches that repeat the same character, one the beginning of the other.
fn has_prefix_overlap(branches: &[String]) -> bool {
    let values: Vec<String> = branches.iter().filter_map(|branch| plain(branch)).collect();
    let repeats = |text: &str, c: char| text.chars().all(|own| own == c);
    values.iter().enumerate().any(|(i, a)| {
        let first = a.chars().next().expect("plain branches are not empty");
        repeats(a, first) && values[i + 1..].iter().any(|b| repeats(b, first))
    })
}

/// The characters of a branch like `*(a)*(b)`.
fn star_sequence(branch: &str) -> Option<Vec<String>> {
    let chars: Vec<char> = branch.chars().collect();
    let (mut at, mut found) = (0, Vec::new());
    while at < chars.len() {
        let rest: String = chars[at..].iter().collect();
        let (sign, body, end) = repeated(&rest, false)?;
        let branches = split_top_level(&body);
        let [only] = branches.as_slice() else { return None };
        let literal = plain(only).filter(|text| text.chars().count() == 1)?;
        if sign != '*' {
            return None;
        }
        found.push(literal);
        at += end + 1;
    }
    Some(found).filter(|found| !found.is_empty())
}

/// Takes `+(…)` or `*(…)` at the start (and, if wanted, up to the end) apart.
fn repeated(text: &str, to_the_end: bool) -> Option<(char, String, usize)> {
    let chars: Vec<char> = text.chars().collect();
    if !matches!(chars.first(), Some('+' | '*')) || chars.get(1) != Some(&'(') {
        return None;
    }
    let (mut bracket, mut paren, mut quoted, mut escaped) = (0, 0, false, false);
    for (i, c) in chars.iter().enumerate().skip(1) {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '[' => bracket += 1,
            ']' if bracket > 0 => bracket -= 1,
            _ if bracket > 0 => {}
            '(' => paren += 1,
            ')' => {
                paren -= 1;
                if paren == 0 {
                    if to_the_end && i != chars.len() - 1 {
                        return None;
                    }
                    return Some((chars[0], chars[2..i].iter().collect(), i));
                }
            }
            _ => {}
        }
    }
    None
}
