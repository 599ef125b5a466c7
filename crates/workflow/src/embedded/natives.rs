//! Native functions behind the builtin scripts: files, processes that are waited for, `fetch`.
//!
//! They hang off `__kiciHost`, where the scripts in `js/` find them.

use std::rc::Rc;
use std::time::Duration;

use rquickjs::prelude::Func;
use rquickjs::{Ctx, IntoJs, Object, Result, TypedArray, Value};
use tokio::sync::mpsc;

use super::files::{Failure, Operation, Outcome, throw_system_error};
use super::loader::Shelf;
use super::processes::{self, Finished, Order};
use super::pulse::Pulse;

/// How many file operations may have ended before the engine's thread takes their outcomes; more wait.
const ENDED: usize = 64;

/// A file operation that has ended.
pub(crate) struct Completion {
    pub(crate) id: u32,
    pub(crate) outcome: std::result::Result<Outcome, Failure>,
}

/// Adds the functions to `__kiciHost`. The receiver gives the outcomes of file operations.
pub(crate) fn install(
    host: &Object<'_>,
    shelf: &Rc<Shelf>,
    pulse: &Pulse,
) -> Result<mpsc::Receiver<Completion>> {
    let (ended, completions) = mpsc::channel(ENDED);
    host.set(
        "startFiles",
        Func::from(move |id: u32, operation: Object<'_>| {
            let operation = operation_of(&operation)?;
            let ended = ended.clone();
            tokio::task::spawn_blocking(move || {
                let outcome = operation.perform();
                let _ = ended.blocking_send(Completion { id, outcome }); // the engine may be gone
            });
            Ok::<_, rquickjs::Error>(())
        }),
    )?;
    let beat = pulse.clone();
    host.set(
        "filesSync",
        Func::from(move |ctx: Ctx<'_>, operation: Object<'_>| {
            let outcome =
                operation_of(&operation)?.perform().map_err(|failure| failure.throw(&ctx));
            beat.beat(); // waiting for a disk is not computing
            outcome
        }),
    )?;
    let (beat, shelf) = (pulse.clone(), Rc::clone(shelf));
    host.set(
        "spawnSync",
        Func::from(move |ctx: Ctx<'_>, order: Object<'_>| {
            let order = order_of(&order)?;
            let file = order.file.clone();
            let stop = || shelf.job().is_some_and(|job| job.session.has_ended());
            let finished = processes::run(order, stop);
            beat.beat();
            finished.map_err(|error| {
                throw_system_error(&ctx, &error, &format!("spawnSync {file}"), "", Some(&file))
            })
        }),
    )?;
    // Reading the certificates takes longer than everything else, and few workflows fetch.
    host.set("loadFetch", Func::from(|ctx: Ctx<'_>| llrt_fetch::init(&ctx)))?;
    Ok(completions)
}

fn operation_of(object: &Object<'_>) -> Result<Operation> {
    Ok(Operation {
        name: object.get("name")?,
        path: object.get("path")?,
        to: object.get("to")?,
        data: bytes(object, "data")?,
        numbers: [
            object.get::<_, Option<f64>>("a")?.unwrap_or(0.0),
            object.get::<_, Option<f64>>("b")?.unwrap_or(0.0),
        ],
    })
}

fn order_of(object: &Object<'_>) -> Result<Order> {
    let env: Vec<Vec<String>> = object.get("env")?;
    let timeout: Option<f64> = object.get("timeout")?;
    Ok(Order {
        file: object.get("file")?,
        args: object.get("args")?,
        cwd: object.get("cwd")?,
        env: env
            .into_iter()
            .filter_map(|pair| <[String; 2]>::try_from(pair).ok())
            .map(|[key, value]| (key, value))
            .collect(),
        input: bytes(object, "input")?,
        timeout: timeout
            .filter(|ms| *ms > 0.0)
            .and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok()),
    })
}

fn bytes(object: &Object<'_>, key: &str) -> Result<Option<Vec<u8>>> {
    let data: Option<TypedArray<'_, u8>> = object.get(key)?;
    Ok(data.and_then(|data| data.as_bytes().map(<[u8]>::to_vec)))
}

impl<'js> IntoJs<'js> for Finished {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let object = Object::new(ctx.clone())?;
        object.set("pid", self.pid)?;
        object.set("status", self.code)?;
        object.set("signal", self.signal)?;
        object.set("timedOut", self.timed_out)?;
        object.set("stdout", TypedArray::new(ctx.clone(), self.stdout)?)?;
        object.set("stderr", TypedArray::new(ctx.clone(), self.stderr)?)?;
        object.into_js(ctx)
    }
}
