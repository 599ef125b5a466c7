//! Runs a compiled expression over a text, within a number of steps.

use std::collections::HashSet;

use super::atom::{Atom, is_line_end};
use super::program::{Inst, Program};
use super::units;

/// Whether a match is found; `None` if that takes more than `budget` steps.
pub(super) fn search(program: &Program, text: &str, budget: u64) -> Option<bool> {
    let text = units(text, program.code_points);
    let mut machine = Machine {
        program,
        text: &text,
        steps: budget,
        saves: vec![None; program.groups as usize * 2],
        marks: vec![0; program.marks as usize],
    };
    let mut failed = HashSet::new();
    let last = if program.sticky { 0 } else { text.len() };
    for start in 0..=last {
        machine.saves.fill(None);
        if machine.run(0, start, &mut failed)? {
            return Some(true);
        }
    }
    Some(false)
}

struct Machine<'a> {
    program: &'a Program,
    text: &'a [char],
    steps: u64,
    saves: Vec<Option<usize>>,
    marks: Vec<usize>,
}

/// What an instruction led to.
enum Step {
    Go(u32, usize),
    Fail,
    Matched,
}

/// What to do when a path fails.
enum Undo {
    Branch { pc: u32, at: usize },
    Save { slot: u32, old: Option<usize> },
    Mark { slot: u32, old: usize },
}

impl Machine<'_> {
    /// Runs from an instruction at a position; `None` when out of steps.
    fn run(
        &mut self,
        mut pc: u32,
        mut at: usize,
        failed: &mut HashSet<(u32, usize)>,
    ) -> Option<bool> {
        let mut undo = Vec::new();
        loop {
            self.steps = self.steps.checked_sub(1)?;
            (pc, at) = match self.step(pc, at, &mut undo, failed)? {
                Step::Matched => return Some(true),
                Step::Go(pc, at) => (pc, at),
                Step::Fail => match self.back_up(&mut undo) {
                    Some(branch) => branch,
                    None => return Some(false),
                },
            };
        }
    }

    /// Undoes what a failed path did, up to the last choice.
    fn back_up(&mut self, undo: &mut Vec<Undo>) -> Option<(u32, usize)> {
        loop {
            match undo.pop()? {
                Undo::Branch { pc, at } => return Some((pc, at)),
                Undo::Save { slot, old } => self.saves[slot as usize] = old,
                Undo::Mark { slot, old } => self.marks[slot as usize] = old,
            }
        }
    }

    /// One instruction; `None` when out of steps.
    fn step(
        &mut self,
        pc: u32,
        at: usize,
        undo: &mut Vec<Undo>,
        failed: &mut HashSet<(u32, usize)>,
    ) -> Option<Step> {
        let program = self.program;
        let holds = |ok: bool| if ok { Step::Go(pc + 1, at) } else { Step::Fail };
        let moved = |to: Option<usize>| to.map_or(Step::Fail, |at| Step::Go(pc + 1, at));
        Some(match &program.code[pc as usize] {
            Inst::Match => Step::Matched,
            Inst::Jump(target) => Step::Go(*target, at),
            Inst::Atom { atom, back } => {
                moved(self.consume(&program.atoms[*atom as usize], at, *back))
            }
            Inst::Split(..) if program.memoise && !failed.insert((pc, at)) => Step::Fail,
            Inst::Split(first, second) => {
                undo.push(Undo::Branch { pc: *second, at });
                Step::Go(*first, at)
            }
            Inst::Start => holds(at == 0 || program.multiline && is_line_end(self.text[at - 1])),
            Inst::End => {
                holds(at == self.text.len() || program.multiline && is_line_end(self.text[at]))
            }
            Inst::Word { negate } => {
                let before = at > 0 && self.is_word(self.text[at - 1]);
                let after = at < self.text.len() && self.is_word(self.text[at]);
                holds((before != after) != *negate)
            }
            Inst::Look { negate, next } => {
                let kept = self.saves.clone();
                let found = self.run(pc + 1, at, &mut HashSet::new())?;
                let inner = std::mem::replace(&mut self.saves, kept);
                if found && !negate {
                    for (slot, value) in inner.into_iter().enumerate() {
                        self.save(slot as u32, value, undo);
                    }
                }
                if found == *negate { Step::Fail } else { Step::Go(*next, at) }
            }
            Inst::Save(slot) => {
                self.save(*slot, Some(at), undo);
                holds(true)
            }
            Inst::Forget { from, to } => {
                for slot in from * 2..to * 2 + 2 {
                    self.save(slot, None, undo);
                }
                holds(true)
            }
            Inst::BackRef { group, back } => moved(self.backref(*group, at, *back)),
            Inst::Mark(slot) => {
                let old = std::mem::replace(&mut self.marks[*slot as usize], at);
                undo.push(Undo::Mark { slot: *slot, old });
                holds(true)
            }
            Inst::Progress(slot) => holds(self.marks[*slot as usize] != at),
        })
    }

    fn save(&mut self, slot: u32, value: Option<usize>, undo: &mut Vec<Undo>) {
        let old = std::mem::replace(&mut self.saves[slot as usize], value);
        if old != value {
            undo.push(Undo::Save { slot, old });
        }
    }

    fn consume(&self, atom: &Atom, at: usize, back: bool) -> Option<usize> {
        let (index, next) = if back { (at.checked_sub(1)?, at - 1) } else { (at, at + 1) };
        atom.accepts(*self.text.get(index)?).then_some(next)
    }

    /// What the group captured must follow (or precede); a group that captured nothing matches.
    fn backref(&mut self, group: u32, at: usize, back: bool) -> Option<usize> {
        let slot = group as usize * 2;
        let (Some(from), Some(to)) = (self.saves[slot], self.saves[slot + 1]) else {
            return Some(at);
        };
        let length = to - from;
        self.steps = self.steps.saturating_sub(length as u64);
        let start = if back { at.checked_sub(length)? } else { at };
        let here = self.text.get(start..start + length)?;
        let same = |(a, b): (&char, &char)| {
            a == b || self.program.ignore_case && a.to_lowercase().eq(b.to_lowercase())
        };
        let equal = self.text[from..to].iter().zip(here).all(same);
        equal.then_some(if back { start } else { start + length })
    }

    fn is_word(&self, c: char) -> bool {
        let folds = self.program.ignore_case && self.program.code_points;
        c.is_ascii_alphanumeric() || c == '_' || folds && matches!(c, '\u{17f}' | '\u{212a}')
    }
}
