//! Stack traces of the embedded engine, in V8's form and with positions in the author's TypeScript.
//!
//! QuickJS calls `Error.prepareStackTrace` whenever it makes a stack, so `error.stack` is right everywhere:
//! in the author's own logs, in the SDK's source locations and in what the guest reports.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use oxc_sourcemap::SourceMap;
use rquickjs::prelude::Opt;
use rquickjs::{Array, Ctx, Function, Object, Result, Value};

/// Where each loaded module's JavaScript came from.
#[derive(Default)]
pub(crate) struct Maps(RefCell<HashMap<String, Lines>>);

/// Pairs of places, sorted by the place in the JavaScript; lines and columns from 0.
struct Lines(Vec<Pair>);

struct Pair {
    printed: (u32, u32),
    written: (u32, u32),
}

impl Maps {
    pub(crate) fn add(&self, module: &str, map: &SourceMap<'_>) {
        let pairs = map
            .get_tokens()
            .filter(|token| token.get_source_id().is_some())
            .map(|token| Pair {
                printed: (token.get_dst_line(), token.get_dst_col()),
                written: (token.get_src_line(), token.get_src_col()),
            })
            .collect();
        self.0.borrow_mut().insert(module.to_owned(), Lines(pairs));
    }

    /// The author's place for a 1-based place in a module's JavaScript.
    pub(crate) fn written(&self, module: &str, line: u32, column: u32) -> (u32, u32) {
        let maps = self.0.borrow();
        let Some(Lines(pairs)) = maps.get(module) else { return (line, column) };
        let wanted = (line.saturating_sub(1), column.saturating_sub(1));
        let after = pairs.partition_point(|pair| pair.printed <= wanted);
        // The last place before the wanted one on the same line, else the first one on that line.
        let found = after
            .checked_sub(1)
            .and_then(|before| pairs.get(before))
            .filter(|pair| pair.printed.0 == wanted.0)
            .or_else(|| pairs.get(after).filter(|pair| pair.printed.0 == wanted.0));
        found.map_or((line, column), |pair| (pair.written.0 + 1, pair.written.1 + 1))
    }
}

/// Makes every stack of this context go through `maps`.
pub(crate) fn install(ctx: &Ctx<'_>, maps: Rc<Maps>) -> Result<()> {
    let error: Object = ctx.globals().get("Error")?;
    let prepare = Function::new(ctx.clone(), move |error: Value<'_>, sites: Opt<Value<'_>>| {
        stack(&maps, &error, sites.0.as_ref().and_then(Value::as_array))
    })?;
    error.set("prepareStackTrace", prepare)
}

fn stack(maps: &Maps, error: &Value<'_>, sites: Option<&Array<'_>>) -> String {
    let mut text = headline(error);
    for site in sites.into_iter().flat_map(|sites| sites.iter::<Object>()).flatten() {
        // A call site that cannot be read is left out: a stack must never fail.
        let _ = frame(maps, &site, &mut text);
    }
    text
}

fn headline(error: &Value<'_>) -> String {
    let read = |key: &str| {
        let object = error.as_object()?;
        object.get::<_, Option<String>>(key).ok().flatten()
    };
    let name = read("name").unwrap_or_else(|| "Error".to_owned());
    match read("message").filter(|message| !message.is_empty()) {
        Some(message) => format!("{name}: {message}"),
        None => name,
    }
}

fn frame(maps: &Maps, site: &Object<'_>, text: &mut String) -> Result<()> {
    let name: Option<String> = ask(site, "getFunctionName")?;
    let name = name.filter(|name| !name.is_empty() && name != "<anonymous>");
    let file: Option<String> = ask(site, "getFileName")?;
    let line: Option<i32> = ask(site, "getLineNumber")?;
    let column: Option<i32> = ask(site, "getColumnNumber")?;
    let place = match (file, line.and_then(positive)) {
        (Some(file), Some(line)) => {
            let (line, column) = maps.written(&file, line, column.and_then(positive).unwrap_or(1));
            format!("{file}:{line}:{column}")
        }
        _ => "native".to_owned(),
    };
    let _ = match name {
        Some(name) => write!(text, "\n    at {name} ({place})"),
        None if place == "native" => write!(text, "\n    at <anonymous> (native)"),
        None => write!(text, "\n    at {place}"),
    };
    Ok(())
}

fn ask<'js, T: rquickjs::FromJs<'js>>(site: &Object<'js>, method: &str) -> Result<T> {
    let method: Function = site.get(method)?;
    method.call((rquickjs::function::This(site.clone()),))
}

fn positive(number: i32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}
