//! The structure of an expression: alternatives, groups, repetitions, assertions.
//!
//! `regress` has accepted the pattern before this parser sees it, so that only valid input has to be
//! understood. Whatever matches one character stays source text and becomes an [`Atom`].

use super::atom::Atom;
use super::{Flags, MAX_PATTERN, RegexError, push_units, surrogate};

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 64;

/// A parsed expression.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Node,
    pub(super) groups: u32,
    pub(super) has_backrefs: bool,
}

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Empty,
    Atom(Atom),
    Cat(Vec<Node>),
    Alt(Vec<Node>),
    Capture(u32, Box<Node>),
    Repeat { body: Box<Node>, min: u32, max: Option<u32>, greedy: bool },
    Look { body: Box<Node>, behind: bool, negate: bool },
    Start,
    End,
    Word { negate: bool },
    BackRef(u32),
}

impl Node {
    /// Star height and number of repetition operators.
    pub(super) fn repetition(&self) -> (u32, u32) {
        match self {
            Self::Repeat { body, .. } => {
                let (height, count) = body.repetition();
                (height + 1, count + 1)
            }
            Self::Capture(_, body) | Self::Look { body, .. } => body.repetition(),
            Self::Cat(parts) | Self::Alt(parts) => parts
                .iter()
                .map(Self::repetition)
                .fold((0, 0), |(height, count), (h, c)| (height.max(h), count + c)),
            Self::Empty
            | Self::Atom(_)
            | Self::Start
            | Self::End
            | Self::Word { .. }
            | Self::BackRef(_) => (0, 0),
        }
    }
}

/// Parses a pattern.
pub(super) fn parse(source: &str, flags: &Flags) -> Result<Tree, RegexError> {
    let chars: Vec<char> = source.chars().collect();
    if chars.len() > MAX_PATTERN {
        return Err(RegexError::TooLarge {
            what: format!("{} characters (max {MAX_PATTERN})", chars.len()),
        });
    }
    let names = group_names(&chars, flags.unicode_sets)?;
    regress::Regex::with_flags(source, flags.for_regress()).map_err(|error| {
        RegexError::Invalid {
            source_text: source.to_owned(),
            flags: flags.text.clone(),
            reason: error.to_string(),
        }
    })?;
    let mut parser =
        Parser { chars: &chars, at: 0, flags, names: &names, opened: 0, has_backrefs: false };
    let root = parser.alternatives()?;
    Ok(Tree { root, groups: names.len() as u32, has_backrefs: parser.has_backrefs })
}

