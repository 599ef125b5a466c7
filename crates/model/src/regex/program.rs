//! Compiles a parsed expression to instructions.

use super::atom::Atom;
use super::syntax::{Node, Tree};
use super::{Flags, RegexError};

/// Most instructions of a program; counted repetitions are written out.
const MAX_INSTRUCTIONS: usize = 20_000;

/// A compiled expression.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) code: Vec<Inst>,
    pub(super) atoms: Vec<Atom>,
    pub(super) groups: u32,
    pub(super) marks: u32,
    /// Without backreferences a state that failed once fails always.
    pub(super) memoise: bool,
    pub(super) code_points: bool,
    pub(super) sticky: bool,
    pub(super) multiline: bool,
    pub(super) ignore_case: bool,
}

/// One instruction. Targets are indices into the code.
#[derive(Debug, Clone)]
pub(super) enum Inst {
    /// Accept one character and go on, to the left in lookbehinds.
    Atom {
        atom: u32,
        back: bool,
    },
    /// Try the first target, then the second.
    Split(u32, u32),
    Jump(u32),
    Start,
    End,
    Word {
        negate: bool,
    },
    /// Run the body that follows as an assertion, then go on at `next`.
    Look {
        negate: bool,
        next: u32,
    },
    /// A capture starts or ends here.
    Save(u32),
    /// Forget captures of these groups (each turn of a loop starts without).
    Forget {
        from: u32,
        to: u32,
    },
    BackRef {
        group: u32,
        back: bool,
    },
    /// Remember where a turn of a loop started.
    Mark(u32),
    /// Fail if the turn matched nothing.
    Progress(u32),
    Match,
}

/// Compiles a tree.
pub(super) fn compile(tree: &Tree, flags: &Flags) -> Result<Program, RegexError> {
    let program = Program {
        code: Vec::new(),
        atoms: Vec::new(),
        groups: tree.groups,
        marks: 0,
        memoise: !tree.has_backrefs,
        code_points: flags.code_points(),
        sticky: flags.sticky,
        multiline: flags.multiline,
        ignore_case: flags.ignore_case,
    };
    let mut compiler = Compiler { program, back: false };
    compiler.node(&tree.root)?;
    compiler.push(Inst::Match)?;
    Ok(compiler.program)
}

struct Compiler {
    program: Program,
    back: bool,
}

impl Compiler {
    fn here(&self) -> u32 {
        self.program.code.len() as u32
    }

    fn push(&mut self, inst: Inst) -> Result<u32, RegexError> {
        if self.program.code.len() >= MAX_INSTRUCTIONS {
            return Err(RegexError::TooLarge { what: "its repetitions multiply".to_owned() });
        }
        self.program.code.push(inst);
        Ok(self.here() - 1)
    }

    fn set(&mut self, at: u32, inst: Inst) {
        self.program.code[at as usize] = inst;
    }

    fn node(&mut self, node: &Node) -> Result<(), RegexError> {
        match node {
            Node::Empty => {}
            Node::Atom(atom) => {
                let index = self.program.atoms.len() as u32;
                self.program.atoms.push(atom.clone());
                self.push(Inst::Atom { atom: index, back: self.back })?;
            }
            Node::Cat(parts) if self.back => {
                for part in parts.iter().rev() {
                    self.node(part)?;
                }
            }
            Node::Cat(parts) => {
                for part in parts {
                    self.node(part)?;
                }
            }
            Node::Alt(branches) => self.alternatives(branches)?,
            Node::Capture(group, body) => self.capture(*group, body)?,
            Node::Repeat { body, min, max, greedy } => self.repeat(body, *min, *max, *greedy)?,
            Node::Look { body, behind, negate } => {
                let look = self.push(Inst::Match)?;
                let outer = std::mem::replace(&mut self.back, *behind);
                self.node(body)?;
                self.back = outer;
                self.push(Inst::Match)?;
                let next = self.here();
                self.set(look, Inst::Look { negate: *negate, next });
            }
            Node::Start => drop(self.push(Inst::Start)?),
            Node::End => drop(self.push(Inst::End)?),
            Node::Word { negate } => drop(self.push(Inst::Word { negate: *negate })?),
            Node::BackRef(group) => {
                self.push(Inst::BackRef { group: *group, back: self.back })?;
            }
        }
        Ok(())
    }

    fn alternatives(&mut self, branches: &[Node]) -> Result<(), RegexError> {
        let mut ends = Vec::new();
        for (i, branch) in branches.iter().enumerate() {
            if i + 1 == branches.len() {
                self.node(branch)?;
                break;
            }
            let split = self.push(Inst::Match)?;
            self.node(branch)?;
            ends.push(self.push(Inst::Match)?);
            let next = self.here();
            self.set(split, Inst::Split(split + 1, next));
        }
        let end = self.here();
        for jump in ends {
            self.set(jump, Inst::Jump(end));
        }
        Ok(())
    }

    fn capture(&mut self, group: u32, body: &Node) -> Result<(), RegexError> {
        if self.program.memoise {
            return self.node(body);
        }
        let (first, last) = if self.back { (1, 0) } else { (0, 1) };
        self.push(Inst::Save(group * 2 + first))?;
        self.node(body)?;
        self.push(Inst::Save(group * 2 + last))?;
        Ok(())
    }

    fn repeat(
        &mut self,
        body: &Node,
        min: u32,
        max: Option<u32>,
        greedy: bool,
    ) -> Result<(), RegexError> {
        for _ in 0..min {
            self.turn(body)?;
        }
        let Some(max) = max else { return self.endless(body, greedy) };
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Inst::Match)?);
            self.turn(body)?;
        }
        let exit = self.here();
        for split in splits {
            self.set(split, fork(split + 1, exit, greedy));
        }
        Ok(())
    }

    fn endless(&mut self, body: &Node, greedy: bool) -> Result<(), RegexError> {
        let split = self.push(Inst::Match)?;
        let mark = self.program.marks;
        if !self.program.memoise {
            self.program.marks += 1;
            self.push(Inst::Mark(mark))?;
        }
        self.turn(body)?;
        if !self.program.memoise {
            self.push(Inst::Progress(mark))?;
        }
        self.push(Inst::Jump(split))?;
        let exit = self.here();
        self.set(split, fork(split + 1, exit, greedy));
        Ok(())
    }

    /// One turn of a loop.
    fn turn(&mut self, body: &Node) -> Result<(), RegexError> {
        if !self.program.memoise
            && let Some((from, to)) = captures(body)
        {
            self.push(Inst::Forget { from, to })?;
        }
        self.node(body)
    }
}

fn fork(body: u32, exit: u32, greedy: bool) -> Inst {
    if greedy { Inst::Split(body, exit) } else { Inst::Split(exit, body) }
}

/// First and last capturing group inside a node.
fn captures(node: &Node) -> Option<(u32, u32)> {
    match node {
        Node::Capture(group, body) => {
            Some((*group, captures(body).map_or(*group, |(_, last)| last)))
        }
        Node::Repeat { body, .. } | Node::Look { body, .. } => captures(body),
        Node::Cat(parts) | Node::Alt(parts) => {
            parts.iter().filter_map(captures).reduce(|(from, _), (_, to)| (from, to))
        }
        Node::Empty
        | Node::Atom(_)
        | Node::Start
        | Node::End
        | Node::Word { .. }
        | Node::BackRef(_) => None,
    }
}
