//! The interface of an engine: load a module, call its functions by handle, answer its host calls.
//!
//! See `docs/design/engine.md`. `embedded` and `node` implement the two engines; nothing above this
//! module knows which one runs.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::describe::FnHandle;

pub use crate::choose::{ChooseError, EngineChoice, Wish, choose};
pub use crate::embedded::Warm;
pub use crate::failure::LoadError;
pub use crate::run::{Aborter, Engine, RunningCall};

/// Where the author's code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EngineKind {
    /// QuickJS inside this process.
    Embedded,
    /// A child process of Node.js.
    Node,
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EngineKind::Embedded => "embedded",
            EngineKind::Node => "node",
        })
    }
}

/// What an engine is asked to load.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// The repository (or workspace) root; source locations are relative to it.
    pub root: PathBuf,
    /// The entry file, relative to `root`, e.g. `.kici/workflows/ci.ts`.
    pub entry: PathBuf,
    /// Whether function texts are wanted (compiling) or not (running).
    pub mode: LoadMode,
    /// Which SDK `@kici-dev/sdk` resolves to.
    pub sdk: SdkChoice,
    /// Process environment that the author's code sees.
    pub env: Vec<(String, String)>,
    /// State for the guest: `{upstream: {outputs, statuses}, job: …}`; see `docs/design/engine.md`.
    pub state: Value,
    /// What the code may use.
    pub limits: Limits,
}

/// Why a module is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LoadMode {
    /// To write a lock file: functions come with their text.
    Describe,
    /// To run a job.
    Run,
}

/// Which SDK the author's import gets (`KICI_SDK`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SdkChoice {
    /// The SDK built into this binary.
    #[default]
    BuiltIn,
    /// The package installed in `.kici/node_modules` (Node engine only).
    Installed,
}

/// Bounds on the author's code.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Wall-clock time for loading the module.
    pub load: Duration,
    /// JavaScript heap, in bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { load: Duration::from_secs(30), memory: 512 * 1024 * 1024 }
    }
}

/// A call of one of the author's functions.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which function.
    pub function: FnHandle,
    /// What the guest builds the first argument from.
    pub kind: CallKind,
    /// Data for that argument.
    pub data: Value,
    /// Further arguments.
    pub args: Vec<Value>,
    /// Time that *uninterrupted JavaScript* may take before the engine gives up on it. The caller
    /// has its own clock for the whole call.
    pub budget: Duration,
}

/// The shape of a call's first argument (`docs/design/engine.md`, "Call kinds").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallKind {
    /// A step's context.
    Step,
    /// A step's context plus `outcome`.
    Hook,
    /// A rule's context.
    Rule,
    /// A generator's argument.
    Generator,
    /// A matrix function's argument.
    Matrix,
    /// The data itself.
    Plain,
}

/// An error that the author's code threw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{name}: {message}")]
pub struct Thrown {
    /// The error's class, `NonError` for a thrown value that is no Error.
    pub name: String,
    /// Its message.
    pub message: String,
    /// Its stack, positions in the author's TypeScript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Exit code of the command that failed, for errors of `ctx.$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Pass `{"$error": handle}` to give the original object back to the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<u32>,
}

/// Why a call gave no value.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The author's code threw.
    #[error(transparent)]
    Thrown(Thrown),
    /// The author's code hit a limit; the engine is gone.
    #[error("{what}")]
    Limit {
        /// Which limit, and its value.
        what: String,
    },
    /// The engine is gone for another reason (process killed, `process.exit` in user code).
    #[error("the workflow's engine stopped: {how}")]
    EngineLost {
        /// How it ended.
        how: String,
    },
}

/// Identifies a running call in host requests; 0 is "outside a call" (module top level).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

/// An error that the host answers with; the guest throws it as an `Error` (or the named class).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostError {
    /// Error class for the guest, `Error` if it does not matter.
    pub name: String,
    /// Message.
    pub message: String,
    /// Further properties for the guest's error object.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

/// A boxed answer of the host.
pub type HostAnswer = Pin<Box<dyn Future<Output = Result<Value, HostError>> + Send>>;

/// Lets the host push streamed data of one request to the guest before it answers.
pub type Push = std::sync::Arc<dyn Fn(Value) + Send + Sync>;

/// Answers what the author's code asks of the world. `kici-exec` implements it for jobs; compiling
/// uses a host that refuses everything but logs.
pub trait Host: Send + Sync + 'static {
    /// A request that wants an answer.
    fn request(&self, call: CallId, method: &str, params: Value, push: Push) -> HostAnswer;
    /// A notice that wants none (log lines). Called in order; must not block.
    fn notify(&self, call: CallId, method: &str, params: Value);
}
