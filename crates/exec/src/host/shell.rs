//! `ctx.$`: commands of the author's code.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kici_workflow::engine::{HostError, Push};
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error;
use crate::calls::OpenCall;
use crate::context::Context;
use crate::failure::chain;
use crate::millis;
use crate::process::{self, Bounds, Command, Ended, Finished, Outlet, PushText, parse_signal};
use crate::scope::Scope;

/// A command of `ctx.$`, as the guest puts it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    command: String,
    #[serde(default)]
    shell: Option<String>,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    cwd: Option<PathBuf>,
    /// Replaces the whole environment.
    #[serde(default)]
    env: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    quiet: bool,
    #[serde(default)]
    verbose: bool,
    #[serde(default)]
    timeout_ms: Option<f64>,
    #[serde(default)]
    timeout_signal: Option<String>,
    #[serde(default)]
    input: Option<String>,
    #[serde(default)]
    input_base64: Option<String>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    encoding: Option<String>,
    /// The number of the request, for `process.kill`.
    #[serde(default)]
    request: Option<u64>,
}

/// A signal to a running command.
#[derive(Debug, Deserialize)]
pub(super) struct Kill {
    request: u64,
    #[serde(default)]
    signal: Option<String>,
}

/// Runs a command to its end.
pub(super) async fn run(
    context: &Context,
    open: &OpenCall,
    run: Run,
    push: Push,
) -> Result<Value, HostError> {
    if open.stop.term.is_cancelled() {
        return Err(error("the command was not started because the step is being stopped"));
    }
    let scope = &open.scope;
    let timeout = millis::duration(run.timeout_ms);
    let timeout_signal = signal_of(run.timeout_signal.as_deref())?;
    if run.verbose {
        scope.log.text(&format!("$ {}", run.command));
    }
    let base64 = run.encoding.as_deref() == Some("base64");
    let outlet = |name: &'static str| Outlet {
        log: (!run.quiet).then(|| scope.log.stream()),
        push: run.stream.then(|| pusher(Arc::clone(&push), name)),
    };
    let (stdout, stderr, request) = (outlet("stdout"), outlet("stderr"), run.request);
    let command = command(context, scope, run)?;
    let running = process::start(command, stdout, stderr).map_err(|cause| error(chain(&cause)))?;
    context.groups.add(running.group());
    scope.command_started(request, running.group());
    let bounds =
        Bounds { stop: open.stop.clone(), timeout, timeout_signal, grace: context.grace() };
    let finished = running.finish(bounds).await;
    scope.command_ended(request);
    let finished = finished.map_err(|cause| error(format!("could not wait: {cause}")))?;
    if finished.output_left_open {
        scope.note("a background process keeps this command's output open; not waiting for it");
    }
    if finished.all.truncated {
        scope.note("the command printed more than 16 MiB; the workflow sees only the beginning");
    }
    Ok(result(finished, base64))
}

/// Sends a signal to a running command and to everything it has started.
pub(super) fn kill(scope: &Scope, kill: &Kill) -> Result<Value, HostError> {
    let signal = signal_of(kill.signal.as_deref())?;
    if let Some(group) = scope.command(kill.request) {
        group.signal(signal);
    }
    Ok(Value::Null)
}

fn command(context: &Context, scope: &Scope, run: Run) -> Result<Command, HostError> {
    let input = match (run.input, run.input_base64) {
        (_, Some(encoded)) => Some(
            STANDARD
                .decode(encoded)
                .map_err(|cause| error(format!("the command's input is not base64: {cause}")))?,
        ),
        (input, None) => input.map(String::into_bytes),
    };
    let env = match run.env {
        Some(env) => env.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        None => scope.vars(),
    };
    let script = format!("{}{}", run.prefix.unwrap_or_default(), run.command);
    Ok(Command {
        program: run.shell.unwrap_or_else(|| "bash".to_owned()),
        args: vec!["-c".to_owned(), script],
        cwd: run.cwd.map_or_else(|| context.root.clone(), |dir| context.root.join(dir)),
        env,
        input,
    })
}

fn pusher(push: Push, stream: &'static str) -> PushText {
    Box::new(move |text| push(json!({ "stream": stream, "text": text })))
}

fn signal_of(name: Option<&str>) -> Result<Signal, HostError> {
    name.map_or(Ok(Signal::SIGTERM), |name| {
        parse_signal(name).ok_or_else(|| error(format!("there is no signal '{name}'")))
    })
}

fn result(finished: Finished, base64: bool) -> Value {
    let (exit_code, signal) = match finished.ended {
        Ended::Exited(code) => (Some(code), None),
        Ended::Killed(signal) => (None, Some(signal)),
    };
    let mut result = json!({
        "exitCode": exit_code,
        "signal": signal,
        "stdout": finished.stdout.text(),
        "stderr": finished.stderr.text(),
        "all": finished.all.text(),
        "durationMs": millis::of(finished.duration),
        "timedOut": finished.timed_out,
    });
    if base64 {
        result["stdoutBase64"] = Value::String(STANDARD.encode(&finished.stdout.bytes));
    }
    if finished.all.truncated {
        result["truncated"] = Value::Bool(true);
    }
    result
}