/// Names of the capturing groups in order (index 0 = whole match); refuses deep nesting, before any
/// recursive parser sees the pattern.
fn group_names(chars: &[char], classes_nest: bool) -> Result<Vec<Option<String>>, RegexError> {
    let mut names = vec![None];
    let (mut depth, mut class, mut at) = (0_usize, 0_usize, 0);
    while let Some(c) = chars.get(at) {
        match c {
            '\\' => at += 1,
            '[' if class == 0 || classes_nest => class += 1,
            ']' => class = class.saturating_sub(1),
            '(' if class == 0 => {
                depth += 1;
                let next = |offset: usize| chars.get(at + offset).copied();
                let named = next(1) == Some('?')
                    && next(2) == Some('<')
                    && !matches!(next(3), Some('=' | '!'));
                if named {
                    let name = chars[at + 3..].iter().take_while(|c| **c != '>').collect();
                    names.push(Some(name));
                } else if next(1) != Some('?') {
                    names.push(None);
                }
            }
            ')' if class == 0 => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH || class > MAX_DEPTH {
            return Err(RegexError::TooLarge { what: format!("nested deeper than {MAX_DEPTH}") });
        }
        at += 1;
    }
    Ok(names)
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    flags: &'a Flags,
    names: &'a [Option<String>],
    opened: u32,
    has_backrefs: bool,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn ahead(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.ahead(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    fn alternatives(&mut self) -> Result<Node, RegexError> {
        let mut branches = vec![self.sequence()?];
        while self.eat("|") {
            branches.push(self.sequence()?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alt(branches) })
    }

    fn sequence(&mut self) -> Result<Node, RegexError> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            if c == '|' || c == ')' {
                break;
            }
            self.term(&mut parts)?;
            if let Some((min, max)) = self.quantifier() {
                let greedy = !self.eat("?");
                let body = Box::new(parts.pop().unwrap_or(Node::Empty));
                parts.push(Node::Repeat { body, min, max, greedy });
            }
        }
        Ok(match parts.len() {
            0 => Node::Empty,
            1 => parts.remove(0),
            _ => Node::Cat(parts),
        })
    }

    /// Reads one term; a character outside the BMP may add two.
    fn term(&mut self, parts: &mut Vec<Node>) -> Result<(), RegexError> {
        let c = self.peek().expect("the caller saw a character");
        let node = match c {
            '^' => self.single(Node::Start),
            '$' => self.single(Node::End),
            '(' => self.group()?,
            '[' => {
                let text = self.class_text();
                Node::Atom(Atom::class(&text, self.flags)?)
            }
            '.' if self.flags.dot_all => self.single(Node::Atom(Atom::Any)),
            '.' => self.single(Node::Atom(Atom::AnyInLine)),
            '\\' => return self.escape(parts),
            _ => {
                self.at += 1;
                return self.literal(c, parts);
            }
        };
        parts.push(node);
        Ok(())
    }

    fn single(&mut self, node: Node) -> Node {
        self.at += 1;
        node
    }

    fn literal(&self, c: char, parts: &mut Vec<Node>) -> Result<(), RegexError> {
        let mut units = Vec::new();
        push_units(c, self.flags.code_points(), &mut units);
        for unit in units {
            parts.push(Node::Atom(Atom::literal(unit, self.flags)?));
        }
        Ok(())
    }

    fn group(&mut self) -> Result<Node, RegexError> {
        let look = |behind, negate| Some((behind, negate));
        let assertion = match () {
            () if self.eat("(?=") => look(false, false),
            () if self.eat("(?!") => look(false, true),
            () if self.eat("(?<=") => look(true, false),
            () if self.eat("(?<!") => look(true, true),
            () => None,
        };
        if let Some((behind, negate)) = assertion {
            let body = Box::new(self.close()?);
            return Ok(Node::Look { body, behind, negate });
        }
        if self.eat("(?:") {
            return self.close();
        }
        if self.eat("(?<") {
            while self.peek().is_some_and(|c| c != '>') {
                self.at += 1;
            }
            self.at += 1;
        } else if self.ahead("(?") {
            return Err(RegexError::TooLarge {
                what: "modifiers inside a pattern are not supported".to_owned(),
            });
        } else {
            self.at += 1;
        }
        self.opened += 1;
        let index = self.opened;
        Ok(Node::Capture(index, Box::new(self.close()?)))
    }

    fn close(&mut self) -> Result<Node, RegexError> {
        let body = self.alternatives()?;
        self.eat(")");
        Ok(body)
    }

    fn quantifier(&mut self) -> Option<(u32, Option<u32>)> {
        match self.peek()? {
            '*' => self.at += 1,
            '+' => {
                self.at += 1;
                return Some((1, None));
            }
            '?' => {
                self.at += 1;
                return Some((0, Some(1)));
            }
            '{' => return self.braces(),
            _ => return None,
        }
        Some((0, None))
    }

    /// `{n}`, `{n,}`, `{n,m}`; anything else is a literal brace.
    fn braces(&mut self) -> Option<(u32, Option<u32>)> {
        let close = self.chars[self.at..].iter().position(|c| *c == '}')? + self.at;
        let text: String = self.chars[self.at + 1..close].iter().collect();
        let number = |digits: &str| -> Option<u32> {
            let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            valid.then(|| digits.parse().unwrap_or(u32::MAX))
        };
        let bounds = match text.split_once(',') {
            None => number(&text).map(|n| (n, Some(n))),
            Some((min, "")) => number(min).map(|n| (n, None)),
            Some((min, max)) => number(min).zip(number(max)).map(|(n, m)| (n, Some(m))),
        }?;
        self.at = close + 1;
        Some(bounds)
    }

    /// The source text of a class, brackets included, with characters outside the BMP replaced by
    /// their surrogates' stand-ins where the expression sees code units.
    fn class_text(&mut self) -> String {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                '\\' => self.at += 1,
                '[' if depth == 0 || self.flags.unicode_sets => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        let end = self.at.min(self.chars.len());
        let mut units = Vec::new();
        for c in &self.chars[start..end] {
            push_units(*c, self.flags.code_points(), &mut units);
        }
        units.into_iter().collect()
    }

    fn escape(&mut self, parts: &mut Vec<Node>) -> Result<(), RegexError> {
        let start = self.at;
        self.at += 1;
        let c = self.peek().unwrap_or('\\');
        match c {
            'b' | 'B' => {
                self.at += 1;
                parts.push(Node::Word { negate: c == 'B' });
                return Ok(());
            }
            '1'..='9' => {
                if let Some(node) = self.backref() {
                    parts.push(node);
                    return Ok(());
                }
                self.octal();
            }
            '0' => self.octal(),
            'k' if self.names.iter().any(Option::is_some) => {
                self.eat("k<");
                let rest = &self.chars[self.at..];
                let name: String = rest.iter().take_while(|c| **c != '>').collect();
                self.at += name.chars().count() + 1;
                let index = self.names.iter().position(|n| n.as_deref() == Some(&name));
                self.has_backrefs = true;
                parts.push(index.map_or(Node::Empty, |index| Node::BackRef(index as u32)));
                return Ok(());
            }
            'x' => self.hex(2),
            'u' => {
                if let Some(node) = self.unicode_escape()? {
                    parts.push(node);
                    return Ok(());
                }
            }
            'p' | 'P' if self.flags.code_points() => {
                while self.peek().is_some_and(|c| c != '}') {
                    self.at += 1;
                }
                self.at += 1;
            }
            'c' if self.chars.get(self.at + 1).is_some_and(char::is_ascii_alphabetic) => {
                self.at += 2;
            }
            // `\c` without a letter is a backslash; the `c` follows as itself.
            'c' => return self.literal('\\', parts),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' | 't' | 'n' | 'v' | 'f' | 'r' => self.at += 1,
            _ => {
                self.at += 1;
                return self.literal(c, parts);
            }
        }
        let text: String = self.chars[start..self.at].iter().collect();
        parts.push(Node::Atom(Atom::class(&text, self.flags)?));
        Ok(())
    }

    /// A decimal escape that names an existing group.
    fn backref(&mut self) -> Option<Node> {
        let digits: String =
            self.chars[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
        let index = digits.parse::<u32>().ok().filter(|n| (*n as usize) < self.names.len())?;
        self.at += digits.len();
        self.has_backrefs = true;
        Some(Node::BackRef(index))
    }

    /// A legacy octal escape, or the identity escape of `8` and `9`.
    fn octal(&mut self) {
        let mut value = 0;
        let start = self.at;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) {
            if self.at - start == 3 || value * 8 + digit > 0o377 {
                break;
            }
            value = value * 8 + digit;
            self.at += 1;
        }
        if self.at == start {
            self.at += 1;
        }
    }

    /// Skips a letter and exactly `count` hexadecimal digits; only the letter if they are missing.
    fn hex(&mut self, count: usize) {
        self.at += 1;
        if self.hex_value(self.at, count).is_some() {
            self.at += count;
        }
    }

    fn hex_value(&self, at: usize, count: usize) -> Option<u32> {
        let digits: String = self.chars.get(at..at + count)?.iter().collect();
        let valid = digits.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| u32::from_str_radix(&digits, 16).ok()).flatten()
    }

    /// `\uXXXX` and `\u{…}`; surrogates become a pair's character or a stand-in.
    fn unicode_escape(&mut self) -> Result<Option<Node>, RegexError> {
        if self.flags.code_points() && self.ahead("u{") {
            while self.peek().is_some_and(|c| c != '}') {
                self.at += 1;
            }
            self.at += 1;
            return Ok(None);
        }
        let Some(unit) = self.hex_value(self.at + 1, 4) else {
            self.at += 1;
            return Ok(None);
        };
        self.at += 5;
        if !(0xD800..0xE000).contains(&unit) {
            return Ok(None);
        }
        let low = self.ahead("\\u").then(|| self.hex_value(self.at + 2, 4)).flatten();
        let pair = low.filter(|low| unit < 0xDC00 && (0xDC00..0xE000).contains(low));
        let c = match pair {
            Some(low) if self.flags.code_points() => {
                self.at += 6;
                char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
            }
            _ => Some(surrogate(unit as u16)),
        };
        let c = c.expect("two halves of a pair make a character");
        Atom::literal(c, self.flags).map(|atom| Some(Node::Atom(atom)))
    }
}
