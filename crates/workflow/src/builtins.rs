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
        name: "assert",
        exports: &[
            "AssertionError",
            "deepEqual",
            "deepStrictEqual",
            "doesNotMatch",
            "doesNotReject",
            "doesNotThrow",
            "equal",
            "fail",
            "ifError",
            "match",
            "notDeepEqual",
            "notDeepStrictEqual",
            "notEqual",
            "notStrictEqual",
            "ok",
            "rejects",
            "strict",
            "strictEqual",
            "throws",
        ],
        code: script!("assert_module.js"),
    },
    Builtin {
        name: "assert/strict",
        exports: &[
            "AssertionError",
            "deepEqual",
            "deepStrictEqual",
            "doesNotMatch",
            "doesNotReject",
            "doesNotThrow",
            "equal",
            "fail",
            "ifError",
            "match",
            "notDeepEqual",
            "notDeepStrictEqual",
            "notEqual",
            "notStrictEqual",
            "ok",
            "rejects",
            "strictEqual",
            "throws",
        ],
        code: script!("assert_strict_module.js"),
    },
    Builtin {
        name: "child_process",
        exports: &["exec", "execFile", "execFileSync", "execSync", "spawn", "spawnSync"],
        code: script!("child_process_module.js"),
    },
    Builtin {
        name: "console",
        exports: &[
            "assert",
            "count",
            "countReset",
            "debug",
            "dir",
            "error",
            "group",
            "groupCollapsed",
            "groupEnd",
            "info",
            "log",
            "table",
            "time",
            "timeEnd",
            "timeLog",
            "trace",
            "warn",
        ],
        code: script!("console_module.js"),
    },
    Builtin {
        name: "crypto",
        exports: &[
            "createHash",
            "createHmac",
            "getRandomValues",
            "randomBytes",
            "randomFill",
            "randomFillSync",
            "randomInt",
            "randomUUID",
            "timingSafeEqual",
            "webcrypto",
        ],
        code: script!("crypto_module.js"),
    },
    Builtin {
        name: "events",
        exports: &["EventEmitter", "once"],
        code: script!("events_module.js"),
    },
    Builtin {
        name: "fs",
        exports: &[
            "Dirent",
            "Stats",
            "access",
            "accessSync",
            "appendFile",
            "appendFileSync",
            "chmod",
            "chmodSync",
            "constants",
            "copyFile",
            "copyFileSync",
            "cp",
            "cpSync",
            "existsSync",
            "link",
            "linkSync",
            "lstat",
            "lstatSync",
            "mkdir",
            "mkdirSync",
            "mkdtemp",
            "mkdtempSync",
            "promises",
            "readFile",
            "readFileSync",
            "readdir",
            "readdirSync",
            "readlink",
            "readlinkSync",
            "realpath",
            "realpathSync",
            "rename",
            "renameSync",
            "rm",
            "rmSync",
            "rmdir",
            "rmdirSync",
            "stat",
            "statSync",
            "symlink",
            "symlinkSync",
            "truncate",
            "truncateSync",
            "unlink",
            "unlinkSync",
            "utimes",
            "utimesSync",
            "writeFile",
            "writeFileSync",
        ],
        code: script!("fs_module.js"),
    },
    Builtin {
        name: "fs/promises",
        exports: &[
            "access",
            "appendFile",
            "chmod",
            "constants",
            "copyFile",
            "cp",
            "link",
            "lstat",
            "mkdir",
            "mkdtemp",
            "readFile",
            "readdir",
            "readlink",
            "realpath",
            "rename",
            "rm",
            "rmdir",
            "stat",
            "symlink",
            "truncate",
            "unlink",
            "utimes",
            "writeFile",
        ],
        code: script!("fs_promises_module.js"),
    },
    Builtin {
        name: "os",
        exports: &[
            "EOL",
            "arch",
            "availableParallelism",
            "cpus",
            "devNull",
            "endianness",
            "freemem",
            "getPriority",
            "homedir",
            "hostname",
            "loadavg",
            "machine",
            "networkInterfaces",
            "platform",
            "release",
            "setPriority",
            "tmpdir",
            "totalmem",
            "type",
            "uptime",
            "userInfo",
            "version",
        ],
        code: script!("os_module.js"),
    },
    Builtin {
        name: "path",
        exports: &[
            "basename",
            "delimiter",
            "dirname",
            "extname",
            "format",
            "isAbsolute",
            "join",
            "normalize",
            "parse",
            "posix",
            "relative",
            "resolve",
            "sep",
            "toNamespacedPath",
        ],
        code: script!("path_module.js"),
    },
    Builtin {
        name: "path/posix",
        exports: &[
            "basename",
            "delimiter",
            "dirname",
            "extname",
            "format",
            "isAbsolute",
            "join",
            "normalize",
            "parse",
            "posix",
            "relative",
            "resolve",
            "sep",
            "toNamespacedPath",
        ],
        code: script!("path_module.js"),
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
        exports: &["scheduler", "setImmediate", "setInterval", "setTimeout"],
        code: script!("timers_promises_module.js"),
    },
    Builtin {
        name: "util",
        exports: &[
            "TextDecoder",
            "TextEncoder",
            "callbackify",
            "deprecate",
            "format",
            "inherits",
            "inspect",
            "isDeepStrictEqual",
            "promisify",
            "stripVTControlCharacters",
        ],
        code: script!("util_module.js"),
    },
    Builtin {
        name: "buffer",
        exports: &["Buffer", "atob", "btoa", "constants"],
        code: Code::Native(native::<llrt::buffer::BufferModule>),
    },
    Builtin {
        name: "perf_hooks",
        exports: &["performance"],
        code: Code::Native(native::<llrt::perf_hooks::PerfHooksModule>),
    },
    Builtin {
        name: "stream/web",
        exports: &[
            "ReadableStream",
            "ReadableStreamDefaultReader",
            "ReadableStreamBYOBReader",
            "ReadableStreamDefaultController",
            "ReadableByteStreamController",
            "ReadableStreamBYOBRequest",
            "WritableStream",
            "WritableStreamDefaultWriter",
            "WritableStreamDefaultController",
            "ByteLengthQueuingStrategy",
            "CountQueuingStrategy",
        ],
        code: Code::Native(native::<llrt::stream_web::StreamWebModule>),
    },
    Builtin {
        name: "string_decoder",
        exports: &["StringDecoder"],
        code: Code::Native(native::<llrt::string_decoder::StringDecoderModule>),
    },
    Builtin {
        name: "tty",
        exports: &["isatty"],
        code: Code::Native(native::<llrt::tty::TtyModule>),
    },
    Builtin {
        name: "url",
        exports: &[
            "URL",
            "URLSearchParams",
            "domainToASCII",
            "domainToUnicode",
            "fileURLToPath",
            "format",
            "pathToFileURL",
            "urlToHttpOptions",
        ],
        code: script!("url_module.js"),
    },
    Builtin {
        name: "native/child_process",
        exports: &[],
        code: Code::Native(native::<llrt::child_process::ChildProcessModule>),
    },
    Builtin {
        name: "native/crypto",
        exports: &[],
        code: Code::Native(native::<llrt::crypto::CryptoModule>),
    },
    Builtin {
        name: "native/events",
        exports: &[],
        code: Code::Native(native::<llrt::events::EventsModule>),
    },
    Builtin { name: "native/os", exports: &[], code: Code::Native(native::<llrt_os::OsModule>) },
    Builtin {
        name: "native/url",
        exports: &[],
        code: Code::Native(native::<llrt::url::UrlModule>),
    },
    Builtin {
        name: "native/util",
        exports: &[],
        code: Code::Native(native::<llrt::util::UtilModule>),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::BUILTINS;
    use crate::describe::{JobEntry, StepEntry};
    use crate::engine::{
        Call, CallId, CallKind, Engine, EngineKind, Host, HostAnswer, HostError, Limits, LoadMode,
        LoadRequest, Push, SdkChoice,
    };

    struct Silent;

    impl Host for Silent {
        fn request(&self, _: CallId, method: &str, _: Value, _: Push) -> HostAnswer {
            let error = HostError {
                name: "Error".into(),
                message: format!("no method {method}"),
                data: Value::Null,
            };
            Box::pin(async move { Err(error) })
        }

        fn notify(&self, _: CallId, _: &str, _: Value) {}
    }

    /// `graph` decides by these lists; an author must get what they promise.
    #[tokio::test]
    async fn every_builtin_exports_what_its_list_says() {
        let names: Vec<&str> = BUILTINS
            .iter()
            .map(|builtin| builtin.name)
            .filter(|name| !name.starts_with("native/"))
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let imports: String = names
            .iter()
            .enumerate()
            .map(|(i, name)| format!("import * as m{i} from 'node:{name}';\n"))
            .collect();
        let keys: Vec<String> = (0..names.len())
            .map(|i| format!("Object.keys(m{i}).filter((key) => m{i}[key] !== undefined || key === 'exitCode')"))
            .collect();
        let module = format!(
            "import {{ workflow, job, step }} from '@kici-dev/sdk';\n{imports}export default workflow('w', {{ jobs: [job('j', {{ runsOn: 'x', steps: [step('s', () => [{}])] }})] }});",
            keys.join(", ")
        );
        std::fs::write(dir.path().join("ci.ts"), module).unwrap();
        let request = LoadRequest {
            root: dir.path().to_path_buf(),
            entry: "ci.ts".into(),
            mode: LoadMode::Run,
            sdk: SdkChoice::BuiltIn,
            env: Vec::new(),
            state: json!({}),
            limits: Limits::default(),
        };
        let engine = Engine::start(EngineKind::Embedded, request, Arc::new(Silent)).await.unwrap();
        let JobEntry::Static(job) = &engine.description().workflows[0].jobs[0] else {
            panic!("a static job")
        };
        let StepEntry::Step(step) = &job.steps[0] else { panic!("a step") };
        let (function, budget) = (step.run.handle, Duration::from_secs(10));
        let call =
            Call { function, kind: CallKind::Plain, data: Value::Null, args: Vec::new(), budget };
        let value = engine.begin(call).outcome().await.unwrap().unwrap();
        for (name, keys) in names.iter().zip(value.as_array().unwrap()) {
            let mut offered: Vec<&str> =
                keys.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            offered.retain(|key| *key != "default");
            offered.sort_unstable();
            let mut promised = super::exports(name).unwrap().to_vec();
            promised.sort_unstable();
            assert_eq!(promised, offered, "node:{name}");
        }
        engine.stop().await;
    }
}
