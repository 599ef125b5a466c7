//! Reads modules of one repository: finds them, strips them, says what is wrong with them.
//!
//! Engines ask by name while they load (`embedded::loader`, `node::loader`); `graph` asks for everything at once.

use std::path::{Path, PathBuf};

use oxc_sourcemap::SourceMap;

use super::facts::{Import, Need};
use super::position;
use super::resolve::{Declared, Resolver, Target, in_node_modules};
use super::strip::{self, Stripped};
use crate::engine::{LoadRequest, SdkChoice};
use crate::failure::LoadError;

/// What a loaded file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModuleKind {
    /// An ES module.
    EsModule,
    /// A CommonJS module (only Node runs it).
    CommonJs,
    /// Something that is no JavaScript at all, such as a native addon.
    Foreign,
}

/// A file ready for an engine.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) kind: ModuleKind,
    pub(crate) code: String,
    pub(crate) map: Option<SourceMap<'static>>,
    pub(crate) imports: Vec<Import>,
    pub(crate) needs: Vec<Need>,
    /// Whether it awaits outside of any function.
    pub(crate) awaits_at_top: bool,
    /// The original text, for excerpts.
    pub(crate) text: Option<String>,
}

/// The modules of one repository.
pub(crate) struct Sources {
    root: PathBuf,
    entry: PathBuf,
    resolver: Resolver,
}

impl Sources {
    /// Finds the entry and prepares to resolve.
    pub(crate) fn open(request: &LoadRequest) -> Result<Self, LoadError> {
        let missing = || LoadError::NoEntry {
            entry: request.entry.to_string_lossy().into_owned(),
            root: request.root.clone(),
        };
        let root = request.root.canonicalize().map_err(|_| missing())?;
        let entry = root.join(&request.entry).canonicalize().map_err(|_| missing())?;
        if !entry.is_file() || !entry.starts_with(&root) {
            return Err(missing());
        }
        Ok(Self { resolver: Resolver::new(root.clone(), request.sdk), root, entry })
    }

    /// The repository's real path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The entry's real path.
    pub(crate) fn entry(&self) -> &Path {
        &self.entry
    }

    /// The entry as a target.
    pub(crate) fn entry_target(&self) -> Target {
        Target::File { path: self.entry.clone(), declared: self.resolver.declared(&self.entry) }
    }

    /// Which SDK authors get.
    pub(crate) fn sdk(&self) -> SdkChoice {
        self.resolver.sdk()
    }

    /// How messages name a file.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    /// Where `specifier`, written in `importer`, leads.
    pub(crate) fn resolve(&self, importer: &Path, specifier: &str) -> Result<Target, LoadError> {
        self.resolver
            .resolve(importer, specifier)
            .map_err(|why| self.resolve_error(importer, specifier, why))
    }

    /// What a file claims to be, for one that was not resolved before.
    pub(crate) fn declared(&self, path: &Path) -> Declared {
        self.resolver.declared(path)
    }

    /// Reads a file and makes it JavaScript.
    pub(crate) fn load(&self, path: &Path, declared: Declared) -> Result<Loaded, LoadError> {
        let shown = self.shown(path);
        if declared == Declared::Foreign {
            return Ok(Loaded::without_code(ModuleKind::Foreign));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| LoadError::Read { file: shown.clone(), source })?;
        if declared == Declared::Json {
            return json(&shown, &text);
        }
        if declared == Declared::CommonJs && in_node_modules(path) {
            return Ok(Loaded::without_code(ModuleKind::CommonJs));
        }
        let Stripped { code, map, facts, has_module_syntax } =
            strip::strip(path, &shown, text.clone())?;
        let kind = match declared {
            Declared::CommonJs => ModuleKind::CommonJs,
            Declared::Undeclared if in_node_modules(path) && !has_module_syntax => {
                ModuleKind::CommonJs
            }
            _ => ModuleKind::EsModule,
        };
        // Packages test for globals in many ways; only the author's own words are taken at face value.
        let awaits_at_top = facts.awaits_at_top;
        let needs = if in_node_modules(path) { Vec::new() } else { facts.needs };
        Ok(Loaded {
            kind,
            code,
            map,
            imports: facts.imports,
            needs,
            awaits_at_top,
            text: Some(text),
        })
    }

    /// Says why an import leads nowhere, with its place in the importer.
    pub(crate) fn resolve_error(&self, importer: &Path, specifier: &str, why: String) -> LoadError {
        let text = std::fs::read_to_string(importer).unwrap_or_default();
        let quoted = [format!("'{specifier}'"), format!("\"{specifier}\"")];
        let found = quoted.iter().find_map(|quoted| text.find(quoted.as_str()));
        let place = found.map(|offset| position::at(&text, u32::try_from(offset).unwrap_or(0)));
        LoadError::Resolve {
            file: self.shown(importer),
            line: place.map_or(1, |place| place.line),
            column: place.map_or(1, |place| place.column),
            specifier: specifier.to_owned(),
            why,
            excerpt: place.map(|place| position::excerpt(&text, place)).unwrap_or_default(),
        }
    }
}

impl Loaded {
    fn without_code(kind: ModuleKind) -> Self {
        Self {
            kind,
            code: String::new(),
            map: None,
            imports: Vec::new(),
            needs: Vec::new(),
            awaits_at_top: false,
            text: None,
        }
    }
}

/// A JSON file as a module with a default export.
fn json(shown: &str, text: &str) -> Result<Loaded, LoadError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let place = position::Position {
            line: u32::try_from(error.line()).unwrap_or(1).max(1),
            column: u32::try_from(error.column()).unwrap_or(1).max(1),
        };
        let message = error.to_string();
        return Err(LoadError::Syntax {
            file: shown.to_owned(),
            line: place.line,
            column: place.column,
            message: format!(
                "not valid JSON: {}",
                message.split(" at line").next().unwrap_or(&message)
            ),
            excerpt: position::excerpt(text, place),
        });
    }
    let quoted = serde_json::to_string(text).expect("a string is always JSON");
    Ok(Loaded {
        code: format!("export default JSON.parse({quoted});"),
        ..Loaded::without_code(ModuleKind::EsModule)
    })
}
