//! Puts the bundles of `packages/sdk` into the binary, the embedded engine's as bytecode.
//!
//! Compiling the SDK takes QuickJS longer than everything else that an engine does to start, so it happens
//! here. `KICI_SDK_DIST` takes the bundles from elsewhere, for builds that bundle in another place.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::exit;

use rquickjs::loader::{Loader, Resolver};
use rquickjs::module::{Declared, WriteOptions};
use rquickjs::{Context, Ctx, Module, Runtime};

const BUNDLES: [&str; 4] = ["sdk.js", "guest.js", "node-main.js", "sdk.d.ts"];
const AS_BYTECODE: [&str; 2] = ["sdk.js", "guest.js"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=KICI_SDK_DIST");
    let dist = match std::env::var_os("KICI_SDK_DIST") {
        Some(dist) => PathBuf::from(dist),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packages/sdk/dist"),
    };
    let missing: Vec<&str> =
        BUNDLES.into_iter().filter(|bundle| !dist.join(bundle).is_file()).collect();
    for bundle in BUNDLES {
        println!("cargo::rerun-if-changed={}", dist.join(bundle).display());
    }
    if !missing.is_empty() {
        println!(
            "cargo::error=the built-in SDK is not bundled yet (missing in {}: {}); run `cargo xtask setup`",
            dist.display(),
            missing.join(", ")
        );
        exit(1);
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    for bundle in AS_BYTECODE {
        std::fs::write(
            out.join(format!("{bundle}.bytecode")),
            compile(&dist.join(bundle), bundle)?,
        )?;
    }
    println!("cargo::rustc-env=KICI_SDK_DIST={}", dist.display());
    Ok(())
}

/// The bytecode of one bundle. It keeps its source text: the SDK's own functions can be described, too.
fn compile(path: &Path, bundle: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let source = std::fs::read_to_string(path)?;
    let runtime = Runtime::new()?;
    runtime.set_loader(AnyName, Empty);
    let context = Context::full(&runtime)?;
    context.with(|ctx| {
        let module = Module::declare(ctx.clone(), format!("kici:{bundle}"), source);
        let bytecode = module.and_then(|module| module.write(WriteOptions::default()));
        bytecode.map_err(|error| match error {
            rquickjs::Error::Exception => format!("{}: {:?}", path.display(), ctx.catch()).into(),
            other => other.into(),
        })
    })
}

/// QuickJS looks up imports when it compiles; what they export is only asked when a module runs.
struct AnyName;

impl Resolver for AnyName {
    fn resolve<'js>(&mut self, _: &Ctx<'js>, _: &str, name: &str) -> rquickjs::Result<String> {
        Ok(name.to_owned())
    }
}

/// Stands for every import.
struct Empty;

impl Loader for Empty {
    fn load<'js>(&mut self, ctx: &Ctx<'js>, name: &str) -> rquickjs::Result<Module<'js, Declared>> {
        Module::declare(ctx.clone(), name, "")
    }
}
