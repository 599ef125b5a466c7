//! Modules that do not load: each message names the place, what is wrong, and what to do.

use std::time::Duration;

use crate::support::{BOTH, Repo, module};
use kici_workflow::engine::{EngineKind, LoadError};

/// The message, with the repository's path replaced.
async fn failure(repo: &Repo, kind: EngineKind) -> (LoadError, String) {
    let error = match repo.start(kind).await {
        Ok(_) => panic!("{kind}: it loaded"),
        Err(error) => error,
    };
    let root = repo.path().canonicalize().unwrap();
    let text = error.to_string().replace(&*root.to_string_lossy(), "<root>");
    (error, text)
}

#[tokio::test]
async fn a_syntax_error_is_shown_in_its_line() {
    let repo = Repo::steps("import './lib/broken';", &["() => 1"]);
    repo.write("lib/broken.ts", "export const fine = 1;\nexport const x: = 2;\n");
    for kind in BOTH {
        let (error, text) = failure(&repo, kind).await;
        assert!(
            matches!(error, LoadError::Syntax { line: 2, column: 17, .. }),
            "{kind}: {error:?}"
        );
        assert_eq!(
            text,
            "lib/broken.ts:2:17: Unexpected token\n  |\n2 | export const x: = 2;\n  |                 ^",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn broken_json_is_a_syntax_error_too() {
    let repo = Repo::steps("import data from './data.json'; void data;", &["() => 1"]);
    repo.write("data.json", "{\n  \"a\": 1,\n}\n");
    for kind in BOTH {
        let (error, text) = failure(&repo, kind).await;
        assert!(matches!(error, LoadError::Syntax { line: 3, .. }), "{kind}: {error:?}");
        assert!(
            text.starts_with("data.json:3:1: not valid JSON: trailing comma"),
            "{kind}: {text}"
        );
    }
}

#[tokio::test]
async fn a_missing_file_is_named_with_its_import() {
    let repo = Repo::steps("import { x } from './lib/gone'; void x;", &["() => 1"]);
    for kind in BOTH {
        let (error, text) = failure(&repo, kind).await;
        assert!(
            matches!(error, LoadError::Resolve { line: 2, column: 19, .. }),
            "{kind}: {error:?}"
        );
        assert!(
            text.starts_with("ci.ts:2:19: cannot import './lib/gone': there is no such file"),
            "{kind}: {text}"
        );
    }
}

#[tokio::test]
async fn a_missing_package_says_how_to_get_it() {
    let repo = Repo::steps("import { x } from '@acme/tools/deep'; void x;", &["() => 1"]);
    for kind in BOTH {
        let (_, text) = failure(&repo, kind).await;
        assert!(
            text.starts_with(
                "ci.ts:2:19: cannot import '@acme/tools/deep': the package '@acme/tools' is not installed; add it to `.kici/package.json` and run `npm install` there"
            ),
            "{kind}: {text}"
        );
    }
}

#[tokio::test]
async fn an_import_must_not_leave_the_repository() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.ts"), "export const x = 1;").unwrap();
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    let repo =
        Repo::steps(&format!("import {{ x }} from '../{name}/secret'; void x;"), &["() => 1"]);
    for kind in BOTH {
        let (_, text) = failure(&repo, kind).await;
        assert!(
            text.contains("outside the repository <root>; move the file into the repository"),
            "{kind}: {text}"
        );
    }
    let linked = Repo::steps("import { x } from './link'; void x;", &["() => 1"]);
    std::os::unix::fs::symlink(outside.path().join("secret.ts"), linked.path().join("link.ts"))
        .unwrap();
    for kind in BOTH {
        let (_, text) = failure(&linked, kind).await;
        assert!(text.contains("outside the repository"), "{kind}: {text}");
    }
}

#[tokio::test]
async fn an_export_that_does_not_exist_is_named() {
    let repo = Repo::steps("import { nope } from './lib'; void nope;", &["() => 1"]);
    repo.write("lib.ts", "export const yes = 1;");
    for kind in BOTH {
        let (error, text) = failure(&repo, kind).await;
        assert!(matches!(error, LoadError::Thrown(_)), "{kind}: {error:?}");
        assert!(text.contains("SyntaxError") && text.contains("nope"), "{kind}: {text}");
    }
}

#[tokio::test]
async fn a_throw_at_the_top_level_keeps_its_stack() {
    let repo = Repo::steps("type T = 1;\nthrow new TypeError('not today');", &["() => 1"]);
    for kind in BOTH {
        let (error, text) = failure(&repo, kind).await;
        assert_eq!(text, "TypeError: not today", "{kind}");
        let LoadError::Thrown(thrown) = error else { panic!("{kind}: thrown") };
        assert!(
            thrown.stack.as_deref().unwrap().contains("ci.ts:3:"),
            "{kind}: {:?}",
            thrown.stack
        );
    }
}

#[tokio::test]
async fn an_endless_top_level_hits_the_load_limit() {
    for top in ["for (;;);", "await new Promise(() => {});"] {
        let repo = Repo::new(&[("ci.ts", &module(top, &["() => 1"]))]);
        for kind in BOTH {
            let mut request = repo.request();
            request.limits.load = Duration::from_millis(1500);
            let Err(error) = repo.start_with(kind, request).await else {
                panic!("{kind}: it loaded")
            };
            assert!(matches!(error, LoadError::Limit { .. }), "{kind}: {error:?}");
            let text = error.to_string();
            assert!(
                text == "loading `ci.ts` took longer than 1.5 s and was stopped; move slow work from the top level into steps"
                    || text.starts_with("the workflow's JavaScript ran for 1.5 s without a pause"),
                "{kind}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn a_missing_entry_is_named() {
    let repo = Repo::new(&[]);
    for kind in BOTH {
        let (_, text) = failure(&repo, kind).await;
        assert!(text.starts_with("there is no workflow file `ci.ts` in "), "{kind}: {text}");
    }
}

#[tokio::test]
async fn what_only_node_can_load_says_so_on_the_embedded_engine() {
    let repo =
        Repo::steps("import { Worker } from 'node:worker_threads'; void Worker;", &["() => 1"]);
    let (_, text) = failure(&repo, EngineKind::Embedded).await;
    assert!(
        text.starts_with("ci.ts:2:24: cannot import 'node:worker_threads': the embedded engine does not offer node:worker_threads; leave the choice to KICI_JS_ENGINE=auto, or set it to node"),
        "{text}"
    );
}
