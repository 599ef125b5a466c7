//! The thread of one embedded engine: prepares QuickJS, then carries frames until the session ends.
//!
//! One frame or timer at a time: microtasks run dry before the next, so the guest can tell which call it is
//! working for (`__kiciHost.context`, see `docs/design/engine.md`).

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rquickjs::function::This;
use rquickjs::{AsyncContext, AsyncRuntime, CatchResultExt, Ctx, Function, Module, Object};
use tokio::sync::{mpsc, oneshot};

use super::globals::{self, Alarm, Parts};
use super::loader::{GUEST, Job, Modules, Names, Shelf};
use super::meter::{Meter, Usage};
use super::natives::Completion;
use super::pulse::Pulse;
use super::rejections::Rejections;
use super::{directory, trace};
use crate::session::{End, Session};
use crate::source::Sources;

/// The thread's stack. JavaScript may use a part of it; the rest is for native code below.
pub(crate) const STACK: usize = 8 * 1024 * 1024;
const JS_STACK: usize = 4 * 1024 * 1024;
/// Memory while there is no job yet: SDK and guest need a few MiB.
const WARM_MEMORY: usize = 256 * 1024 * 1024;

/// A job for a prepared engine.
pub(crate) struct Order {
    pub(crate) session: Arc<Session>,
    pub(crate) outbox: mpsc::UnboundedReceiver<String>,
    pub(crate) sources: Sources,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) entry: String,
    pub(crate) memory: usize,
}

/// The thread's main function.
///
/// `gone` is told when no more code runs; freeing the memory goes on after that.
pub(crate) fn run(
    ready: oneshot::Sender<Result<(), String>>,
    orders: oneshot::Receiver<Order>,
    gone: oneshot::Sender<()>,
) {
    directory::separate();
    let pulse = Pulse::new();
    let unparked = pulse.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_unpark(move || unparked.beat())
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(format!("its event loop could not be created ({error})")));
            return;
        }
    };
    runtime.block_on(async {
        match Prepared::new(&pulse).await {
            Ok(prepared) => {
                let _ = ready.send(Ok(()));
                if let Ok(order) = orders.await {
                    let prepared = prepared.serve(order, &pulse).await;
                    let _ = gone.send(()); // nobody may be waiting
                    prepared.dismantle();
                }
            }
            Err(what) => {
                let _ = ready.send(Err(what));
            }
        }
    });
    // Blocking file operations that are still under way are not waited for.
    runtime.shutdown_background();
}

/// QuickJS with the SDK and the guest loaded.
struct Prepared {
    context: AsyncContext,
    shelf: Rc<Shelf>,
    alarm: Rc<Alarm>,
    usage: Arc<Usage>,
    rejections: Rejections,
    completions: mpsc::Receiver<Completion>,
    /// Whether the interrupt handler has stopped code. Such a runtime is not freed.
    interrupted: Rc<Cell<bool>>,
    /// After everything that lives in it.
    _runtime: AsyncRuntime,
}

impl Prepared {
    async fn new(pulse: &Pulse) -> Result<Self, String> {
        let usage = Usage::new(WARM_MEMORY);
        let fail = |error: rquickjs::Error| format!("QuickJS did not start ({error})");
        let runtime = AsyncRuntime::new_with_alloc(Meter(Arc::clone(&usage))).map_err(fail)?;
        let shelf = Rc::new(Shelf::default());
        let rejections = Rejections::default();
        runtime.set_max_stack_size(JS_STACK).await;
        runtime.set_gc_threshold(4 * 1024 * 1024).await;
        runtime.set_loader(Names(Rc::clone(&shelf)), Modules(Rc::clone(&shelf))).await;
        let interrupted = Rc::new(Cell::new(false));
        runtime.set_interrupt_handler(Some(interrupt(&shelf, &usage, pulse, &interrupted))).await;
        runtime.set_host_promise_rejection_tracker(Some(rejections.tracker())).await;
        let context = AsyncContext::full(&runtime).await.map_err(fail)?;
        let alarm = Rc::new(Alarm::default());
        let parts = Parts {
            shelf: Rc::clone(&shelf),
            alarm: Rc::clone(&alarm),
            usage: Arc::clone(&usage),
            pulse: pulse.clone(),
        };
        let completions = load_guest(&context, parts).await?;
        Ok(Self {
            context,
            shelf,
            alarm,
            usage,
            rejections,
            completions,
            interrupted,
            _runtime: runtime,
        })
    }

