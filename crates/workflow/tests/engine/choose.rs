//! Which engine a workflow gets, and the reason that its log shows.

use std::path::Path;
use std::process::Command;

use crate::support::{Repo, module};
use kici_workflow::engine::{ChooseError, EngineKind, SdkChoice, Wish, choose};

/// The choice for a module with this preamble.
fn chosen(preamble: &str, wish: Wish) -> (EngineKind, String) {
    let repo = Repo::new(&[("ci.ts", &module(preamble, &["() => 1"]))]);
    let choice = choose(&repo.request(), wish).unwrap();
    (choice.kind, choice.reason)
}

#[test]
fn a_plain_workflow_is_embedded() {
    let preamble = "import { readFile } from 'node:fs/promises';
        import fs from 'fs';
        import type { Worker } from 'node:worker_threads';
        import { type Server, connect } from './net';
        void [readFile, fs.existsSync, connect, typeof WebSocket];
        const maybe = async () => import('node:os');";
    let repo = Repo::new(&[
        ("ci.ts", &module(preamble, &["() => 1"])),
        ("net.ts", "export const connect = 1; export type Server = 1;"),
    ]);
    let choice = choose(&repo.request(), Wish::Auto).unwrap();
    assert_eq!(
        (choice.kind, choice.reason.as_str()),
        (EngineKind::Embedded, "embedded: all imports are supported")
    );
}

#[test]
fn what_the_embedded_engine_lacks_picks_node_and_is_named() {
    for (preamble, reason) in [
        (
            "import { Worker } from 'node:worker_threads'; void Worker;",
            "node: `ci.ts` imports node:worker_threads, which the embedded engine does not offer",
        ),
        (
            "import { createReadStream } from 'node:fs'; void createReadStream;",
            "node: `ci.ts` imports `createReadStream` from node:fs, which the embedded engine does not offer",
        ),
        (
            "import * as cp from 'child_process'; export const f = () => cp.fork('x');",
            "node: `ci.ts` imports `fork` from node:child_process, which the embedded engine does not offer",
        ),
        (
            "import os from 'node:os'; const { constants } = os; void constants;",
            "node: `ci.ts` imports `constants` from node:os, which the embedded engine does not offer",
        ),
        (
            "type X = 1;\nexport const day = () => new Intl.DateTimeFormat('de');",
            "node: `ci.ts` uses `Intl` (line 3), which the embedded engine does not offer",
        ),
        (
            "export function f() { using x = { [Symbol.dispose]() {} }; void x; }",
            "node: `ci.ts` has a `using` declaration (line 2), which the embedded engine does not offer",
        ),
    ] {
        assert_eq!(chosen(preamble, Wish::Auto), (EngineKind::Node, reason.to_owned()));
    }
}

#[test]
fn packages_are_read_too() {
    let repo = Repo::steps("import './lib/deep'; import 'old'; ", &["() => 1"]);
    repo.write("lib/deep.ts", "export {};");
    repo.write("node_modules/old/package.json", r#"{ "main": "index.js" }"#);
    repo.write("node_modules/old/index.js", "module.exports = 1;");
    let choice = choose(&repo.request(), Wish::Auto).unwrap();
    assert_eq!(choice.reason, "node: `node_modules/old/index.js` is a CommonJS module");

    repo.write("node_modules/old/index.js", "import http from 'http'; export default http;");
    let choice = choose(&repo.request(), Wish::Auto).unwrap();
    assert_eq!(
        choice.reason,
        "node: `node_modules/old/index.js` imports node:http, which the embedded engine does not offer"
    );

    repo.write(
        "node_modules/old/index.js",
        "export default typeof Intl === 'undefined' ? 0 : Intl;",
    );
    let choice = choose(&repo.request(), Wish::Auto).unwrap();
    assert_eq!(
        choice.kind,
        EngineKind::Embedded,
        "packages test for globals themselves: {}",
        choice.reason
    );
}

#[test]
fn a_wish_is_granted() {
    let lacking = "import { Worker } from 'node:worker_threads'; void Worker;";
    assert_eq!(
        chosen(lacking, Wish::Embedded),
        (EngineKind::Embedded, "embedded: asked for".to_owned())
    );
    assert_eq!(chosen("", Wish::Node), (EngineKind::Node, "node: it is asked for".to_owned()));
    assert_eq!("auto".parse::<Wish>().unwrap(), Wish::Auto);
    assert_eq!(
        "deno".parse::<Wish>().unwrap_err().to_string(),
        "`deno` is no engine; KICI_JS_ENGINE is `auto`, `embedded` or `node`"
    );
}

#[test]
fn an_installed_sdk_needs_node() {
    let repo = Repo::steps("", &["() => 1"]);
    let mut request = repo.request();
    request.sdk = SdkChoice::Installed;
    let choice = choose(&request, Wish::Auto).unwrap();
    assert_eq!(choice.reason, "node: KICI_SDK=installed takes the SDK from node_modules");
    assert!(matches!(choose(&request, Wish::Embedded), Err(ChooseError::InstalledSdkOnEmbedded)));
}

#[test]
fn a_module_that_cannot_load_is_reported_as_it_is() {
    let repo = Repo::steps("import './gone'", &["() => 1"]);
    let error = choose(&repo.request(), Wish::Auto).unwrap_err();
    assert!(
        error.to_string().starts_with("ci.ts:2:8: cannot import './gone': there is no such file"),
        "{error}"
    );
    // One behind `import()` may never be needed.
    assert_eq!(
        chosen("const f = () => import('./gone').catch(() => null);", Wish::Auto).0,
        EngineKind::Embedded
    );
}

/// `choose` looks for Node once per process, so this runs in one of its own.
#[test]
fn without_node_the_message_says_what_to_do() {
    let node_is_nowhere = |chosen: &str, path: &Path| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "choose::print_the_choice_for_a_worker", "--nocapture"])
            .env("KICI_NODE", chosen)
            .env("PATH", path)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let empty = tempfile::tempdir().unwrap();
    let text = node_is_nowhere("", empty.path());
    assert!(
        text.contains("<this workflow needs Node.js because `ci.ts` imports node:worker_threads, which the embedded engine does not offer: there is no `node` on the PATH; install Node.js 24 or newer, or set KICI_NODE to its executable>"),
        "{text}"
    );
    let text = node_is_nowhere("/nowhere/node", empty.path());
    assert!(text.contains("KICI_NODE is /nowhere/node, which cannot be run"), "{text}");
}

#[test]
#[ignore = "run by `without_node_the_message_says_what_to_do`"]
fn print_the_choice_for_a_worker() {
    let repo =
        Repo::steps("import { Worker } from 'node:worker_threads'; void Worker;", &["() => 1"]);
    match choose(&repo.request(), Wish::Auto) {
        Ok(choice) => println!("<{}>", choice.reason),
        Err(error) => println!("<{error}: {}>", std::error::Error::source(&error).unwrap()),
    }
}
