//! What travels between an engine and its guest: one JSON object a frame (`docs/design/engine.md`, "The guest").
//!
//! `session` is the only reader and writer; how a frame gets across is the business of `embedded` and `node`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::describe::{FnHandle, ModuleDescription};
use crate::engine::{CallId, CallKind, HostError, LoadMode, Thrown};

/// A frame for the guest.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum ToGuest<'a> {
    /// Import the entry and describe it.
    Load { entry: &'a str, root: &'a str, mode: LoadMode, state: &'a Value },
    /// Call a function.
    Call {
        call: CallId,
        #[serde(rename = "fn")]
        function: FnHandle,
        kind: CallKind,
        data: &'a Value,
        args: &'a [Value],
    },
    /// Fire the signal of a call.
    Abort { call: CallId, reason: &'a str },
    /// Answer a request.
    Reply {
        request: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        ok: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a HostError>,
    },
    /// Streamed data of a request that is still open.
    Push { request: u64, data: &'a Value },
    /// Are you there? (Node only: its main module answers.)
    Ping { id: u64 },
}

impl ToGuest<'_> {
    /// The frame as one line without its end.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("frames have string keys only")
    }
}

/// A frame of the guest.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum FromGuest {
    /// The guest can take frames.
    Ready,
    /// The entry is loaded.
    Loaded { description: Box<ModuleDescription> },
    /// The entry could not be loaded.
    Failed { error: Thrown },
    /// A call is over.
    Returned {
        call: CallId,
        #[serde(default)]
        value: Option<Value>,
    },
    /// A call ended with an error.
    Threw { call: CallId, error: Thrown },
    /// The author's code wants something of the world.
    Request {
        call: CallId,
        request: u64,
        method: String,
        #[serde(default)]
        params: Value,
    },
    /// The author's code says something.
    Notify {
        call: CallId,
        method: String,
        #[serde(default)]
        params: Value,
    },
    /// Answers a ping.
    Pong { id: u64 },
    /// The author's code called `process.exit` (Node only).
    Exit { code: Value },
}
