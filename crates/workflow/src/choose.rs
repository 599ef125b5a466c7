//! Chooses the engine for a workflow and says why.
//!
//! `auto` takes the embedded engine unless something in the module graph needs Node (`graph`).

use std::str::FromStr;

use crate::engine::{EngineKind, LoadRequest, SdkChoice};
use crate::failure::LoadError;
use crate::graph;
use crate::node::find::{self, NodeMissing};
use crate::source::Sources;

/// What the operator or author wants (`KICI_JS_ENGINE`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wish {
    /// Embedded, unless the module needs Node.
    #[default]
    Auto,
    /// The embedded engine, whatever the module imports.
    Embedded,
    /// Node.
    Node,
}

/// A wish that is none of the three.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no engine; KICI_JS_ENGINE is `auto`, `embedded` or `node`")]
pub struct UnknownWish(String);

impl FromStr for Wish {
    type Err = UnknownWish;

    fn from_str(text: &str) -> Result<Self, UnknownWish> {
        match text {
            "auto" => Ok(Wish::Auto),
            "embedded" => Ok(Wish::Embedded),
            "node" => Ok(Wish::Node),
            other => Err(UnknownWish(other.to_owned())),
        }
    }
}

/// The engine to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineChoice {
    /// Which one.
    pub kind: EngineKind,
    /// Why, as a sentence for the job's log.
    pub reason: String,
}

/// Why no engine can run the module.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// The module cannot be loaded on any engine.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The module needs Node and there is none.
    #[error("this workflow needs Node.js because {because}")]
    NoNode {
        /// What needs it.
        because: String,
        /// Why there is none, and what to do.
        #[source]
        source: NodeMissing,
    },
    /// The settings exclude each other.
    #[error(
        "KICI_SDK=installed needs Node.js, but KICI_JS_ENGINE=embedded rules it out; unset one of them"
    )]
    InstalledSdkOnEmbedded,
}

/// Chooses the engine for a module. Reads files; does not run anything but `node --version`.
pub fn choose(request: &LoadRequest, wish: Wish) -> Result<EngineChoice, ChooseError> {
    match (wish, request.sdk) {
        (Wish::Embedded, SdkChoice::Installed) => Err(ChooseError::InstalledSdkOnEmbedded),
        (Wish::Embedded, SdkChoice::BuiltIn) => Ok(embedded("asked for")),
        (Wish::Node, _) => node("it is asked for"),
        (Wish::Auto, SdkChoice::Installed) => {
            node("KICI_SDK=installed takes the SDK from node_modules")
        }
        (Wish::Auto, SdkChoice::BuiltIn) => match graph::obstacle(&Sources::open(request)?)? {
            None => Ok(embedded("all imports are supported")),
            Some(obstacle) => node(&obstacle),
        },
    }
}

fn embedded(why: &str) -> EngineChoice {
    EngineChoice { kind: EngineKind::Embedded, reason: format!("embedded: {why}") }
}

fn node(because: &str) -> Result<EngineChoice, ChooseError> {
    match find::node() {
        Ok(_) => Ok(EngineChoice { kind: EngineKind::Node, reason: format!("node: {because}") }),
        Err(source) => {
            Err(ChooseError::NoNode { because: because.to_owned(), source: source.clone() })
        }
    }
}
