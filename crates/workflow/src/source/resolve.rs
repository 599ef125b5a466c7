//! Where an import leads: a file, a Node builtin, or the SDK.
//!
//! Packages follow Node's rules (`oxc_resolver`); relative imports also find what TypeScript authors expect
//! (`./x` and `./x.js` for `x.ts`, a folder with an index file). A relative import stays in the repository.

use std::path::{Component, Path, PathBuf};

use oxc_resolver::{ModuleType, ResolveError, ResolveOptions};

use crate::engine::SdkChoice;

/// The name that authors import the SDK by.
pub(crate) const SDK: &str = "@kici-dev/sdk";

/// Where an import leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file on disk.
    File {
        /// Its real path.
        path: PathBuf,
        /// What `package.json` and the ending say about it.
        declared: Declared,
    },
    /// A module of Node's own, without `node:`.
    Builtin(String),
    /// The SDK built into this binary.
    Sdk,
}

/// What a file claims to be before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    /// `.mjs`, `.mts`, TypeScript, or `"type": "module"`.
    Module,
    /// `.cjs`, `.cts`, or `"type": "commonjs"`.
    CommonJs,
    /// `.js` without a `type`: its syntax decides.
    Undeclared,
    /// `.json`.
    Json,
    /// `.node`, `.wasm` or another format that holds no JavaScript.
    Foreign,
}

/// Resolves imports of one repository.
pub(crate) struct Resolver {
    root: PathBuf,
    sdk: SdkChoice,
    inner: oxc_resolver::Resolver,
}

impl Resolver {
    /// `root` is the repository's real path.
    pub(crate) fn new(root: PathBuf, sdk: SdkChoice) -> Self {
        let alias =
            |from: &str, to: &[&str]| (from.to_owned(), to.iter().map(|&e| e.to_owned()).collect());
        let inner = oxc_resolver::Resolver::new(ResolveOptions {
            condition_names: vec!["node".into(), "import".into()],
            extensions: [".ts", ".tsx", ".mts", ".js", ".mjs", ".json", ".cjs", ".node"]
                .map(Into::into)
                .into(),
            extension_alias: vec![
                alias(".js", &[".js", ".ts", ".tsx"]),
                alias(".jsx", &[".jsx", ".tsx"]),
                alias(".mjs", &[".mjs", ".mts"]),
                alias(".cjs", &[".cjs", ".cts"]),
            ],
            builtin_modules: true,
            module_type: true,
            ..ResolveOptions::default()
        });
        Self { root, sdk, inner }
    }

    /// Resolves `specifier` as written in `importer`. The error says what is wrong and what to do.
    pub(crate) fn resolve(&self, importer: &Path, specifier: &str) -> Result<Target, String> {
        if specifier == SDK && self.sdk == SdkChoice::BuiltIn {
            return Ok(Target::Sdk);
        }
        if specifier.starts_with("@kici-dev/sdk/") && self.sdk == SdkChoice::BuiltIn {
            return Err(format!("the SDK has one entry; import from '{SDK}'"));
        }
        if let Some(scheme) = scheme(specifier)
            && !matches!(scheme, "node" | "file")
        {
            return Err(format!(
                "`{scheme}:` imports are not supported; put the module in the repository or install it as a package"
            ));
        }
        let plain = specifier.strip_prefix("file://").unwrap_or(specifier);
        let directory = importer.parent().unwrap_or(&self.root);
        match self.inner.resolve(directory, plain) {
            Ok(resolution) => {
                let declared = declared(resolution.path(), resolution.module_type());
                let path = resolution.into_path_buf();
                self.confine(importer, plain, &path)?;
                Ok(Target::File { path, declared })
            }
            Err(ResolveError::Builtin { resolved, .. }) => {
                Ok(Target::Builtin(resolved.strip_prefix("node:").unwrap_or(&resolved).to_owned()))
            }
            Err(error) => Err(explain(plain, &error)),
        }
    }

    /// Which SDK authors get.
    pub(crate) fn sdk(&self) -> SdkChoice {
        self.sdk
    }

    /// What a file that is known by its path claims to be.
    pub(crate) fn declared(&self, path: &Path) -> Declared {
        let resolution = self.inner.resolve(&self.root, &path.to_string_lossy());
        declared(path, resolution.ok().and_then(|resolution| resolution.module_type()))
    }

    /// A repository's own code must not reach into its surroundings: they differ from machine to machine.
    fn confine(&self, importer: &Path, specifier: &str, path: &Path) -> Result<(), String> {
        let by_path = specifier.starts_with('.') || specifier.starts_with('/');
        let own = importer.starts_with(&self.root) && !in_node_modules(importer);
        if by_path && own && !path.starts_with(&self.root) {
            return Err(format!(
                "it leads to {}, outside the repository {}; move the file into the repository",
                path.display(),
                self.root.display()
            ));
        }
        Ok(())
    }
}

/// Whether a file belongs to an installed package.
pub(crate) fn in_node_modules(path: &Path) -> bool {
    path.components().any(|part| part == Component::Normal("node_modules".as_ref()))
}

/// Whether this is one of Node's own modules (without `node:`).
pub(crate) fn is_node_builtin(name: &str) -> bool {
    nodejs_built_in_modules::is_nodejs_builtin_module(name)
        || nodejs_built_in_modules::is_nodejs_builtin_module(&format!("node:{name}"))
}

fn scheme(specifier: &str) -> Option<&str> {
    let (scheme, _) = specifier.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-'));
    is_scheme.then_some(scheme)
}

fn declared(path: &Path, module_type: Option<ModuleType>) -> Declared {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("ts" | "tsx" | "mts" | "mjs" | "jsx") => Declared::Module,
        Some("cjs" | "cts") => Declared::CommonJs,
        Some("json") => Declared::Json,
        Some("js") => match module_type {
            Some(ModuleType::Module) => Declared::Module,
            Some(ModuleType::CommonJs) => Declared::CommonJs,
            _ => Declared::Undeclared,
        },
        _ => Declared::Foreign,
    }
}

fn explain(specifier: &str, error: &ResolveError) -> String {
    match error {
        ResolveError::NotFound(_) | ResolveError::ExtensionAlias(..) if is_path(specifier) => {
            "there is no such file (tried .ts, .tsx, .mts, .js, .mjs, .json and an index file in a folder of that name)".to_owned()
        }
        ResolveError::NotFound(_) => {
            let package = package_name(specifier);
            format!("the package '{package}' is not installed; add it to `.kici/package.json` and run `npm install` there")
        }
        other => other.to_string(),
    }
}

fn is_path(specifier: &str) -> bool {
    specifier.starts_with('.') || specifier.starts_with('/')
}

fn package_name(specifier: &str) -> String {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    specifier.split('/').take(parts).collect::<Vec<_>>().join("/")
}
