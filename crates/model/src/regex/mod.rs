//! ECMAScript regular expressions with bounded work.
//!
//! Patterns come from repositories and texts from strangers (branch names, comments, payloads), and
//! backtracking engines can be made to run for ages. Here `regress` decides what is valid and what a
//! single character class matches; the structure is parsed by `syntax`, compiled by `program` and run
//! by `run`, which remembers failed states, so that time is linear in the text for everything but
//! backreferences, and counts its steps, so that it always ends.

mod atom;
mod program;
mod run;
mod syntax;

use program::Program;

/// Longest pattern, in characters.
pub const MAX_PATTERN: usize = 16_384;
/// Steps that one search may take.
const MAX_STEPS: u64 = 1_000_000;

/// Why an expression cannot be used, or gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// No ECMAScript expression.
    #[error("invalid regular expression /{source_text}/{flags}: {reason}")]
    Invalid {
        /// The pattern.
        source_text: String,
        /// Its flags.
        flags: String,
        /// What is wrong.
        reason: String,
    },
    /// Larger than any author needs.
    #[error("regular expression is too large: {what}")]
    TooLarge {
        /// What is too large.
        what: String,
    },
    /// Valid, but the search took more steps than allowed.
    #[error("regular expression /{source_text}/ took too many steps on this text")]
    TooExpensive {
        /// The pattern.
        source_text: String,
    },
}

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct EsRegex {
    source: String,
    program: Program,
}

impl EsRegex {
    /// Compiles `/source/flags`.
    pub fn new(source: &str, flags: &str) -> Result<Self, RegexError> {
        let flags = Flags::parse(source, flags)?;
        let tree = syntax::parse(source, &flags)?;
        let program = program::compile(&tree, &flags)?;
        Ok(Self { source: source.to_owned(), program })
    }

    /// Whether a match is found anywhere in the text (`RegExp.prototype.test` with fresh state).
    pub fn is_match(&self, text: &str) -> Result<bool, RegexError> {
        run::search(&self.program, text, MAX_STEPS)
            .ok_or_else(|| RegexError::TooExpensive { source_text: self.source.clone() })
    }
}

/// Whether label matchers must refuse the expression: star height above one, or more than 25
/// repetition operators. Cruder than the bound above, but other implementations check the same.
pub fn is_redos_prone(source: &str, flags: &str) -> Result<bool, RegexError> {
    let flags = Flags::parse(source, flags)?;
    let tree = syntax::parse(source, &flags)?;
    let (height, count) = tree.root.repetition();
    Ok(height > 1 || count > 25)
}

/// The flags that matter to a search.
#[derive(Debug, Clone, Default)]
struct Flags {
    text: String,
    ignore_case: bool,
    multiline: bool,
    dot_all: bool,
    sticky: bool,
    unicode: bool,
    unicode_sets: bool,
}

impl Flags {
    fn parse(source: &str, text: &str) -> Result<Self, RegexError> {
        let mut flags = Self { text: text.to_owned(), ..Self::default() };
        let invalid = |reason: String| RegexError::Invalid {
            source_text: source.to_owned(),
            flags: text.to_owned(),
            reason,
        };
        for (at, flag) in text.char_indices() {
            if text[..at].contains(flag) {
                return Err(invalid(format!("flag `{flag}` is given twice")));
            }
            match flag {
                'i' => flags.ignore_case = true,
                'm' => flags.multiline = true,
                's' => flags.dot_all = true,
                'y' => flags.sticky = true,
                'u' => flags.unicode = true,
                'v' => flags.unicode_sets = true,
                'g' | 'd' => {}
                other => return Err(invalid(format!("unknown flag `{other}`"))),
            }
        }
        if flags.unicode && flags.unicode_sets {
            return Err(invalid("flags `u` and `v` exclude each other".to_owned()));
        }
        Ok(flags)
    }

    /// Whether the text is a sequence of code points; else of UTF-16 code units.
    fn code_points(&self) -> bool {
        self.unicode || self.unicode_sets
    }

    /// Flags under which `regress` judges a pattern or a class.
    fn for_regress(&self) -> regress::Flags {
        regress::Flags {
            icase: self.ignore_case,
            multiline: self.multiline,
            dot_all: self.dot_all,
            no_opt: false,
            unicode: self.unicode,
            unicode_sets: self.unicode_sets,
        }
    }
}

/// Stand-in for a lone UTF-16 surrogate: behaves like any other unusual character.
fn surrogate(unit: u16) -> char {
    char::from_u32(0xF_0000 + u32::from(unit - 0xD800)).expect("a private-use character")
}

/// Splits a text into what the expression sees as its characters.
fn units(text: &str, code_points: bool) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        push_units(c, code_points, &mut out);
    }
    out
}

fn push_units(c: char, code_points: bool, out: &mut Vec<char>) {
    if code_points || u32::from(c) <= 0xFFFF {
        out.push(c);
    } else {
        let mut pair = [0; 2];
        out.extend(c.encode_utf16(&mut pair).iter().map(|unit| surrogate(*unit)));
    }
}

#[cfg(test)]
mod tests;
