//! Gives the embedded engine its modules: our own bundles, Node builtins, and the author's files.
//!
//! A module's name is its real path, `node:…` for a builtin, or `kici:…` for a bundle.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rquickjs::loader::{Loader, Resolver};
use rquickjs::module::Declared as Ready;
use rquickjs::{Ctx, Error, Exception, Module, Result};

use super::trace::Maps;
use crate::builtins;
use crate::bundles;
use crate::failure::LoadError;
use crate::session::Session;
use crate::source::resolve::{Declared, SDK, is_node_builtin};
use crate::source::{ModuleKind, Sources, Target};

/// The name of the guest's module.
pub(crate) const GUEST: &str = "kici:guest.js";
const SDK_MODULE: &str = "kici:sdk.js";

/// What resolver, loader and stack traces share. The job is put in once it is known.
#[derive(Default)]
pub(crate) struct Shelf {
    job: RefCell<Option<Rc<Job>>>,
    pub(crate) maps: Rc<Maps>,
    /// Whether a module that was loaded awaits outside of any function.
    pub(crate) awaits_at_top: Cell<bool>,
    /// What `package.json` said about files that were resolved.
    declared: RefCell<HashMap<PathBuf, Declared>>,
}

/// The job that a prepared engine was given.
pub(crate) struct Job {
    pub(crate) session: Arc<Session>,
    pub(crate) sources: Sources,
}

impl Shelf {
    /// The job, once it is known and as long as it runs.
    pub(crate) fn job(&self) -> Option<Rc<Job>> {
        self.job.borrow().clone()
    }

    /// Puts the job in, or takes it out.
    pub(crate) fn set_job(&self, job: Option<Job>) {
        *self.job.borrow_mut() = job.map(Rc::new);
    }

    fn fail(&self, ctx: &Ctx<'_>, error: LoadError) -> Error {
        let message = error.to_string();
        let is_syntax = matches!(error, LoadError::Syntax { .. });
        if let Some(job) = self.job() {
            job.session.note_trouble(error);
        }
        if is_syntax {
            Exception::throw_syntax(ctx, &message)
        } else {
            Exception::throw_message(ctx, &message)
        }
    }
}

/// The engine's module resolver.
pub(crate) struct Names(pub(crate) Rc<Shelf>);

impl Resolver for Names {
    fn resolve<'js>(&mut self, ctx: &Ctx<'js>, base: &str, name: &str) -> Result<String> {
        if name == SDK {
            return Ok(SDK_MODULE.to_owned());
        }
        if let Some(builtin) = builtin_name(base, name) {
            return Ok(format!("node:{builtin}"));
        }
        if is_ours(base) && (is_ours(name) || Path::new(name).is_absolute()) {
            return Ok(name.to_owned()); // the guest importing the entry, or a builtin importing its native half
        }
        let Some(job) = self.0.job() else { return Err(Error::new_resolving(base, name)) };
        match job.sources.resolve(Path::new(base), name) {
            Ok(Target::Sdk) => Ok(SDK_MODULE.to_owned()),
            Ok(Target::Builtin(missing)) => {
                let why = format!(
                    "the embedded engine does not offer node:{missing}; leave the choice to KICI_JS_ENGINE=auto, or set it to node"
                );
                Err(self.0.fail(ctx, job.sources.resolve_error(Path::new(base), name, why)))
            }
            Ok(Target::File { path, declared }) => {
                let name = path.to_string_lossy().into_owned();
                self.0.declared.borrow_mut().insert(path, declared);
                Ok(name)
            }
            Err(error) => Err(self.0.fail(ctx, error)),
        }
    }
}

/// The builtin that `name` means, if the engine offers it.
fn builtin_name<'n>(base: &str, name: &'n str) -> Option<&'n str> {
    let bare = name.strip_prefix("node:").unwrap_or(name);
    let known = is_node_builtin(bare) || (is_ours(base) && bare.starts_with("native/"));
    (known && builtins::exports(bare).is_some()).then_some(bare)
}

fn is_ours(module: &str) -> bool {
    module.starts_with("kici:") || module.starts_with("node:")
}

/// The engine's module loader.
pub(crate) struct Modules(pub(crate) Rc<Shelf>);

impl Loader for Modules {
    fn load<'js>(&mut self, ctx: &Ctx<'js>, name: &str) -> Result<Module<'js, Ready>> {
        match name {
            SDK_MODULE => return bundle(ctx, bundles::SDK_BYTECODE),
            GUEST => return bundle(ctx, bundles::GUEST_BYTECODE),
            _ => {}
        }
        if let Some(builtin) = name.strip_prefix("node:") {
            return builtins::declare(ctx, builtin)
                .unwrap_or_else(|| Err(Error::new_loading(name)));
        }
        let Some(job) = self.0.job() else { return Err(Error::new_loading(name)) };
        let path = Path::new(name);
        let declared = self.0.declared.borrow().get(path).copied();
        let declared = declared.unwrap_or_else(|| job.sources.declared(path));
        match job.sources.load(path, declared) {
            Ok(loaded) => {
                let why = match loaded.kind {
                    ModuleKind::EsModule => {
                        self.0
                            .awaits_at_top
                            .set(self.0.awaits_at_top.get() || loaded.awaits_at_top);
                        if let Some(map) = &loaded.map {
                            self.0.maps.add(name, map);
                        }
                        return declare_file(ctx, name, path, loaded.code);
                    }
                    ModuleKind::CommonJs => "is a CommonJS module",
                    ModuleKind::Foreign => "is not JavaScript",
                };
                let shown = job.sources.shown(path);
                let message = format!(
                    "`{shown}` {why}, which the embedded engine cannot load; leave the choice to KICI_JS_ENGINE=auto, or set it to node"
                );
                Err(Exception::throw_message(ctx, &message))
            }
            Err(error) => Err(self.0.fail(ctx, error)),
        }
    }
}

#[expect(unsafe_code, reason = "reading bytecode is as safe as the bytecode")]
fn bundle<'js>(ctx: &Ctx<'js>, bytecode: &[u8]) -> Result<Module<'js, Ready>> {
    // SAFETY: `build.rs` wrote it with the same version of QuickJS, and it is part of this binary.
    unsafe { Module::load(ctx.clone(), bytecode) }
}

fn declare_file<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    path: &Path,
    code: String,
) -> Result<Module<'js, Ready>> {
    let module = Module::declare(ctx.clone(), name, code)?;
    let meta = module.meta()?;
    meta.set("url", crate::source::file_url(path))?;
    meta.set("filename", name)?;
    meta.set("dirname", path.parent().unwrap_or(path).to_string_lossy().into_owned())?;
    meta.set("main", false)?;
    Ok(module)
}
