//! The parser's state: tokens, the expression so far, and the moves on both.

use super::text::{STAR, drop_last};

/// Kinds of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Start,
    Text,
    Star,
    Globstar,
    Slash,
    Dot,
    Dots,
    Qmark,
    Plus,
    At,
    Negate,
    Paren,
    Bracket,
    Brace,
    Comma,
    MaybeSlash,
}

/// A piece of the pattern and what it means as an expression (absent = its own text).
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) value: String,
    pub(super) output: Option<String>,
    pub(super) extglob: bool,
    /// A class that uses POSIX names.
    pub(super) posix: bool,
    /// A star that took further stars in.
    pub(super) star: bool,
    /// A brace with alternatives.
    pub(super) comma: bool,
    /// A brace with a range.
    pub(super) dots: bool,
    /// The token before it, when it was added.
    pub(super) prev: Option<usize>,
}

impl Token {
    pub(super) fn new(kind: Kind, value: impl Into<String>) -> Self {
        Self {
            kind,
            value: value.into(),
            output: None,
            extglob: false,
            posix: false,
            star: false,
            comma: false,
            dots: false,
            prev: None,
        }
    }

    pub(super) fn output(mut self, output: impl Into<String>) -> Self {
        self.output = Some(output.into());
        self
    }

    pub(super) fn text(&self) -> &str {
        self.output.as_deref().unwrap_or(&self.value)
    }

    /// Adds to what the token means.
    pub(super) fn extend(&mut self, text: &str) {
        self.output.get_or_insert_default().push_str(text);
    }
}

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Bracket,
    Brace,
    Paren,
}

/// An open brace: its token and where it started.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenBrace {
    pub(super) token: usize,
    /// Length of the expression before it, in characters.
    pub(super) output_len: usize,
    /// Number of tokens before it.
    pub(super) tokens_len: usize,
}

/// The parser's state.
pub(super) struct State {
    pub(super) input: Vec<char>,
    /// Position of the current character; starts before the first.
    pub(super) index: isize,
    pub(super) start: isize,
    pub(super) output: String,
    pub(super) backtrack: bool,
    pub(super) negated: bool,
    pub(super) brackets: i32,
    pub(super) braces: i32,
    pub(super) parens: i32,
    pub(super) quoted: bool,
    /// Every token ever made.
    pub(super) arena: Vec<Token>,
    /// The tokens of the pattern, in order.
    pub(super) tokens: Vec<usize>,
    pub(super) prev: usize,
    pub(super) open_braces: Vec<OpenBrace>,
    pub(super) extglobs: Vec<super::extglob::Extglob>,
    stack: Vec<Open>,
}

impl State {
    pub(super) fn new(pattern: &str) -> Self {
        Self {
            input: pattern.chars().collect(),
            index: -1,
            start: 0,
            output: String::new(),
            backtrack: false,
            negated: false,
            brackets: 0,
            braces: 0,
            parens: 0,
            quoted: false,
            arena: vec![Token::new(Kind::Start, "").output("")],
            tokens: vec![0],
            prev: 0,
            open_braces: Vec::new(),
            extglobs: Vec::new(),
            stack: Vec::new(),
        }
    }

    pub(super) fn prev(&self) -> &Token {
        &self.arena[self.prev]
    }

    pub(super) fn prev_mut(&mut self) -> &mut Token {
        &mut self.arena[self.prev]
    }

    pub(super) fn at_end(&self) -> bool {
        self.index == self.input.len() as isize - 1
    }

    pub(super) fn peek(&self, ahead: isize) -> Option<char> {
        self.input.get(usize::try_from(self.index + ahead).ok()?).copied()
    }

    pub(super) fn advance(&mut self) -> Option<char> {
        self.index += 1;
        self.peek(0)
    }

    pub(super) fn remaining(&self) -> &[char] {
        let from = usize::try_from(self.index + 1).unwrap_or(0);
        self.input.get(from..).unwrap_or_default()
    }

    pub(super) fn enter(&mut self, what: Open) {
        *self.counter(what) += 1;
        self.stack.push(what);
    }

    pub(super) fn leave(&mut self, what: Open) {
        *self.counter(what) -= 1;
        self.stack.pop();
    }

    pub(super) fn innermost(&self) -> Option<Open> {
        self.stack.last().copied()
    }

    fn counter(&mut self, what: Open) -> &mut i32 {
        match what {
            Open::Bracket => &mut self.brackets,
            Open::Brace => &mut self.braces,
            Open::Paren => &mut self.parens,
        }
    }

    /// Adds a token. A globstar that turns out to be glued to something becomes a star.
    pub(super) fn push(&mut self, mut token: Token) {
        if self.prev().kind == Kind::Globstar {
            let in_brace = self.braces > 0 && matches!(token.kind, Kind::Comma | Kind::Brace);
            let in_extglob =
                token.extglob || (!self.extglobs.is_empty() && token.kind == Kind::Paren);
            if !matches!(token.kind, Kind::Slash | Kind::Paren) && !in_brace && !in_extglob {
                let count = self.prev().text().chars().count();
                drop_last(&mut self.output, count);
                let prev = self.prev_mut();
                prev.kind = Kind::Star;
                prev.value = "*".to_owned();
                prev.output = Some(STAR.to_owned());
                self.output.push_str(STAR);
            }
        }
        if token.kind != Kind::Paren
            && let Some(extglob) = self.extglobs.last_mut()
        {
            extglob.inner.push_str(&token.value);
        }
        if !token.value.is_empty() || token.output.as_ref().is_some_and(|text| !text.is_empty()) {
            self.output.push_str(token.text());
        }
        if self.prev().kind == Kind::Text && token.kind == Kind::Text {
            let prev = self.prev_mut();
            let known = prev.output.take().filter(|text| !text.is_empty());
            let text = known.unwrap_or_else(|| prev.value.clone());
            prev.output = Some(text + &token.value);
            prev.value.push_str(&token.value);
            return;
        }
        token.prev = Some(self.prev);
        self.arena.push(token);
        self.prev = self.arena.len() - 1;
        self.tokens.push(self.prev);
    }

    /// Adds text to the current token and to the expression.
    pub(super) fn extend_prev_value(&mut self, text: &str) {
        self.prev_mut().value.push_str(text);
        self.output.push_str(text);
    }
}
