//! Promises that were rejected and that nobody handles: reported once the microtasks have run dry.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::runtime::RejectionTracker;
use rquickjs::{Ctx, Persistent, Value};

/// Rejections that may still be handled in this turn.
#[derive(Clone, Default)]
pub(crate) struct Rejections(Rc<RefCell<Vec<Pending>>>);

struct Pending {
    promise: Persistent<Value<'static>>,
    text: String,
}

impl Rejections {
    /// The callback for the runtime.
    pub(crate) fn tracker(&self) -> RejectionTracker {
        let pending = Rc::clone(&self.0);
        Box::new(move |ctx, promise, reason, handled| {
            if handled {
                forget(&pending, &ctx, &promise);
            } else {
                let text = describe(&reason);
                pending
                    .borrow_mut()
                    .push(Pending { promise: Persistent::save(&ctx, promise), text });
            }
        })
    }

    /// What nobody handled in the turn that has just ended.
    pub(crate) fn take(&self) -> Vec<String> {
        let pending = std::mem::take(&mut *self.0.borrow_mut());
        pending.into_iter().map(|one| one.text).collect()
    }
}

fn forget<'js>(pending: &RefCell<Vec<Pending>>, ctx: &Ctx<'js>, promise: &Value<'js>) {
    pending.borrow_mut().retain(|one| match one.promise.clone().restore(ctx) {
        Ok(known) => known != *promise,
        Err(_) => true,
    });
}

/// The stack of an error, else the value as text.
fn describe(reason: &Value<'_>) -> String {
    let stack = reason
        .as_object()
        .and_then(|object| object.get::<_, Option<String>>("stack").ok().flatten());
    if let Some(stack) = stack {
        return stack;
    }
    let text = reason.ctx().json_stringify(reason.clone()).ok().flatten();
    match text.and_then(|text| text.to_string().ok()) {
        Some(json) => json,
        None => format!("a value of type {}", reason.type_name()),
    }
}
