//! The same workflows on both engines: what author code can do, and what its author sees.

use std::time::Duration;

use crate::support::{BOTH, Repo, module};
use kici_workflow::engine::{CallError, CallKind};
use serde_json::json;

#[tokio::test]
async fn a_step_returns_its_value() {
    let repo = Repo::steps("", &["async () => ({ answer: 6 * 7 })"]);
    for kind in BOTH {
        assert_eq!(repo.run(kind).await.unwrap(), Some(json!({ "answer": 42 })), "{kind}");
    }
}

#[tokio::test]
async fn undefined_and_null_are_no_value() {
    for body in ["() => {}", "async () => null"] {
        let repo = Repo::steps("", &[body]);
        for kind in BOTH {
            assert_eq!(repo.run(kind).await.unwrap(), None, "{kind} {body}");
        }
    }
}

#[tokio::test]
async fn the_whole_of_typescript_is_stripped() {
    let repo = Repo::steps(
        "enum Color { Red = 'red', Blue = 'blue' }
         const enum Size { Small = 1, Large = Small << 2 }
         namespace Geo { export const pi = 3; export namespace Deep { export const e = 2; } }
         class Point { constructor(private readonly x: number, public y = 2) {} sum(): number { return this.x + this.y; } }
         abstract class Base<T> { abstract get(): T; declare hidden: string; }
         class Impl extends Base<number> { override get() { return 5 satisfies number; } }
         function over(a: string): string; function over(a: number): string; function over(a: unknown) { return String(a); }
         type Later = typeof import('node:fs');",
        &["() => [Color.Blue, Size.Large, Geo.pi + Geo.Deep.e, new Point(1).sum(), new Impl().get(), over(1)!, <number>7]"],
    );
    for kind in BOTH {
        assert_eq!(
            repo.run(kind).await.unwrap(),
            Some(json!(["blue", 4, 5, 3, 5, "1", 7])),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn imports_lead_where_typescript_authors_expect() {
    let repo = Repo::steps(
        "import { a } from './lib/a';
         import { b } from './lib/b.js';
         import { c } from './lib';
         import { d } from './lib/d.ts';
         import type { Missing } from './does-not-exist';
         import plain from './data.json';
         import attributed from './data.json' with { type: 'json' };
         export { a as again } from './lib/a';
         const later = await import('./lib/late.mts');
         const fromJson = (await import('./data.json', { with: { type: 'json' } })).default;",
        &[
            "() => [a, b, c, d, plain.list.length, attributed.name, later.default, fromJson === plain]",
        ],
    );
    repo.write("lib/a.ts", "export const a: string = 'a';");
    repo.write("lib/b.ts", "export const b = 'b' as const;");
    repo.write("lib/index.ts", "export * from './d';\nexport const c = 'c';");
    repo.write("lib/d.ts", "export const d = 'd';");
    repo.write("lib/late.mts", "export default 'late' satisfies string;");
    repo.write("data.json", r#"{ "name": "n", "list": [1, 2, 3] }"#);
    for kind in BOTH {
        assert_eq!(
            repo.run(kind).await.unwrap(),
            Some(json!(["a", "b", "c", "d", 3, "n", "late", true])),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn packages_follow_nodes_rules() {
    let repo = Repo::steps(
        "import { version } from 'tiny';
         import { inner } from 'tiny/sub';
         import scoped from '@org/pkg';",
        &["() => [version, inner, scoped]"],
    );
    repo.write(
        "node_modules/tiny/package.json",
        r#"{ "name": "tiny", "type": "module", "exports": { ".": { "require": "./bad.cjs", "import": "./main.js" }, "./sub": "./lib/sub.js" } }"#,
    );
    repo.write("node_modules/tiny/main.js", "export { v as version } from './lib/v.js';");
    repo.write("node_modules/tiny/lib/v.js", "export const v = '1.2.3';");
    repo.write(
        "node_modules/tiny/lib/sub.js",
        "import { v } from '#own'; export const inner = 'sub of ' + v;",
    );
    repo.write("node_modules/tiny/bad.cjs", "throw new Error('wrong condition');");
    repo.write("node_modules/@org/pkg/package.json", r#"{ "main": "index.mjs" }"#);
    repo.write(
        "node_modules/@org/pkg/index.mjs",
        "export default import.meta.url.endsWith('/@org/pkg/index.mjs');",
    );
    // `imports` of the package itself.
    repo.write(
        "node_modules/tiny/package.json",
        r##"{ "name": "tiny", "type": "module", "imports": { "#own": "./lib/v.js" },
             "exports": { ".": { "require": "./bad.cjs", "import": "./main.js" }, "./sub": "./lib/sub.js" } }"##,
    );
    for kind in BOTH {
        assert_eq!(
            repo.run(kind).await.unwrap(),
            Some(json!(["1.2.3", "sub of 1.2.3", true])),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn node_modules_work_on_files_of_the_workspace() {
    let repo = Repo::steps(
        "import { readFile, writeFile, mkdir } from 'node:fs/promises';
         import { existsSync } from 'node:fs';
         import path from 'node:path';
         import os from 'node:os';
         import { createHash } from 'node:crypto';",
        &["async () => {
            await mkdir('out/deep', { recursive: true });
            await writeFile(path.join('out', 'deep', 'note.txt'), 'hello');
            const text = await readFile('out/deep/note.txt', 'utf8');
            return [text, existsSync('out/deep/note.txt'), existsSync('nope'), path.basename(process.cwd()) !== '',
                    typeof os.tmpdir(), createHash('sha256').update(text).digest('hex').slice(0, 8)];
        }"],
    );
    for kind in BOTH {
        let value = repo.run(kind).await.unwrap();
        assert_eq!(
            value,
            Some(json!(["hello", true, false, true, "string", "2cf24dba"])),
            "{kind}"
        );
        assert_eq!(
            std::fs::read_to_string(repo.path().join("out/deep/note.txt")).unwrap(),
            "hello",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn the_environment_is_the_jobs_own() {
    let repo = Repo::steps(
        "",
        &[
            "() => { process.env.NUMBER = 5 as never; return [process.env.GREETING, process.env.CARGO, process.env.NUMBER, 'NUMBER' in process.env]; }",
        ],
    );
    for kind in BOTH {
        let started = repo.start(kind).await.unwrap();
        let value = started.call(0, json!(null)).outcome().await.unwrap();
        assert_eq!(value, Some(json!(["moin", null, "5", true])), "{kind}");
        // The host learns what the author changed, and nothing else.
        assert_eq!(started.host.env(), [("NUMBER".to_owned(), json!("5"))], "{kind}");
        started.engine.stop().await;
    }
}

#[tokio::test]
async fn stack_traces_point_into_the_typescript() {
    let repo = Repo::steps(
        "interface A { x: number }\ntype B = A & { y: string };\nfunction boom(a?: B): never {\n  throw new RangeError('too far');\n}\n",
        &["async () => { await null; boom(); }"],
    );
    for kind in BOTH {
        let CallError::Thrown(error) = repo.run(kind).await.unwrap_err() else { panic!("thrown") };
        assert_eq!(
            (error.name.as_str(), error.message.as_str()),
            ("RangeError", "too far"),
            "{kind}"
        );
        let stack = error.stack.unwrap();
        let lines: Vec<&str> = stack.lines().collect();
        assert_eq!(lines[0], "RangeError: too far", "{kind}: {stack}");
        assert!(lines[1].starts_with("    at boom (ci.ts:5:"), "{kind}: {stack}");
        assert!(lines[2].contains("ci.ts:8:"), "{kind}: {stack}");
        assert!(!stack.contains("kici:"), "{kind}: {stack}");
    }
}

#[tokio::test]
async fn a_thrown_value_that_is_no_error_keeps_its_text() {
    for (thrown, message) in [("'just text'", "just text"), ("({ code: 7 })", r#"{"code":7}"#)] {
        let repo = Repo::steps("", &[&format!("() => {{ throw {thrown}; }}")]);
        for kind in BOTH {
            let CallError::Thrown(error) = repo.run(kind).await.unwrap_err() else {
                panic!("thrown")
            };
            assert_eq!(
                (error.name.as_str(), error.message.as_str()),
                ("NonError", message),
                "{kind}"
            );
        }
    }
}

#[tokio::test]
async fn process_exit_is_not_a_way_to_succeed() {
    let repo = Repo::steps("", &["async () => { process.exit(0); }"]);
    for kind in BOTH {
        let error = repo.run(kind).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the workflow's engine stopped: the workflow called process.exit(0); throw an error to fail, or return to succeed",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn an_endless_loop_is_stopped() {
    for body in ["() => { for (;;); }", "async () => { for (;;) await null; }"] {
        let repo = Repo::steps("", &[body]);
        for kind in BOTH {
            let started = repo.start(kind).await.unwrap();
            let call = started.begin(0, json!(null), CallKind::Plain, Duration::from_millis(1500));
            let error = call.outcome().await.unwrap_err();
            assert!(matches!(error, CallError::Limit { .. }), "{kind}: {error}");
            assert_eq!(
                error.to_string(),
                "the workflow's JavaScript ran for 1.5 s without a pause (an endless loop?) and was stopped",
                "{kind}"
            );
            let later = started.call(0, json!(null)).outcome().await.unwrap_err();
            assert!(matches!(later, CallError::Limit { .. }), "{kind}: {later}");
            started.engine.stop().await;
        }
    }
}

#[tokio::test]
async fn waiting_is_not_computing() {
    let repo = Repo::steps(
        "",
        &[
            "async () => { for (let i = 0; i < 30; i++) await new Promise((r) => setTimeout(r, 50)); return 1; }",
        ],
    );
    for kind in BOTH {
        let started = repo.start(kind).await.unwrap();
        let call = started.begin(0, json!(null), CallKind::Plain, Duration::from_millis(1000));
        assert_eq!(call.outcome().await.unwrap(), Some(json!(1)), "{kind}");
        started.engine.stop().await;
    }
}

#[tokio::test]
async fn a_memory_hog_is_stopped_even_if_it_catches_the_error() {
    let repo = Repo::steps(
        "",
        &[
            "() => { const kept: string[][] = []; for (;;) { try { kept.push(new Array(10000).fill(0).map((_, i) => 'x' + i)); } catch {} } }",
        ],
    );
    for kind in BOTH {
        let mut request = repo.request();
        request.limits.memory = 64 * 1024 * 1024;
        let started = repo.start_with(kind, request).await.unwrap();
        let error = started.call(0, json!(null)).outcome().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the workflow's JavaScript needs more than 64 MiB of memory and was stopped",
            "{kind}"
        );
        started.engine.stop().await;
    }
}

#[tokio::test]
async fn an_endless_recursion_is_an_error_of_the_author() {
    let repo = Repo::steps("const dig = (n: number): number => dig(n + 1) + 1;", &["() => dig(0)"]);
    for kind in BOTH {
        let error = repo.run(kind).await.unwrap_err();
        assert!(error.to_string().contains("Maximum call stack size exceeded"), "{kind}: {error}");
    }
}

#[tokio::test]
async fn timers_fire_in_order_and_can_be_cleared() {
    let repo = Repo::steps(
        "import { setTimeout as pause } from 'node:timers/promises';",
        &["async () => {
            const seen: string[] = [];
            const never = setTimeout(() => seen.push('never'), 5);
            setTimeout((x: string) => seen.push(x), 20, 'later');
            setTimeout(() => seen.push('first'), 1);
            setTimeout(() => seen.push('second'), 1);
            setImmediate(() => seen.push('immediate'));
            queueMicrotask(() => seen.push('micro'));
            process.nextTick(() => seen.push('tick'));
            clearTimeout(never);
            let ticks = 0;
            await new Promise<void>((done) => { const t = setInterval(() => { if (++ticks === 3) { clearInterval(t); done(); } }, 2); });
            const value = await pause(25, 'paused');
            return [seen.includes('never'), seen.filter((s) => ['first', 'second', 'later'].includes(s)), ticks, value, seen.includes('immediate')];
        }"],
    );
    for kind in BOTH {
        let value = repo.run(kind).await.unwrap();
        assert_eq!(
            value,
            Some(json!([false, ["first", "second", "later"], 3, "paused", true])),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn an_unhandled_rejection_is_reported_and_a_handled_one_is_not() {
    let repo = Repo::steps(
        "",
        &["async () => {
            const late = Promise.reject(new Error('handled in time'));
            late.catch(() => {});
            void Promise.reject(new Error('nobody cares'));
            await new Promise((r) => setTimeout(r, 5));
            return 'done';
        }"],
    );
    for kind in BOTH {
        let started = repo.start(kind).await.unwrap();
        assert_eq!(
            started.call(0, json!(null)).outcome().await.unwrap(),
            Some(json!("done")),
            "{kind}"
        );
        started.host.wait_for("unhandled promise rejection: Error: nobody cares").await;
        assert!(
            !started.host.text().contains("handled in time"),
            "{kind}: {}",
            started.host.text()
        );
        started.engine.stop().await;
    }
}

#[tokio::test]
async fn web_apis_are_there() {
    let repo = Repo::steps(
        "",
        &["async () => {
            const url = new URL('https://example.org/a?b=1');
            url.searchParams.append('c', 'ü');
            const controller = new AbortController();
            const aborted = new Promise((r) => controller.signal.addEventListener('abort', () => r(controller.signal.reason)));
            controller.abort('why');
            const copy = structuredClone({ when: new Date(0), set: new Set([1]), deep: [{ a: 1 }] });
            const timeout = AbortSignal.timeout(1);
            await new Promise((r) => timeout.addEventListener('abort', r));
            return [url.search, new TextDecoder().decode(new TextEncoder().encode('ü')), await aborted, btoa('hi'),
                    Buffer.from('hi').toString('base64'), copy.when instanceof Date, copy.set.has(1), copy.deep[0].a,
                    timeout.reason.name, typeof crypto.randomUUID(), typeof performance.now(), typeof fetch, typeof Headers];
        }"],
    );
    for kind in BOTH {
        let value = repo.run(kind).await.unwrap();
        let expected = json!([
            "?b=1&c=%C3%BC",
            "ü",
            "why",
            "aGk=",
            "aGk=",
            true,
            true,
            1,
            "TimeoutError",
            "string",
            "number",
            "function",
            "function"
        ]);
        assert_eq!(value, Some(expected), "{kind}");
    }
}

#[tokio::test]
async fn calls_run_side_by_side_and_stop_ends_them() {
    let repo = Repo::new(&[(
        "ci.ts",
        &module(
            "const gate = Promise.withResolvers<string>();",
            &[
                "() => gate.promise",
                "() => { gate.resolve('opened'); return 'second'; }",
                "() => new Promise(() => {})",
                "() => { for (;;); }",
            ],
        ),
    )]);
    for kind in BOTH {
        let started = repo.start(kind).await.unwrap();
        let first = started.call(0, json!(null));
        let second = started.call(1, json!(null));
        assert_eq!(second.outcome().await.unwrap(), Some(json!("second")), "{kind}");
        assert_eq!(first.outcome().await.unwrap(), Some(json!("opened")), "{kind}");
        let waiting = started.call(2, json!(null));
        let busy = started.call(3, json!(null));
        let begun = std::time::Instant::now();
        started.engine.stop().await;
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "{kind}: stop took {:?}",
            begun.elapsed()
        );
        for call in [waiting, busy] {
            let error = call.outcome().await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "the workflow's engine stopped: it was told to stop",
                "{kind}"
            );
        }
    }
}

#[tokio::test]
async fn a_child_process_sees_the_jobs_environment_and_directory() {
    let repo = Repo::steps(
        "import { spawn } from 'node:child_process';",
        &["() => new Promise((resolve, reject) => {
            const child = spawn('sh', ['-c', 'echo $GREETING; pwd; echo oops >&2; exit 3']);
            let out = '', err = '';
            child.stdout.on('data', (chunk) => { out += chunk; });
            child.stderr.on('data', (chunk) => { err += chunk; });
            child.on('error', reject);
            child.on('close', (code) => resolve([out.split('\\n')[0], out.split('\\n')[1] === process.cwd(), err, code]));
        })"],
    );
    for kind in BOTH {
        assert_eq!(
            repo.run(kind).await.unwrap(),
            Some(json!(["moin", true, "oops\n", 3])),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn engines_come_and_go_without_traces() {
    let repo = Repo::steps(
        "",
        &[
            "async () => { setInterval(() => {}, 1000); new Promise(() => {}); await new Promise((r) => setTimeout(r, 1)); return 1; }",
        ],
    );
    for round in 0..20 {
        for kind in BOTH.into_iter().take(if round < 18 { 1 } else { 2 }) {
            assert_eq!(repo.run(kind).await.unwrap(), Some(json!(1)), "{kind} {round}");
        }
    }
}

#[tokio::test]
async fn stop_in_the_middle_of_everything_leaves_a_healthy_process() {
    // Accepts and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let repo = Repo::steps(
        "import { spawn } from 'node:child_process';
         import { readFile } from 'node:fs/promises';",
        &[&format!(
            "async () => {{
                spawn('sleep', ['5']).stdout.on('data', () => {{}});
                const controller = new AbortController();
                fetch('http://127.0.0.1:{port}/', {{ signal: controller.signal }}).catch(() => {{}});
                async function* endless() {{ for (;;) {{ yield 1; await new Promise((r) => setTimeout(r, 1)); }} }}
                (async () => {{ for await (const _ of endless()) await readFile('ci.ts'); }})();
                import('node:os').then(() => new Promise(() => {{}}));
                const weak = new WeakRef({{}}); new FinalizationRegistry(() => {{}}).register({{}}, 1);
                setInterval(() => weak.deref(), 1);
                console.log('all under way');
                await new Promise(() => {{}});
            }}"
        )],
    );
    for round in 0..6 {
        for kind in BOTH.into_iter().take(if round < 5 { 1 } else { 2 }) {
            let started = repo.start(kind).await.unwrap();
            let call = started.call(0, json!(null));
            started.host.wait_for("all under way").await;
            started.engine.stop().await;
            assert!(matches!(call.outcome().await, Err(CallError::EngineLost { .. })), "{kind}");
        }
    }
}
