//! Why a workflow module could not be loaded, in words that its author can act on.
//!
//! `resolve`, `strip` and the engines make these; the CLI prints them as they are.

use std::path::PathBuf;

use crate::engine::Thrown;

/// Why a module did not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The entry file is not there.
    #[error("there is no workflow file `{entry}` in {root}", root = root.display())]
    NoEntry {
        /// The entry as it was asked for.
        entry: String,
        /// Where it was looked for.
        root: PathBuf,
    },
    /// A file could not be read.
    #[error("could not read `{file}`")]
    Read {
        /// The file, relative to the root where possible.
        file: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is not valid TypeScript, JavaScript or JSON.
    #[error("{file}:{line}:{column}: {message}{}", excerpt_block(excerpt))]
    Syntax {
        /// The file, relative to the root where possible.
        file: String,
        /// 1-based line.
        line: u32,
        /// 1-based column.
        column: u32,
        /// What is wrong, and where known what to write.
        message: String,
        /// The lines around it with a mark below; may be empty.
        excerpt: String,
    },
    /// An import leads nowhere.
    #[error("{file}:{line}:{column}: cannot import '{specifier}': {why}{}", excerpt_block(excerpt))]
    Resolve {
        /// The file that imports.
        file: String,
        /// 1-based line of the import; 0 where it is not known.
        line: u32,
        /// 1-based column of the import.
        column: u32,
        /// What it imports.
        specifier: String,
        /// What is wrong and what to do.
        why: String,
        /// The line with a mark below; may be empty.
        excerpt: String,
    },
    /// The module's top level threw, or an import has no such export.
    #[error(transparent)]
    Thrown(#[from] Thrown),
    /// The module hit a limit while it was loaded.
    #[error("{what}")]
    Limit {
        /// Which limit, and its value.
        what: String,
    },
    /// The engine is gone (process killed, `process.exit` at the top level).
    #[error("the workflow's engine stopped while it loaded the module: {how}")]
    EngineLost {
        /// How it ended.
        how: String,
    },
    /// The engine could not be started.
    #[error("could not start the {engine} engine: {what}")]
    Start {
        /// `embedded` or `node`.
        engine: &'static str,
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: Option<std::io::Error>,
    },
}

/// An excerpt on lines of its own below the message.
fn excerpt_block(excerpt: &str) -> String {
    if excerpt.is_empty() { String::new() } else { format!("\n{excerpt}") }
}
