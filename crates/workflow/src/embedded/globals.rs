//! What author code finds in the global scope of the embedded engine.
//!
//! Web APIs come from `llrt_modules`; `process` and timers are scripts of ours over a few native functions,
//! because they belong to the job and not to this process.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llrt_modules as llrt;
use rquickjs::prelude::Func;
use rquickjs::{Ctx, Exception, Function, Object, Result};
use tokio::sync::mpsc;

use super::files::throw_system_error;
use super::loader::Shelf;
use super::meter::Usage;
use super::natives::{self, Completion};
use super::pulse::Pulse;
use crate::session::End;

/// When the next timer is due.
#[derive(Default)]
pub(crate) struct Alarm(Cell<Option<Instant>>);

impl Alarm {
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.get()
    }
}

/// The pieces that native functions need.
pub(crate) struct Parts {
    pub(crate) shelf: Rc<Shelf>,
    pub(crate) alarm: Rc<Alarm>,
    pub(crate) usage: Arc<Usage>,
    pub(crate) pulse: Pulse,
}

/// Installs everything and gives the outcomes of file operations.
pub(crate) fn install(ctx: &Ctx<'_>, parts: &Parts) -> Result<mpsc::Receiver<Completion>> {
    llrt::exceptions::init(ctx)?;
    llrt::events::init(ctx)?;
    llrt::abort::init(ctx)?;
    llrt::buffer::init(ctx)?;
    llrt::stream_web::init(ctx)?;
    llrt::url::init(ctx)?;
    llrt::util::init(ctx)?;
    llrt::crypto::init(ctx)?;
    llrt::perf_hooks::init(ctx)?;
    llrt::console::init(ctx)?;
    llrt::navigator::init(ctx)?;

    let host = Object::new(ctx.clone())?;
    host.set("context", 0)?;
    engine_functions(&host, parts)?;
    let completions = natives::install(&host, &parts.shelf, &parts.pulse)?;
    let facts = facts(ctx)?;
    script(ctx, "kici:timers.js", include_str!("js/timers.js"))?.call::<_, ()>((host.clone(),))?;
    script(ctx, "kici:process.js", include_str!("js/process.js"))?
        .call::<_, ()>((host.clone(), facts))?;
    script(ctx, "kici:globals.js", include_str!("js/globals.js"))?
        .call::<_, ()>((host.clone(),))?;
    ctx.globals().set("__kiciHost", host)?;
    Ok(completions)
}

fn script<'js>(ctx: &Ctx<'js>, name: &str, source: &str) -> Result<Function<'js>> {
    let mut options = rquickjs::context::EvalOptions::default();
    options.filename = Some(name.to_owned());
    ctx.eval_with_options(source, options)
}

fn engine_functions(host: &Object<'_>, parts: &Parts) -> Result<()> {
    let origin = Instant::now();
    let millis = move || origin.elapsed().as_secs_f64() * 1000.0;
    host.set("now", Func::from(millis))?;
    let alarm = Rc::clone(&parts.alarm);
    host.set(
        "wakeAt",
        Func::from(move |at: f64| {
            alarm.0.set((at >= 0.0).then(|| origin + Duration::from_secs_f64(at / 1000.0)));
        }),
    )?;

    let shelf = Rc::clone(&parts.shelf);
    host.set(
        "send",
        Func::from(move |frame: String| {
            // Before the job is known the guest can only say `ready`.
            if let Some(job) = shelf.job() {
                job.session.on_frame(&frame);
            }
        }),
    )?;
    let shelf = Rc::clone(&parts.shelf);
    host.set("exit", Func::from(move |code: String| {
        if let Some(job) = shelf.job() {
            job.session.end(End::Lost(format!(
                "the workflow called process.exit({code}); throw an error to fail, or return to succeed"
            )));
        }
    }))?;
    let shelf = Rc::clone(&parts.shelf);
    host.set(
        "write",
        Func::from(move |level: String, text: String| {
            if let Some(job) = shelf.job() {
                job.session.log(&level, &text);
            }
        }),
    )?;
    let usage = Arc::clone(&parts.usage);
    #[expect(clippy::cast_precision_loss, reason = "a size for people to read")]
    host.set("memory", Func::from(move || usage.used() as f64))?;
    host.set(
        "cwd",
        Func::from(|ctx: Ctx<'_>| {
            let dir = std::env::current_dir()
                .map_err(|error| throw_system_error(&ctx, &error, "getcwd", "", None))?;
            Ok::<_, rquickjs::Error>(dir.to_string_lossy().into_owned())
        }),
    )?;
    host.set(
        "chdir",
        Func::from(|ctx: Ctx<'_>, dir: String| {
            super::directory::enter(std::path::Path::new(&dir)).map_err(|error| {
                throw_system_error(&ctx, &error, "chdir", &format!("'{dir}'"), Some(&dir))
            })
        }),
    )?;
    host.set("kill", Func::from(kill))
}

fn facts<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let facts = Object::new(ctx.clone())?;
    facts.set("pid", std::process::id())?;
    facts.set("ppid", nix::unistd::getppid().as_raw())?;
    facts.set("uid", nix::unistd::getuid().as_raw())?;
    facts.set("gid", nix::unistd::getgid().as_raw())?;
    facts.set(
        "platform",
        match std::env::consts::OS {
            "macos" => "darwin",
            "windows" => "win32",
            os => os,
        },
    )?;
    facts.set(
        "arch",
        match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            arch => arch,
        },
    )?;
    facts.set(
        "execPath",
        std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
    )?;
    facts.set("kici", env!("CARGO_PKG_VERSION"))?;
    Ok(facts)
}

fn kill(ctx: Ctx<'_>, pid: f64, signal: String) -> Result<()> {
    use std::str::FromStr as _;
    let unknown = || Exception::throw_type(&ctx, &format!("Unknown signal: {signal}"));
    let signal = match signal.parse::<i32>() {
        Ok(0) => None,
        Ok(number) => Some(nix::sys::signal::Signal::try_from(number).map_err(|_| unknown())?),
        Err(_) => Some(nix::sys::signal::Signal::from_str(&signal).map_err(|_| unknown())?),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "process ids are small integers; others are refused below"
    )]
    let target = pid as i32;
    if f64::from(target) != pid {
        return Err(Exception::throw_type(&ctx, "the process id must be an integer"));
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(target), signal)
        .map_err(|error| throw_system_error(&ctx, &error.into(), "kill", "", None))
}
