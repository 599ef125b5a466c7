//! Settles the source locations of a description: relative to the root, at the author's call of the factory.
//!
//! The guest reads them off a stack trace, so they come as absolute paths or `file:` URLs. QuickJS reports a
//! call that spans lines at the last call within its arguments; the call that is meant is the innermost one
//! around that place that has the right name, and the syntax tree tells which that is.

use std::collections::HashMap;
use std::path::Path;

use oxc::allocator::Allocator;
use oxc::ast::ast::{CallExpression, Expression};
use oxc::ast_visit::{Visit, walk};
use oxc::parser::Parser;
use oxc::span::{GetSpan, SourceType};

use crate::describe::{JobEntry, ModuleDescription, SourceLocation, StepDef, StepEntry};
use crate::source::position::{self, Position};
use crate::source::resolve::SDK;

/// Which factory a location belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Factory {
    Workflow,
    Job,
    /// `step` and the helpers that make steps.
    Step,
}

impl Factory {
    fn made_by(self, exported: &str) -> bool {
        match self {
            Factory::Workflow => exported == "workflow",
            Factory::Job => exported == "job",
            Factory::Step => !matches!(exported, "workflow" | "job" | "parallel"),
        }
    }
}

/// Settles every location; one outside the root (the SDK's own file, say) is dropped.
pub(crate) fn settle(description: &mut ModuleDescription, root: &Path) {
    let mut files = Files { root, calls: HashMap::new() };
    for workflow in &mut description.workflows {
        files.settle(&mut workflow.location, Factory::Workflow);
        for job in &mut workflow.jobs {
            let JobEntry::Static(job) = job else { continue };
            files.settle(&mut job.location, Factory::Job);
            for step in &mut job.steps {
                match step {
                    StepEntry::Step(step) => files.settle_step(step),
                    StepEntry::Parallel(group) => {
                        group.steps.iter_mut().for_each(|step| files.settle_step(step))
                    }
                }
            }
        }
    }
}

struct Files<'r> {
    root: &'r Path,
    /// The calls of SDK functions in each file.
    calls: HashMap<String, Vec<SdkCall>>,
}

/// A call of something imported from the SDK.
struct SdkCall {
    exported: String,
    start: Position,
    end: Position,
    /// Where the name is written.
    name: Position,
}

impl Files<'_> {
    fn settle_step(&mut self, step: &mut StepDef) {
        self.settle(&mut step.location, Factory::Step);
    }

    fn settle(&mut self, location: &mut Option<SourceLocation>, factory: Factory) {
        let Some(SourceLocation { file, line, column }) = location.take() else { return };
        let path = file.strip_prefix("file://").unwrap_or(&file);
        let relative = match Path::new(path) {
            path if path.is_relative() => path,
            path => match path.strip_prefix(self.root) {
                Ok(relative) => relative,
                Err(_) => return,
            },
        };
        let file = relative.to_string_lossy().replace('\\', "/");
        if file.starts_with("kici:") {
            return;
        }
        let reported = Position { line, column };
        let root = self.root;
        let calls = self.calls.entry(file.clone()).or_insert_with(|| sdk_calls(&root.join(&file)));
        // Later calls in the list start later, so the last one around the place is the innermost.
        let meant = calls.iter().rfind(|call| {
            factory.made_by(&call.exported) && call.start <= reported && reported <= call.end
        });
        let place = meant.map_or(reported, |call| call.name);
        *location = Some(SourceLocation { file, line: place.line, column: place.column });
    }
}

/// The calls of SDK functions in a file, in the order in which they start. None if it cannot be read any more.
fn sdk_calls(path: &Path) -> Vec<SdkCall> {
    let Ok(text) = std::fs::read_to_string(path) else { return Vec::new() };
    let allocator = Allocator::default();
    let source_type = SourceType::from_path(path).unwrap_or_default().with_module(true);
    let parsed = Parser::new(&allocator, &text, source_type).parse();
    let mut finder = Finder { text: &text, names: HashMap::new(), calls: Vec::new() };
    for import in &parsed.module_record.import_entries {
        if import.module_request.name == SDK {
            let exported = match &import.import_name {
                oxc::syntax::module_record::ImportImportName::Name(name) => {
                    Some(name.name.to_string())
                }
                _ => None,
            };
            finder.names.insert(import.local_name.name.to_string(), exported);
        }
    }
    finder.visit_program(&parsed.program);
    finder.calls
}

struct Finder<'t> {
    text: &'t str,
    /// Local names from the SDK, and what they are there; `None` is the whole SDK.
    names: HashMap<String, Option<String>>,
    calls: Vec<SdkCall>,
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        let found = match &call.callee {
            Expression::Identifier(name) => match self.names.get(name.name.as_str()) {
                Some(Some(exported)) => Some((exported.clone(), name.span)),
                _ => None,
            },
            Expression::StaticMemberExpression(member) => match &member.object {
                Expression::Identifier(sdk)
                    if matches!(self.names.get(sdk.name.as_str()), Some(None)) =>
                {
                    Some((member.property.name.to_string(), member.property.span))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some((exported, name)) = found {
            self.calls.push(SdkCall {
                exported,
                start: position::at(self.text, call.span().start),
                end: position::at(self.text, call.span().end),
                name: position::at(self.text, name.start),
            });
        }
        walk::walk_call_expression(self, call);
    }
}
