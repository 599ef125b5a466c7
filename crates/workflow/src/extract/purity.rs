//! Whether a function of the event can be evaluated anywhere: it uses nothing but its parameters, its own
//! `const` and `let`, and a few globals without side effects.

use oxc::allocator::Allocator;
use oxc::ast::ast::{
    ArrowFunctionExpression, AssignmentExpression, AwaitExpression, CallExpression, Class,
    Expression, FormalParameters, Function, IdentifierReference, ImportExpression, NewExpression,
    Program, Statement, ThisExpression, ThrowStatement, TryStatement, UnaryExpression,
    UpdateExpression, VariableDeclaration, VariableDeclarationKind, YieldExpression,
};
use oxc::ast_visit::{Visit, walk};
use oxc::parser::Parser;
use oxc::semantic::{Scoping, SemanticBuilder};
use oxc::span::SourceType;
use oxc::syntax::operator::UnaryOperator;
use oxc::syntax::scope::{ScopeFlags, ScopeId};

const GLOBALS: [&str; 18] = [
    "undefined",
    "NaN",
    "Infinity",
    "String",
    "Number",
    "Boolean",
    "Array",
    "Object",
    "JSON",
    "Math",
    "parseInt",
    "parseFloat",
    "isNaN",
    "isFinite",
    "encodeURIComponent",
    "decodeURIComponent",
    "encodeURI",
    "decodeURI",
];

/// Says why a function is not pure.
pub(super) fn check(text: &str) -> Result<(), String> {
    let allocator = Allocator::default();
    let source = format!("({text})");
    let parsed = Parser::new(&allocator, &source, SourceType::mjs()).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        return Err("it is not written as an arrow function or a function expression".to_owned());
    }
    let program = parsed.program;
    let scoping = SemanticBuilder::new().build(&program).semantic.into_scoping();
    match function(&program) {
        Some(Expression::ArrowFunctionExpression(arrow)) => {
            if arrow.r#async {
                return Err("it is async".to_owned());
            }
            let mut visitor = Visitor::new(&scoping, arrow.scope_id());
            visitor.visit_arrow_function_body(&arrow.body);
            visitor.result()
        }
        Some(Expression::FunctionExpression(function)) => {
            if function.r#async || function.generator {
                return Err("it is async or a generator".to_owned());
            }
            let mut visitor = Visitor::new(&scoping, function.scope_id());
            if let Some(body) = &function.body {
                visitor.visit_function_body(body);
            }
            visitor.result()
        }
        _ => Err("it is no function".to_owned()),
    }
}

fn function<'a, 'b>(program: &'b Program<'a>) -> Option<&'b Expression<'a>> {
    match program.body.first()? {
        Statement::ExpressionStatement(statement) => {
            Some(statement.expression.without_parentheses())
        }
        _ => None,
    }
}

/// Looks for what is not pure in a function's body.
struct Visitor<'s> {
    scoping: &'s Scoping,
    /// The function's own scope: names that it declares are its parameters.
    own: ScopeId,
    reason: Option<String>,
}

impl<'s> Visitor<'s> {
    fn new(scoping: &'s Scoping, own: ScopeId) -> Self {
        Self { scoping, own, reason: None }
    }

    fn result(self) -> Result<(), String> {
        self.reason.map_or(Ok(()), Err)
    }

    fn refuse(&mut self, reason: impl Into<String>) {
        self.reason.get_or_insert_with(|| reason.into());
    }
}

