//! What a module asks for: its imports, which names it uses of them, and globals it expects.
//!
//! Runs over the syntax tree after types are gone, so that an import used only as a type does not count. On
//! the way it takes import attributes out: QuickJS does not parse them, and Node gets them from the loader.

use std::collections::HashMap;

use oxc::ast::ast::{
    ArrowFunctionExpression, AwaitExpression, BindingPattern, ExportAllDeclaration,
    ExportFromDeclaration, Expression, ForOfStatement, Function, IdentifierReference,
    ImportDeclaration, ImportDeclarationSpecifier, ImportExpression, Program, PropertyKey,
    Statement, StaticMemberExpression, UnaryExpression, UnaryOperator, VariableDeclaration,
    VariableDeclarator,
};
use oxc::ast_visit::{VisitMut, walk_mut};
use oxc::semantic::{ScopeFlags, Scoping, SymbolId};
use oxc::span::GetSpan;

/// An import of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// As written.
    pub(crate) specifier: String,
    /// Byte offset of the specifier in the file.
    pub(crate) offset: u32,
    /// `import()` rather than a declaration.
    pub(crate) dynamic: bool,
    /// The exports that the module uses, as far as its text tells.
    pub(crate) names: Vec<String>,
}

/// Something that only Node offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// Completes the sentence "`ci.ts` …".
    pub(crate) what: String,
    /// Byte offset in the file.
    pub(crate) offset: u32,
}

/// Globals of Node 24 that the embedded engine does not have.
const MISSING_GLOBALS: [&str; 15] = [
    "BroadcastChannel",
    "CompressionStream",
    "DecompressionStream",
    "EventSource",
    "Intl",
    "MessageChannel",
    "MessagePort",
    "SharedWorker",
    "Storage",
    "WebAssembly",
    "WebSocket",
    "Worker",
    "localStorage",
    "sessionStorage",
    "gc",
];

/// What one module asks for.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) imports: Vec<Import>,
    pub(crate) needs: Vec<Need>,
    /// Whether anything was taken out of the tree, so that the text has to be printed anew.
    pub(crate) changed: bool,
    /// Whether it awaits outside of any function.
    pub(crate) awaits_at_top: bool,
}

/// Collects the facts of a module and takes its import attributes out.
pub(crate) fn collect<'a>(program: &mut Program<'a>, scoping: &Scoping) -> Facts {
    let mut collector =
        Collector { scoping, bindings: HashMap::new(), facts: Facts::default(), depth: 0 };
    for statement in &program.body {
        if let Statement::ImportDeclaration(import) = statement {
            collector.declare(import);
        }
    }
    collector.visit_program(program);
    collector.facts
}

struct Collector<'s> {
    scoping: &'s Scoping,
    /// Local names that stand for a whole module, and the import they come from.
    bindings: HashMap<SymbolId, usize>,
    facts: Facts,
    /// How many functions are around the node.
    depth: u32,
}

impl Collector<'_> {
    fn declare(&mut self, import: &ImportDeclaration<'_>) {
        let index = self.facts.imports.len();
        let mut names = Vec::new();
        for specifier in import.specifiers.iter().flatten() {
            match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(one) => {
                    names.push(one.imported.name().to_string())
                }
                ImportDeclarationSpecifier::ImportDefaultSpecifier(one) => {
                    self.bindings.insert(one.local.symbol_id(), index);
                }
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(one) => {
                    self.bindings.insert(one.local.symbol_id(), index);
                }
            }
        }
        self.push(import.source.value.as_str(), import.source.span.start, false, names);
    }

    fn push(&mut self, specifier: &str, offset: u32, dynamic: bool, names: Vec<String>) {
        self.facts.imports.push(Import { specifier: specifier.to_owned(), offset, dynamic, names });
    }

    fn need(&mut self, what: String, offset: u32) {
        self.facts.needs.push(Need { what, offset });
    }

    fn symbol(&self, identifier: &IdentifierReference<'_>) -> Option<SymbolId> {
        self.scoping.get_reference(identifier.reference_id.get()?).symbol_id()
    }

    fn used(&mut self, module: &Expression<'_>, name: &str) {
        if let Expression::Identifier(identifier) = module
            && let Some(symbol) = self.symbol(identifier)
            && let Some(index) = self.bindings.get(&symbol)
        {
            self.facts.imports[*index].names.push(name.to_owned());
        }
    }
}

