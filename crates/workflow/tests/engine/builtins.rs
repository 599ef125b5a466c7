//! Node's own modules on both engines: the embedded ones behave like Node's.

use crate::support::{BOTH, Repo};
use serde_json::json;

#[tokio::test]
async fn files_and_folders() {
    let repo = Repo::steps(
        "import fs, { constants } from 'node:fs';
         import * as fsp from 'fs/promises';
         import { appendFile, cp, readdir, rm, stat } from 'node:fs/promises';
         import path from 'node:path';",
        &["async () => {
            fs.rmSync('w', { recursive: true, force: true });
            const first = fs.mkdirSync('w/a/b', { recursive: true });
            fs.writeFileSync('w/a/one.txt', 'eins');
            await appendFile('w/a/one.txt', Buffer.from('-zwei'));
            fs.writeFileSync('w/a/b/two.bin', new Uint8Array([1, 2, 255]), { mode: 0o600 });
            fs.symlinkSync('one.txt', 'w/a/link');
            await cp('w/a', 'w/copy', { recursive: true });
            fs.renameSync('w/copy/one.txt', 'w/copy/moved.txt');
            const names = (await readdir('w', { recursive: true })).sort();
            const kinds = fs.readdirSync('w/a', { withFileTypes: true }).map((e) => [e.name, e.isDirectory(), e.isSymbolicLink()]).sort();
            const found = await stat('w/a/b/two.bin');
            const codes: string[] = [];
            for (const fail of [
                () => fsp.readFile('w/none'), () => fsp.mkdir('w'), () => fsp.rmdir('w'), () => fsp.readdir('w/a/one.txt'),
                () => fsp.access('w/none', constants.R_OK), () => fsp.rm('w/none'), () => fsp.unlink('w/none'), () => fsp.writeFile('w/a/one.txt', '', { flag: 'wx' }),
            ]) {
                try { await fail(); codes.push('fine'); } catch (error) { codes.push((error as { code: string }).code); }
            }
            let message = '';
            try { fs.readFileSync('w/none', 'utf8'); } catch (error) { message = (error as Error).message; }
            const temporary = await fsp.mkdtemp(path.join('w', 'tmp-'));
            const result = {
                first: path.relative('.', first!), names, kinds, size: found.size, mode: found.mode & 0o777, file: found.isFile(), codes, message,
                text: fs.readFileSync('w/a/link', { encoding: 'utf8' }), bytes: [...fs.readFileSync('w/a/b/two.bin')],
                real: path.basename(fs.realpathSync('w/a/link')), target: fs.readlinkSync('w/a/link'), temporary: /^w\\/tmp-\\w{6}$/.test(temporary),
                mtime: Math.abs(Date.now() - found.mtimeMs) < 60000 && found.mtime instanceof Date, absent: fs.statSync('w/none', { throwIfNoEntry: false }) ?? 'absent',
            };
            await rm('w', { recursive: true });
            return { ...result, gone: !fs.existsSync('w') };
        }"],
    );
    for kind in BOTH {
        let value = repo.run(kind).await.unwrap().unwrap();
        let expected = json!({
            "first": "w",
            "names": ["a", "a/b", "a/b/two.bin", "a/link", "a/one.txt", "copy", "copy/b", "copy/b/two.bin", "copy/link", "copy/moved.txt"],
            "kinds": [["b", true, false], ["link", false, true], ["one.txt", false, false]],
            "size": 3, "mode": 0o600, "file": true,
            "codes": ["ENOENT", "EEXIST", "ENOTEMPTY", "ENOTDIR", "ENOENT", "ENOENT", "ENOENT", "EEXIST"],
            "message": "ENOENT: no such file or directory, open 'w/none'",
            "text": "eins-zwei", "bytes": [1, 2, 255], "real": "one.txt", "target": "one.txt", "temporary": true,
            "mtime": true, "absent": "absent", "gone": true
        });
        assert_eq!(value, expected, "{kind}");
    }
}

