//! One-character matchers: what a literal, an escape, a dot or a class accepts.
//!
//! Classes are judged by `regress`, one character at a time, which cannot explode.

use super::{Flags, RegexError};

/// Accepts or refuses one character.
#[derive(Debug, Clone)]
pub(super) enum Atom {
    /// This character.
    Literal(char),
    /// An ASCII letter in either case.
    Letter(u8),
    /// Anything.
    Any,
    /// Anything but a line terminator.
    AnyInLine,
    /// Whatever this expression accepts.
    Class(Box<Class>),
}

/// A class: a bit per ASCII character, and the expression for the rest.
#[derive(Debug, Clone)]
pub(super) struct Class {
    ascii: u128,
    regex: regress::Regex,
}

impl Atom {
    /// The atom for a literal character.
    pub(super) fn literal(c: char, flags: &Flags) -> Result<Self, RegexError> {
        if !flags.ignore_case {
            return Ok(Self::Literal(c));
        }
        if c.is_ascii_alphabetic() && !flags.code_points() {
            return Ok(Self::Letter(c.to_ascii_lowercase() as u8));
        }
        if c.is_ascii() && !c.is_ascii_alphabetic() {
            return Ok(Self::Literal(c));
        }
        let escaped = format!("\\u{{{:x}}}", u32::from(c));
        let text = if flags.code_points() { escaped } else { c.to_string() };
        Self::class(&text, flags)
    }

    /// The atom for source text that matches exactly one character.
    pub(super) fn class(text: &str, flags: &Flags) -> Result<Self, RegexError> {
        let anchored = format!("^(?:{text})$");
        let options = regress::Flags { multiline: false, ..flags.for_regress() };
        let regex = regress::Regex::with_flags(&anchored, options).map_err(|error| {
            RegexError::Invalid {
                source_text: text.to_owned(),
                flags: flags.text.clone(),
                reason: error.to_string(),
            }
        })?;
        let mut ascii = 0;
        for byte in 0..128_u8 {
            if regex.find(char::from(byte).encode_utf8(&mut [0; 4])).is_some() {
                ascii |= 1_u128 << byte;
            }
        }
        Ok(Self::Class(Box::new(Class { ascii, regex })))
    }

    /// Whether the character is accepted.
    pub(super) fn accepts(&self, c: char) -> bool {
        match self {
            Self::Literal(own) => *own == c,
            Self::Letter(own) => c.is_ascii() && (c as u8).to_ascii_lowercase() == *own,
            Self::Any => true,
            Self::AnyInLine => !is_line_end(c),
            Self::Class(class) if c.is_ascii() => class.ascii >> (c as u32) & 1 == 1,
            Self::Class(class) => class.regex.find(c.encode_utf8(&mut [0; 4])).is_some(),
        }
    }
}

/// ECMAScript's line terminators.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}