impl<'a> VisitMut<'a> for Collector<'_> {
    fn visit_import_declaration(&mut self, import: &mut ImportDeclaration<'a>) {
        self.facts.changed |= import.with_clause.take().is_some();
    }

    fn visit_export_from_declaration(&mut self, export: &mut ExportFromDeclaration<'a>) {
        self.facts.changed |= export.with_clause.take().is_some();
        let names = export.specifiers.iter().map(|one| one.local.name().to_string()).collect();
        self.push(export.source.value.as_str(), export.source.span.start, false, names);
    }

    fn visit_export_all_declaration(&mut self, export: &mut ExportAllDeclaration<'a>) {
        self.facts.changed |= export.with_clause.take().is_some();
        self.push(export.source.value.as_str(), export.source.span.start, false, Vec::new());
    }

    fn visit_import_expression(&mut self, import: &mut ImportExpression<'a>) {
        self.facts.changed |= import.options.take().is_some();
        if let Expression::StringLiteral(specifier) = &import.source {
            self.push(specifier.value.as_str(), specifier.span.start, true, Vec::new());
        }
        walk_mut::walk_import_expression(self, import);
    }

    fn visit_static_member_expression(&mut self, member: &mut StaticMemberExpression<'a>) {
        self.used(&member.object, member.property.name.as_str());
        walk_mut::walk_static_member_expression(self, member);
    }

    fn visit_variable_declaration(&mut self, declaration: &mut VariableDeclaration<'a>) {
        if declaration.kind.is_using() {
            self.need("has a `using` declaration".to_owned(), declaration.span.start);
        }
        walk_mut::walk_variable_declaration(self, declaration);
    }

    fn visit_variable_declarator(&mut self, declarator: &mut VariableDeclarator<'a>) {
        if let (BindingPattern::ObjectPattern(pattern), Some(init)) =
            (&declarator.id, &declarator.init)
        {
            for property in &pattern.properties {
                if let PropertyKey::StaticIdentifier(key) = &property.key {
                    self.used(init, key.name.as_str());
                }
            }
        }
        walk_mut::walk_variable_declarator(self, declarator);
    }

    fn visit_function(&mut self, function: &mut Function<'a>, flags: ScopeFlags) {
        self.depth += 1;
        walk_mut::walk_function(self, function, flags);
        self.depth -= 1;
    }

    fn visit_arrow_function_expression(&mut self, function: &mut ArrowFunctionExpression<'a>) {
        self.depth += 1;
        walk_mut::walk_arrow_function_expression(self, function);
        self.depth -= 1;
    }

    fn visit_await_expression(&mut self, expression: &mut AwaitExpression<'a>) {
        self.facts.awaits_at_top |= self.depth == 0;
        walk_mut::walk_await_expression(self, expression);
    }

    fn visit_for_of_statement(&mut self, statement: &mut ForOfStatement<'a>) {
        self.facts.awaits_at_top |= statement.r#await && self.depth == 0;
        walk_mut::walk_for_of_statement(self, statement);
    }

    fn visit_unary_expression(&mut self, expression: &mut UnaryExpression<'a>) {
        // `typeof Worker` asks whether there is one; it does not need it.
        let asks = expression.operator == UnaryOperator::Typeof
            && expression.argument.is_identifier_reference();
        if !asks {
            walk_mut::walk_unary_expression(self, expression);
        }
    }

    fn visit_identifier_reference(&mut self, identifier: &mut IdentifierReference<'a>) {
        let name = identifier.name.as_str();
        if MISSING_GLOBALS.contains(&name) && self.symbol(identifier).is_none() {
            self.need(format!("uses `{name}`"), identifier.span().start);
        }
    }
}
