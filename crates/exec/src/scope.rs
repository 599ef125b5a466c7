//! What one step (or hook, or rule) works on: its log, its view of the environment, its processes.
//!
//! A host call names the engine call it belongs to; `calls` finds the scope.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::Context;
use crate::environment::{EnvChange, EnvFiles, EnvView, Written};
use crate::indexes;
use crate::logs::{LogStream, StepLog};
use crate::process::{Group, Groups, Leftovers};

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// See the module.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The step's name, or the hook's.
    pub(crate) name: String,
    pub(crate) index: i64,
    pub(crate) log: Arc<StepLog>,
    pub(crate) groups: Groups,
    files: EnvFiles,
    env: Mutex<EnvView>,
    console: Mutex<Console>,
    running: Mutex<HashMap<u64, Group>>,
    secrets_read: Mutex<BTreeSet<String>>,
}

/// What JavaScript writes without `ctx.log`.
#[derive(Debug)]
struct Console {
    stdout: LogStream,
    stderr: LogStream,
}

impl Scope {
    /// A scope with fresh environment files.
    pub(crate) fn new(context: &Context, name: &str, index: i64) -> std::io::Result<Arc<Self>> {
        let log =
            if index == indexes::JOB { Arc::clone(&context.log) } else { context.logs.open(index) };
        // The number makes the directory unique: a step and its hooks have different ones.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let files = EnvFiles::create(context.temp().join(format!("scope-{number}.")))?;
        let extra = [("KICI_ENV", files.env()), ("KICI_PATH", files.path())]
            .map(|(name, path)| (name.to_owned(), path.to_string_lossy().into_owned()));
        Ok(Arc::new(Self {
            name: name.to_owned(),
            index,
            console: Mutex::new(Console { stdout: log.stream(), stderr: log.stream() }),
            log,
            groups: Groups::default(),
            env: Mutex::new(context.env.view(extra)),
            files,
            running: Mutex::default(),
            secrets_read: Mutex::default(),
        }))
    }

    /// Writes a line of the runner itself.
    pub(crate) fn note(&self, text: &str) {
        self.log.text(&format!("[kici] {text}"));
    }

    /// Takes raw text of `console` or `process.stdout`.
    pub(crate) fn console(&self, stderr: bool, text: &str) {
        let mut console = lock(&self.console);
        let stream = if stderr { &mut console.stderr } else { &mut console.stdout };
        stream.push(text.as_bytes());
    }

    /// Ends the console's last lines, which may have no newline.
    pub(crate) fn end_console(&self) {
        let mut console = lock(&self.console);
        console.stdout.finish();
        console.stderr.finish();
    }

    /// The scope's variables.
    pub(crate) fn env(&self) -> MutexGuard<'_, EnvView> {
        lock(&self.env)
    }

    /// Remembers a running command under the number of its request.
    pub(crate) fn command_started(&self, request: Option<u64>, group: Group) {
        self.groups.add(group);
        lock(&self.running).insert(request.unwrap_or(u64::MAX), group);
    }

    /// A command has ended.
    pub(crate) fn command_ended(&self, request: Option<u64>) {
        lock(&self.running).remove(&request.unwrap_or(u64::MAX));
    }

    /// The group of a running command.
    pub(crate) fn command(&self, request: u64) -> Option<Group> {
        lock(&self.running).get(&request).copied()
    }

    /// Whether a command runs right now.
    pub(crate) fn has_commands(&self) -> bool {
        !lock(&self.running).is_empty()
    }

    /// Records that a secret was read.
    pub(crate) fn secret_read(&self, key: &str) {
        lock(&self.secrets_read).insert(key.to_owned());
    }

    /// Names of the secrets that were read.
    pub(crate) fn secrets_read(&self) -> Vec<String> {
        lock(&self.secrets_read).iter().cloned().collect()
    }

    /// A place for files that vanish with the scope.
    pub(crate) fn temp_path(&self, name: &str) -> PathBuf {
        self.files.dir().join(name)
    }

    /// Processes that this scope has left behind.
    pub(crate) fn leftovers(&self) -> Leftovers<'_> {
        Leftovers { groups: &self.groups, mark: self.files.dir(), everything: false }
    }

    /// What the environment files and `setEnv` have changed; the view is reset.
    pub(crate) fn take_changes(&self, context: &Context) -> EnvChange {
        let view = std::mem::take(&mut *self.env());
        let mut written = self.files.read().unwrap_or_else(|error| {
            self.note(&format!("$KICI_ENV and $KICI_PATH could not be read: {error}"));
            Written::default()
        });
        written.vars.retain(|(name, _)| {
            let refused = context.env.is_protected(name);
            if refused {
                self.note(&format!("$KICI_ENV: {name} is reserved or names a secret; not changed"));
            }
            !refused
        });
        EnvChange::new(view, written)
    }

    /// Removes the scope's files. Background processes may have them open; that does no harm.
    pub(crate) fn dispose(&self) {
        let _already_gone = std::fs::remove_dir_all(self.files.dir());
    }

    /// The variables for a process.
    pub(crate) fn vars(&self) -> BTreeMap<String, String> {
        self.env().vars().clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
