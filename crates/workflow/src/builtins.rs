//! The Node builtins that the embedded engine offers: `llrt_modules`, completed by scripts in `embedded/js`.
//!
//! The export lists are what `graph` compares an author's imports with; a test compares them with the engine.

use llrt_modules as llrt;
use rquickjs::module::{Declared, ModuleDef};
use rquickjs::{Ctx, Module, Result};

/// Where a builtin's code is.
enum Code {
    /// Rust.
    Native(for<'js> fn(&Ctx<'js>, &str) -> Result<Module<'js, Declared>>),
    /// JavaScript, mostly on top of a native half named `native/…`.
    Script(&'static str),
}

struct Builtin {
    name: &'static str,
    exports: &'static [&'static str],
    code: Code,
}

fn native<'js, M: ModuleDef>(ctx: &Ctx<'js>, name: &str) -> Result<Module<'js, Declared>> {
    Module::declare_def::<M, _>(ctx.clone(), name)
}

macro_rules! script {
    ($file:literal) => {
        Code::Script(include_str!(concat!("embedded/js/", $file)))
    };
}

static BUILTINS: &[Builtin] = &[
    Builtin {
        name: "buffer",
        exports: &["Buffer", "atob", "btoa", "constants"],
        code: Code::Native(native::<llrt::buffer::BufferModule>),
    },
    Builtin {
        name: "crypto",
        exports: &[
            "createHash",
            "createHmac",
            "randomBytes",
            "randomUUID",
            "randomInt",
            "randomFillSync",
            "randomFill",
            "getRandomValues",
            "crypto",
            "webcrypto",
        ],
        code: Code::Native(native::<llrt::crypto::CryptoModule>),
    },
    Builtin {
        name: "string_decoder",
        exports: &["StringDecoder"],
        code: Code::Native(native::<llrt::string_decoder::StringDecoderModule>),
    },
    Builtin {
        name: "process",
        exports: &[
            "arch",
            "argv",
            "argv0",
            "chdir",
            "cwd",
            "env",
            "execPath",
            "exit",
            "exitCode",
            "getegid",
            "geteuid",
            "getgid",
            "getuid",
            "hrtime",
            "memoryUsage",
            "nextTick",
            "off",
            "on",
            "once",
            "pid",
            "platform",
            "ppid",
            "release",
            "stderr",
            "stdin",
            "stdout",
            "uptime",
            "version",
            "versions",
        ],
        code: script!("process_module.js"),
    },
    Builtin {
        name: "timers",
        exports: &[
            "clearImmediate",
            "clearInterval",
            "clearTimeout",
            "setImmediate",
            "setInterval",
            "setTimeout",
        ],
        code: script!("timers_module.js"),
    },
    Builtin {
        name: "timers/promises",
        exports: &["setTimeout", "setImmediate", "setInterval", "scheduler"],
        code: script!("timers_promises_module.js"),
    },
];

fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

/// What the builtin exports besides `default`; `None` for one that the embedded engine does not have.
pub(crate) fn exports(name: &str) -> Option<&'static [&'static str]> {
    find(name).map(|builtin| builtin.exports)
}

/// Declares the builtin in a context.
pub(crate) fn declare<'js>(ctx: &Ctx<'js>, name: &str) -> Option<Result<Module<'js, Declared>>> {
    let builtin = find(name)?;
    let module = format!("node:{name}");
    Some(match builtin.code {
        Code::Native(declare) => declare(ctx, &module),
        Code::Script(source) => Module::declare(ctx.clone(), module, source),
    })
}