impl<'a> Visit<'a> for Visitor<'_> {
    fn visit_identifier_reference(&mut self, name: &IdentifierReference<'a>) {
        let symbol = self.scoping.get_reference(name.reference_id()).symbol_id();
        let known = match symbol {
            None => GLOBALS.contains(&name.name.as_str()),
            // Parameters of functions inside, and functions declared inside, count as unknown.
            Some(symbol) => {
                let flags = self.scoping.symbol_flags(symbol);
                flags.is_block_scoped() && !flags.is_function() && !flags.is_class()
                    || self.scoping.symbol_scope_id(symbol) == self.own && !flags.is_function()
            }
        };
        if !known {
            self.refuse(format!("it uses `{}`", name.name));
        }
    }

    fn visit_formal_parameters(&mut self, _parameters: &FormalParameters<'a>) {}

    fn visit_function(&mut self, function: &Function<'a>, flags: ScopeFlags) {
        if function.r#async || function.generator {
            self.refuse("it contains an async function or a generator");
        }
        walk::walk_function(self, function, flags);
    }

    fn visit_arrow_function_expression(&mut self, arrow: &ArrowFunctionExpression<'a>) {
        if arrow.r#async {
            self.refuse("it contains an async function");
        }
        walk::walk_arrow_function_expression(self, arrow);
    }

    fn visit_await_expression(&mut self, _: &AwaitExpression<'a>) {
        self.refuse("it uses `await`");
    }

    fn visit_yield_expression(&mut self, _: &YieldExpression<'a>) {
        self.refuse("it uses `yield`");
    }

    fn visit_class(&mut self, _: &Class<'a>) {
        self.refuse("it declares a class");
    }

    fn visit_this_expression(&mut self, _: &ThisExpression) {
        self.refuse("it uses `this`");
    }

    fn visit_throw_statement(&mut self, _: &ThrowStatement<'a>) {
        self.refuse("it throws");
    }

    fn visit_try_statement(&mut self, _: &TryStatement<'a>) {
        self.refuse("it uses `try`");
    }

    fn visit_new_expression(&mut self, _: &NewExpression<'a>) {
        self.refuse("it uses `new`");
    }

    fn visit_import_expression(&mut self, _: &ImportExpression<'a>) {
        self.refuse("it imports");
    }

    fn visit_call_expression(&mut self, call: &CallExpression<'a>) {
        if call.callee.is_specific_id("require") {
            self.refuse("it calls `require`");
        }
        walk::walk_call_expression(self, call);
    }

    fn visit_assignment_expression(&mut self, _: &AssignmentExpression<'a>) {
        self.refuse("it assigns");
    }

    fn visit_update_expression(&mut self, _: &UpdateExpression<'a>) {
        self.refuse("it uses `++` or `--`");
    }

    fn visit_unary_expression(&mut self, unary: &UnaryExpression<'a>) {
        if unary.operator == UnaryOperator::Delete {
            self.refuse("it uses `delete`");
        }
        walk::walk_unary_expression(self, unary);
    }

    fn visit_variable_declaration(&mut self, declaration: &VariableDeclaration<'a>) {
        if declaration.kind == VariableDeclarationKind::Var {
            self.refuse("it declares a `var`");
        }
        walk::walk_variable_declaration(self, declaration);
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn parameters_locals_and_plain_globals_are_pure() {
        for text in [
            "(event) => event.type === 'push' ? 'a' : 'b'",
            "({ action, payload: { ref } }) => `${action}-${ref}`",
            "function (event) { const parts = event.targetBranch.split('/'); let last = parts[0]; return { last }; }",
            "(event) => String(Math.random())",
            "() => 'fixed'",
            "(event = process.env) => event",
            "() => { while (true) {} }",
            "(e) => ({ A: JSON.stringify(e), B: undefined })",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn everything_else_says_why_not() {
        for (text, why) in [
            ("async () => 'x'", "async"),
            ("async (e) => { return 1 }", "async"),
            ("function* (e) { return 1 }", "generator"),
            ("() => process.env.A", "`process`"),
            ("(event) => `${PREFIX}-${event.x}`", "`PREFIX`"),
            ("() => { throw new Error('x') }", "throws"),
            ("(e) => e.list.map((x) => x + 1)", "`x`"),
            ("(e) => { var a = 1; return a }", "`var`"),
            ("(e) => { e.a = 1; return e }", "assigns"),
            ("(e) => { let i = 0; i++; return i }", "`++`"),
            ("(e) => delete e.a", "`delete`"),
            ("(e) => new Date()", "`new`"),
            ("(e) => require('fs')", "`require`"),
            ("(e) => import('fs')", "imports"),
            ("function () { return this.x }", "`this`"),
            ("function () { return arguments[0] }", "`arguments`"),
            ("(e) => { try { return 1 } finally {} }", "`try`"),
            ("environment(event) { return 'x' }", "not written as"),
            ("42", "no function"),
        ] {
            let reason = check(text).unwrap_err();
            assert!(reason.contains(why), "{text}: {reason}");
        }
    }
}