    async fn serve(mut self, order: Order, pulse: &Pulse) -> Self {
        let Order { session, mut outbox, sources, env, entry, memory } = order;
        self.usage.set_limit(memory);
        if let Err(error) = directory::enter(sources.root()) {
            tracing::debug!("the embedded engine stays in the process's directory: {error}");
        }
        let job = Job { session: Arc::clone(&session), sources };
        self.shelf.set_job(Some(job));
        let (alarm, usage, rejections) =
            (Rc::clone(&self.alarm), Arc::clone(&self.usage), self.rejections.clone());

        let completions = &mut self.completions;
        rquickjs::async_with!(self.context => |ctx| {
            let guest = match Guest::find(&ctx, env, &entry) {
                Ok(guest) => guest,
                Err(error) => {
                    session.end(End::Lost(format!("its guest is broken ({error})")));
                    return;
                }
            };
            let mut ended = pin!(session.wait_for_end());
            let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
            poll_fn(|cx| {
                pulse.beat();
                for text in rejections.take() {
                    session.log("error", &format!("unhandled promise rejection: {text}"));
                }
                if usage.exceeded() {
                    session.end(End::over_memory(memory));
                }
                if ended.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                match outbox.poll_recv(cx) {
                    Poll::Ready(Some(frame)) => {
                        guest.receive(&ctx, &session, frame);
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
                if let Poll::Ready(Some(completion)) = completions.poll_recv(cx) {
                    guest.complete(&ctx, &session, completion);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if let Some(due) = alarm.due() {
                    sleep.as_mut().reset(due.into());
                    if sleep.as_mut().poll(cx).is_ready() {
                        guest.fire(&ctx, &session);
                        cx.waker().wake_by_ref();
                    }
                }
                Poll::Pending
            })
            .await;
        })
        .await;
        self
    }

    /// Frees the runtime where QuickJS can.
    ///
    /// It aborts the process when it frees a module that still awaits at its top level, and who knows what it
    /// does after it was interrupted in the middle. That memory is better lost: it is an exception, and most
    /// engines live in a process that ends with their job.
    fn dismantle(self) {
        drop(self.rejections.take());
        self.shelf.set_job(None);
        self.usage.set_limit(usize::MAX);
        if self.interrupted.get() || self.usage.exceeded() || self.shelf.awaits_at_top.get() {
            std::mem::forget(self);
        }
    }
}

/// Fills the global scope and evaluates the guest, which evaluates the SDK.
async fn load_guest(
    context: &AsyncContext,
    parts: Parts,
) -> Result<mpsc::Receiver<Completion>, String> {
    rquickjs::async_with!(context => |ctx| {
        let describe = |error: rquickjs::CaughtError<'_>| format!("the guest did not load ({error})");
        trace::install(&ctx, Rc::clone(&parts.shelf.maps)).catch(&ctx).map_err(describe)?;
        let completions = globals::install(&ctx, &parts).catch(&ctx).map_err(describe)?;
        let main = format!("import '{GUEST}';");
        let promise = Module::evaluate(ctx.clone(), "kici:main.js", main).catch(&ctx).map_err(describe)?;
        promise.into_future::<()>().await.catch(&ctx).map_err(describe)?;
        Ok(completions)
    })
    .await
}

/// The interrupt handler: QuickJS asks it every few thousand operations whether to go on.
fn interrupt(
    shelf: &Rc<Shelf>,
    usage: &Arc<Usage>,
    pulse: &Pulse,
    interrupted: &Rc<Cell<bool>>,
) -> rquickjs::runtime::InterruptHandler {
    let (shelf, usage, pulse) = (Rc::clone(shelf), Arc::clone(usage), pulse.clone());
    let interrupted = Rc::clone(interrupted);
    Box::new(move || {
        let Some(job) = shelf.job() else { return false };
        let session = &job.session;
        if usage.exceeded() {
            session.end(End::over_memory(usage.limit()));
        } else if pulse.busy() > session.allowance() {
            session.end_runaway(session.allowance());
        }
        let stop = session.has_ended();
        if stop {
            interrupted.set(true);
        }
        stop
    })
}

/// The guest's entry points.
struct Guest<'js> {
    object: Object<'js>,
    receive: Function<'js>,
    fire: Function<'js>,
    complete: Function<'js>,
}

impl<'js> Guest<'js> {
    fn find(ctx: &Ctx<'js>, env: Vec<(String, String)>, entry: &str) -> rquickjs::Result<Self> {
        let host: Object = ctx.globals().get("__kiciHost")?;
        let pairs: Vec<Vec<String>> =
            env.into_iter().map(|(key, value)| vec![key, value]).collect();
        host.get::<_, Function>("begin")?.call::<_, ()>((pairs, entry))?;
        let object: Object = ctx.globals().get("__kiciGuest")?;
        Ok(Self {
            receive: object.get("receive")?,
            fire: host.get("fire")?,
            complete: host.get("complete")?,
            object,
        })
    }

    fn receive(&self, ctx: &Ctx<'js>, session: &Session, frame: String) {
        let result = self.receive.call::<_, ()>((This(self.object.clone()), frame));
        if let Err(error) = result.catch(ctx) {
            session.end(End::Lost(format!("its guest failed ({error})")));
        }
    }

    fn complete(&self, ctx: &Ctx<'js>, session: &Session, completion: Completion) {
        let Completion { id, outcome } = completion;
        let result = match outcome {
            Ok(value) => self.complete.call::<_, ()>((id, value)),
            Err(failure) => failure
                .into_exception(ctx)
                .and_then(|error| self.complete.call::<_, ()>((id, rquickjs::Undefined, error))),
        };
        if let Err(error) = result.catch(ctx) {
            session.end(End::Lost(format!("a file operation could not be completed ({error})")));
        }
    }

    fn fire(&self, ctx: &Ctx<'js>, session: &Session) {
        if let Err(error) = self.fire.call::<_, ()>(()).catch(ctx) {
            session.log("error", &format!("uncaught error in a timer: {error}"));
        }
    }
}
