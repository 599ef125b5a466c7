//! Turns a TypeScript or JavaScript file into JavaScript that both engines run, with a source map.
//!
//! The whole language is covered (enums, namespaces, parameter properties), without type checking: `oxc`
//! parses, checks the syntax rules, removes the types and prints.

use std::path::Path;

use oxc::allocator::Allocator;
use oxc::codegen::{Codegen, CodegenOptions};
use oxc::diagnostics::OxcDiagnostic;
use oxc::parser::Parser;
use oxc::semantic::SemanticBuilder;
use oxc::span::SourceType;
use oxc::transformer::{TransformOptions, Transformer};
use oxc_sourcemap::SourceMap;

use super::facts::{self, Facts};
use super::position;
use crate::failure::LoadError;

/// A file as the engines get it.
#[derive(Debug)]
pub(crate) struct Stripped {
    /// JavaScript; the file's own text where nothing had to change.
    pub(crate) code: String,
    /// Leads from `code` to the file; absent where they are the same.
    pub(crate) map: Option<SourceMap<'static>>,
    /// What it imports and needs.
    pub(crate) facts: Facts,
    /// Whether it has `import` or `export`.
    pub(crate) has_module_syntax: bool,
}

/// Strips `text`, the content of `path`; `shown` is how errors name the file.
pub(crate) fn strip(path: &Path, shown: &str, text: String) -> Result<Stripped, LoadError> {
    let allocator = Allocator::default();
    let source_type = SourceType::from_path(path).unwrap_or_default().with_module(true);
    let fail = |diagnostic: &OxcDiagnostic| syntax_error(shown, &text, diagnostic);

    let parsed = Parser::new(&allocator, &text, source_type).parse();
    if let Some(first) = parsed.diagnostics.errors().next() {
        return Err(fail(first));
    }
    let has_module_syntax = parsed.module_record.has_module_syntax;
    let mut program = parsed.program;

    let analysed =
        SemanticBuilder::new().with_check_syntax_error(true).with_enum_eval(true).build(&program);
    if let Some(first) = analysed.diagnostics.errors().next() {
        return Err(fail(first));
    }
    let mut scoping = analysed.semantic.into_scoping();

    let needs_transform = source_type.is_typescript() || source_type.is_jsx();
    if needs_transform {
        let transformed = Transformer::new(&allocator, path, &TransformOptions::default())
            .build_with_scoping(scoping, &mut program);
        if let Some(first) = transformed.diagnostics.errors().next() {
            return Err(fail(first));
        }
        scoping = transformed.scoping;
    }

    let facts = facts::collect(&mut program, &scoping);
    if !needs_transform && !facts.changed {
        return Ok(Stripped { code: text, map: None, facts, has_module_syntax });
    }
    let options =
        CodegenOptions { source_map_path: Some(path.to_path_buf()), ..CodegenOptions::default() };
    let printed = Codegen::new().with_options(options).build(&program);
    Ok(Stripped {
        map: printed.map.map(SourceMap::into_owned),
        code: printed.code,
        facts,
        has_module_syntax,
    })
}

fn syntax_error(shown: &str, text: &str, diagnostic: &OxcDiagnostic) -> LoadError {
    let offset = diagnostic.labels.first().map_or(0, |label| label.offset());
    let place = position::at(text, offset);
    let message = match &diagnostic.help {
        Some(help) => format!("{}; {}", diagnostic.message, lower_first(help)),
        None => diagnostic.message.to_string(),
    };
    LoadError::Syntax {
        file: shown.to_owned(),
        line: place.line,
        column: place.column,
        message,
        excerpt: position::excerpt(text, place),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
