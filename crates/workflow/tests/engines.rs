//! The same workflows on both engines.

mod support;

use kici_workflow::engine::CallError;
use serde_json::json;
use support::{BOTH, Repo};

#[tokio::test]
async fn a_step_returns_its_value() {
    let repo = Repo::steps("", &["async () => ({ answer: 6 * 7 })"]);
    for kind in BOTH {
        assert_eq!(repo.run(kind).await.unwrap(), Some(json!({ "answer": 42 })), "{kind}");
    }
}

#[tokio::test]
async fn stack_traces_point_into_the_typescript() {
    let repo = Repo::steps(
        "interface A { x: number }\ntype B = A & { y: string };\nfunction boom(a?: B): never {\n  throw new RangeError('too far');\n}\n",
        &["() => boom()"],
    );
    for kind in BOTH {
        let CallError::Thrown(error) = repo.run(kind).await.unwrap_err() else { panic!("thrown") };
        assert_eq!(
            (error.name.as_str(), error.message.as_str()),
            ("RangeError", "too far"),
            "{kind}"
        );
        let stack = error.stack.unwrap();
        assert!(stack.contains("ci.ts:5:9"), "{kind}: {stack}");
        assert!(!stack.contains("kici:"), "{kind}: {stack}");
    }
}
