//! Reads a module and everything it imports, without running it, to see whether the embedded engine will do.
//!
//! `choose` asks; the answer names the first obstacle in the words that the author sees.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::builtins;
use crate::failure::LoadError;
use crate::source::position;
use crate::source::resolve::is_node_builtin;
use crate::source::{Import, Loaded, ModuleKind, Sources, Target};

/// The first thing that the embedded engine does not offer to this module graph, as a sentence.
pub(crate) fn obstacle(sources: &Sources) -> Result<Option<String>, LoadError> {
    let mut scan = Scan { sources, seen: HashSet::new(), queue: Vec::new() };
    scan.enter(sources.entry_target());
    while let Some((path, target)) = scan.queue.pop() {
        if let Some(obstacle) = scan.visit(&path, &target)? {
            return Ok(Some(obstacle));
        }
    }
    Ok(None)
}

struct Scan<'s> {
    sources: &'s Sources,
    seen: HashSet<PathBuf>,
    queue: Vec<(PathBuf, Target)>,
}

impl Scan<'_> {
    fn enter(&mut self, target: Target) {
        if let Target::File { path, .. } = &target
            && self.seen.insert(path.clone())
        {
            self.queue.push((path.clone(), target));
        }
    }

    fn visit(&mut self, path: &Path, target: &Target) -> Result<Option<String>, LoadError> {
        let Target::File { declared, .. } = target else { return Ok(None) };
        let loaded = self.sources.load(path, *declared)?;
        let shown = self.sources.shown(path);
        match loaded.kind {
            ModuleKind::EsModule => {}
            ModuleKind::CommonJs => return Ok(Some(format!("`{shown}` is a CommonJS module"))),
            ModuleKind::Foreign => return Ok(Some(format!("`{shown}` is not JavaScript"))),
        }
        if let Some(need) = loaded.needs.first() {
            let line =
                loaded.text.as_deref().map_or(0, |text| position::at(text, need.offset).line);
            return Ok(Some(format!(
                "`{shown}` {} (line {line}), which the embedded engine does not offer",
                need.what
            )));
        }
        for import in &loaded.imports {
            match self.sources.resolve(path, &import.specifier) {
                Ok(Target::Builtin(name)) => {
                    if let Some(missing) = missing_builtin(&name, import) {
                        return Ok(Some(format!(
                            "`{shown}` imports {missing}, which the embedded engine does not offer"
                        )));
                    }
                }
                Ok(target) => self.enter(target),
                // An `import()` may sit in a `try`; it fails when it runs, if it runs.
                Err(_) if import.dynamic => {}
                Err(error) => return Err(with_place(error, &loaded, import)),
            }
        }
        Ok(None)
    }
}

/// What is missing of a builtin, or nothing.
fn missing_builtin(name: &str, import: &Import) -> Option<String> {
    let Some(offered) = builtins::exports(name) else {
        return is_node_builtin(name).then(|| format!("node:{name}"));
    };
    let lacking =
        import.names.iter().find(|&used| used != "default" && !offered.contains(&used.as_str()))?;
    Some(format!("`{lacking}` from node:{name}"))
}

/// The import's own place is better than the first occurrence of its specifier in the text.
fn with_place(error: LoadError, loaded: &Loaded, import: &Import) -> LoadError {
    match (error, &loaded.text) {
        (LoadError::Resolve { file, specifier, why, .. }, Some(text)) => {
            let place = position::at(text, import.offset);
            let excerpt = position::excerpt(text, place);
            LoadError::Resolve {
                file,
                line: place.line,
                column: place.column,
                specifier,
                why,
                excerpt,
            }
        }
        (error, _) => error,
    }
}
