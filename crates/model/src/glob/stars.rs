//! `*` and `**`: the longest part of the dialect.

use super::extglob;
use super::text::{GLOBSTAR, NO_DOT, NO_DOT_SLASH, ONE_CHAR, SLASH_LITERAL, STAR, drop_last};
use super::tokens::{Kind, State, Token};

/// Handles a `*`.
pub(super) fn star(state: &mut State) {
    if state.prev().kind == Kind::Globstar || state.prev().star {
        let prev = state.prev_mut();
        prev.kind = Kind::Star;
        prev.star = true;
        prev.value.push('*');
        prev.output = Some(STAR.to_owned());
        state.backtrack = true;
        return;
    }
    if matches!(state.remaining(), ['(', next, ..] if *next != '?') {
        extglob::open(state, Kind::Star, '*');
        return;
    }
    if state.prev().kind == Kind::Star {
        second_star(state);
        return;
    }
    let prev = state.prev().kind;
    if state.index == state.start || matches!(prev, Kind::Slash | Kind::Dot) {
        let guard = if prev == Kind::Dot { NO_DOT_SLASH } else { NO_DOT };
        add(state, guard);
        if state.peek(1) != Some('*') {
            add(state, ONE_CHAR);
        }
    }
    state.push(Token::new(Kind::Star, "*").output(STAR));
}

fn add(state: &mut State, text: &str) {
    state.output.push_str(text);
    state.prev_mut().extend(text);
}

/// A star after a star: a globstar if it stands alone between slashes, else one star.
fn second_star(state: &mut State) {
    let prior = state.prev().prev.expect("a star has a token before it");
    let before = state.arena[prior].prev;
    let prior_kind = state.arena[prior].kind;
    let is_start = matches!(prior_kind, Kind::Slash | Kind::Start);
    let after_star =
        before.is_some_and(|b| matches!(state.arena[b].kind, Kind::Star | Kind::Globstar));
    let in_brace = state.braces > 0 && matches!(prior_kind, Kind::Comma | Kind::Brace);
    if !is_start && prior_kind != Kind::Paren && !in_brace {
        state.push(Token::new(Kind::Star, "*").output(""));
        return;
    }
    while matches!(state.remaining(), ['/', '*', '*'] | ['/', '*', '*', '/', ..]) {
        state.index += 3;
    }
    let rest = state.remaining();
    let slash_next = rest.first() == Some(&'/');
    let more_after_slash = rest.len() > 1;
    let only_closing = state.parens > 0
        && rest.len() == state.parens.unsigned_abs() as usize
        && rest.iter().all(|c| *c == ')')
        && !state.extglobs.iter().any(extglob::Extglob::is_negate);
    let at_end = state.at_end();
    let inner_slash =
        prior_kind == Kind::Slash && before.is_some_and(|b| state.arena[b].kind != Kind::Start);

    if prior_kind == Kind::Start && at_end {
        become_globstar(state, GLOBSTAR.to_owned());
        state.output = GLOBSTAR.to_owned();
    } else if inner_slash && !after_star && (at_end || only_closing) {
        join_slash(state, prior, format!("{GLOBSTAR}|$)"));
    } else if inner_slash && slash_next {
        let end = if more_after_slash { "|$" } else { "" };
        join_slash(state, prior, format!("{GLOBSTAR}{SLASH_LITERAL}|{SLASH_LITERAL}{end})"));
        take_slash(state);
    } else if prior_kind == Kind::Start && slash_next {
        let output = format!("(?:^|{SLASH_LITERAL}|{GLOBSTAR}{SLASH_LITERAL})");
        become_globstar(state, output.clone());
        state.output = output;
        take_slash(state);
    } else {
        let count = state.prev().text().chars().count();
        drop_last(&mut state.output, count);
        become_globstar(state, GLOBSTAR.to_owned());
        state.output.push_str(GLOBSTAR);
    }
}

fn become_globstar(state: &mut State, output: String) {
    let prev = state.prev_mut();
    prev.kind = Kind::Globstar;
    prev.value.push('*');
    prev.output = Some(output);
}

/// Makes the slash before the globstar optional together with it.
fn join_slash(state: &mut State, prior: usize, output: String) {
    let slash = state.arena[prior].text().to_owned();
    let count = slash.chars().count() + state.prev().text().chars().count();
    drop_last(&mut state.output, count);
    let slash = format!("(?:{slash}");
    state.output.push_str(&slash);
    state.output.push_str(&output);
    state.arena[prior].output = Some(slash);
    become_globstar(state, output);
}

/// The slash after the globstar is already part of it.
fn take_slash(state: &mut State) {
    state.advance();
    state.push(Token::new(Kind::Slash, "/").output(""));
}
