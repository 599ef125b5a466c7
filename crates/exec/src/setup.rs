//! Everything before the module is loaded: checkout, packages, drift check.

use serde_json::Value;

use crate::checkout::{self, Borrowed, CheckoutError, Places};
use crate::context::Context;
use crate::failure::chain;
use crate::spec::Checkout;
use crate::{deps, drift};

/// Brings the repository's files. What it returns has to be kept until the job is over.
pub(crate) async fn check_out(context: &Context) -> Result<Borrowed, String> {
    let spec = &context.spec;
    let (url, reference) = match &spec.checkout {
        Checkout::InPlace { .. } => return Ok(Borrowed::default()),
        Checkout::Git { url, reference, .. } => (url, reference.as_str()),
        Checkout::None { url, .. } => (url, ""),
    };
    let shown = checkout::redact_url(url);
    context.log.text(&format!(
        "[workflow-runner] Cloning {shown} ref={reference} into {}",
        context.root.display()
    ));
    let places = Places {
        workspace: &context.root,
        mirrors: spec.mirrors.as_deref(),
        temp: context.temp(),
        detached: is_tag(reference, &spec.event),
    };
    let stop = context.control.stop.term.clone();
    match checkout::checkout(&spec.checkout, &places, stop).await {
        Ok(borrowed) => {
            context.log.text("[workflow-runner] Clone complete");
            Ok(borrowed)
        }
        Err(CheckoutError::Stopped { .. }) => Ok(Borrowed::default()),
        Err(error) => Err(format!("could not check out {shown}: {}", chain(&error))),
    }
}

/// Whether HEAD cannot be on a branch of that name.
fn is_tag(reference: &str, event: &Value) -> bool {
    let of_event = event.pointer("/payload/ref").and_then(Value::as_str);
    reference.starts_with("refs/tags/")
        || of_event.is_some_and(|full| full.strip_prefix("refs/tags/") == Some(reference))
}

/// Installs npm packages, if there are any.
pub(crate) async fn packages(context: &Context) -> Result<(), String> {
    let kici = context.root.join(".kici");
    let stop = &context.control.stop;
    if stop.term.is_cancelled()
        || !deps::needed(&kici, context.spec.installed_sdk).map_err(|error| chain(&error))?
    {
        return Ok(());
    }
    context.log.text("[workflow-runner] Installing deps inline (no cache)");
    let cache = match &context.spec.mirrors {
        Some(mirrors) => mirrors.join("packages"),
        None => context.temp().join("packages"),
    };
    match deps::install(&kici, &cache, stop).await {
        Ok(()) => {
            context.log.text("[workflow-runner] Deps installed");
            Ok(())
        }
        Err(deps::DepsError::Stopped) => Ok(()),
        Err(error) => {
            context.log.text(error.output().unwrap_or_default());
            Err(chain(&error))
        }
    }
}

/// Compares the code with the lock file.
pub(crate) fn check_drift(context: &Context) -> Result<(), String> {
    let spec = &context.spec;
    let Some(expected) = &spec.content_hash else { return Ok(()) };
    if context.control.stop.term.is_cancelled() {
        return Ok(());
    }
    drift::check(&context.root, &spec.source_file, &spec.resolved_hash_files, expected)
        .map_err(|error| chain(&error))
}