#[tokio::test]
async fn child_processes() {
    let repo = Repo::steps(
        "import { exec, execFile, execFileSync, execSync, spawnSync } from 'node:child_process';
         import { promisify } from 'node:util';",
        &["async () => {
            const run = promisify(exec);
            const ok = await run('echo out; echo err >&2; echo $ONLY', { env: { ...process.env, ONLY: 'here' } });
            let failed: Record<string, unknown> = {};
            try { await promisify(execFile)('sh', ['-c', 'echo half; exit 4']); } catch (error) { failed = error as never; }
            const sync = execSync('cat; pwd', { input: 'from input\\n', encoding: 'utf8' });
            let thrown: Record<string, unknown> = {};
            try { execFileSync('sh', ['-c', 'echo bad >&2; exit 5'], { stdio: 'pipe' }); } catch (error) { thrown = error as never; }
            const killed = spawnSync('sleep', ['60'], { timeout: 50 });
            const missing = spawnSync('no-such-program-here');
            return [ok.stdout, ok.stderr, failed.code, failed.stdout, sync.split('\\n')[0], sync.split('\\n')[1] === process.cwd(),
                    thrown.status, String(thrown.stderr), killed.signal, (killed.error as { code?: string })?.code, (missing.error as { code?: string })?.code];
        }"],
    );
    for kind in BOTH {
        let expected = json!([
            "out\nhere\n",
            "err\n",
            4,
            "half\n",
            "from input",
            true,
            5,
            "bad\n",
            "SIGTERM",
            "ETIMEDOUT",
            "ENOENT"
        ]);
        assert_eq!(repo.run(kind).await.unwrap(), Some(expected), "{kind}");
    }
}

#[tokio::test]
async fn the_smaller_modules() {
    let repo = Repo::steps(
        "import assert, { AssertionError } from 'node:assert/strict';
         import { EventEmitter, once } from 'node:events';
         import util from 'node:util';
         import { timingSafeEqual, createHmac } from 'node:crypto';
         import { fileURLToPath, pathToFileURL } from 'node:url';
         import { homedir } from 'node:os';
         import { posix, resolve } from 'node:path';
         import proc, { env } from 'node:process';
         import { StringDecoder } from 'node:string_decoder';",
        &["async () => {
            const emitter = new EventEmitter();
            setTimeout(() => emitter.emit('ready', 1, 2), 1);
            const args = await once(emitter, 'ready');
            let failure = '';
            try { assert.deepEqual({ a: [1] }, { a: [2] }); } catch (error) { failure = (error as Error).name + (error instanceof AssertionError); }
            assert.ok(true); assert.deepEqual(new Map([[1, { b: 2 }]]), new Map([[1, { b: 2 }]]));
            await assert.rejects(Promise.reject(new TypeError('x')), TypeError);
            assert.throws(() => { throw new Error('boom'); }, /boom/);
            process.env.HOME = '/my/home';
            return [args, failure, util.isDeepStrictEqual([1, { a: new Date(1) }], [1, { a: new Date(1) }]),
                    timingSafeEqual(Buffer.from('ab'), Buffer.from('ab')), createHmac('sha256', 'k').update('v').digest('hex').slice(0, 8),
                    fileURLToPath(pathToFileURL('/a b/c')), homedir(), posix.join('a', '..', 'b'), resolve('x') === process.cwd() + '/x',
                    proc === process, env.GREETING, new StringDecoder('utf8').write(Buffer.from('é')), util.format('%s-%d', 'a', 5)];
        }"],
    );
    for kind in BOTH {
        let expected = json!([
            [1, 2],
            "AssertionErrortrue",
            true,
            true,
            "5e4a3a6b",
            "/a b/c",
            "/my/home",
            "b",
            true,
            true,
            "moin",
            "é",
            "a-5"
        ]);
        let mut value = repo.run(kind).await.unwrap().unwrap();
        // The digest is compared between the engines, not with a constant.
        let digest = value[4].take();
        assert_eq!(digest.as_str().unwrap().len(), 8, "{kind}");
        let mut expected = expected;
        expected[4].take();
        assert_eq!(value, expected, "{kind}");
    }
}

#[tokio::test]
async fn fetch_talks_to_a_server() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut socket, _) = server.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"ping") {
                let mut chunk = [0; 1024];
                match socket.read(&mut chunk).await.unwrap() {
                    0 => break,
                    read => request.extend_from_slice(&chunk[..read]),
                }
            }
            let line =
                String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            let body = serde_json::json!({ "line": line }).to_string();
            let answer = format!(
                "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nx-extra: yes\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let repo = Repo::steps(
        "",
        &[&format!(
            "async () => {{
                const answer = await fetch('http://127.0.0.1:{port}/path?q=1', {{ method: 'POST', body: 'ping', headers: {{ 'X-Mine': '1' }} }});
                const parsed = await answer.json();
                let refused = '';
                try {{ await fetch('http://127.0.0.1:1/'); }} catch (error) {{ refused = (error as Error).constructor.name; }}
                return [answer.status, answer.ok, answer.headers.get('x-extra'), parsed.line, refused !== ''];
            }}"
        )],
    );
    for kind in BOTH {
        let expected = json!([201, true, "yes", "POST /path?q=1 HTTP/1.1", true]);
        assert_eq!(repo.run(kind).await.unwrap(), Some(expected), "{kind}");
    }
    serving.abort();
}
