//! Makes the source locations of a description relative to the repository root.
//!
//! The guest reads them off a stack trace, so they come as absolute paths or `file:` URLs.

use std::path::Path;

use crate::describe::{JobEntry, ModuleDescription, SourceLocation, StepDef, StepEntry};

/// Rewrites every location; one outside the root (the SDK's own file, say) is dropped.
pub(crate) fn relative_to(description: &mut ModuleDescription, root: &Path) {
    for workflow in &mut description.workflows {
        rewrite(&mut workflow.location, root);
        for job in &mut workflow.jobs {
            let JobEntry::Static(job) = job else { continue };
            rewrite(&mut job.location, root);
            for step in &mut job.steps {
                match step {
                    StepEntry::Step(step) => rewrite_step(step, root),
                    StepEntry::Parallel(group) => {
                        group.steps.iter_mut().for_each(|step| rewrite_step(step, root))
                    }
                }
            }
        }
    }
}

fn rewrite_step(step: &mut StepDef, root: &Path) {
    rewrite(&mut step.location, root);
}

fn rewrite(location: &mut Option<SourceLocation>, root: &Path) {
    *location = location.take().and_then(|location| {
        let path = location.file.strip_prefix("file://").unwrap_or(&location.file);
        let relative = match Path::new(path) {
            path if path.is_relative() => path,
            path => path.strip_prefix(root).ok()?,
        };
        let file = relative.to_string_lossy().replace('\\', "/");
        if file.starts_with("kici:") { None } else { Some(SourceLocation { file, ..location }) }
    });
}
