//! The scheduler's features as authors meet them: workflows in TypeScript, compiled with `kici compile`, pushed with
//! git to a repository with our hook, run by the real orchestrator and real agents, with both engines.
//!
//! Steps leave words in a journal outside of all that is ours (`workflows/lib.ts`), and wait for files that the test
//! makes, so that the order of things is known and nothing sleeps.

mod approvals;
mod concurrency;
mod fields;
mod generators;
mod graphs;
mod hosts;
mod repeats;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kici_testkit::{Process, Repo, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::crash;
use crate::env::{ADMIN, Env};

/// How long anything with real programs may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

const LIB: &str = include_str!("workflows/lib.ts");
const PARTS: &str = include_str!("workflows/parts.ts");

/// A team's installation: an orchestrator, agents, a repository with its hook, and the author's clone of it.
struct Stage {
    env: Env,
    author: Repo,
    folder: TempDir,
    engine: &'static str,
    agents: Vec<Process>,
    orchestrator: Process,
}

impl Stage {
    /// Sets all of it up with a workflow file, compiled and pushed.
    async fn set(engine: &'static str, agents: usize, workflow: &str) -> Stage {
        Stage::set_with(engine, agents, workflow, &[]).await
    }

    /// The same with variables of the orchestrator.
    async fn set_with(
        engine: &'static str,
        agents: usize,
        workflow: &str,
        extra: &[(&str, &str)],
    ) -> Stage {
        let mut env = Env::start_with(extra).await;
        env.stop().await;
        let orchestrator = crash::start(&mut env);
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let author = Repo::init();
        author
            .write("readme", "an app")
            .write(".kici/lib/stage.ts", LIB)
            .write(".kici/lib/parts.ts", PARTS)
            .write(".kici/workflows/ci.ts", workflow);
        let mut stage = Stage { env, author, folder, engine, agents: Vec::new(), orchestrator };
        stage.compile();
        stage.author.commit("workflows");
        stage.connect();
        for number in 1..=agents {
            let agent = stage.agent(&format!("agent-{number}"));
            stage.agents.push(agent);
        }
        for agent in &mut stage.agents {
            agent.wait_for_line("registered with", LONG);
        }
        stage
    }

    fn compile(&self) {
        let output = Command::new(beside("kici"))
            .env_clear()
            .envs(self.environment())
            .current_dir(self.author.path())
            .arg("compile")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Makes the repository that the author pushes to, and installs the hook that tells the orchestrator.
    fn connect(&self) {
        let bare = self.folder.path().join("app.git");
        let path = bare.to_str().unwrap();
        self.author.git(&["clone", "--quiet", "--bare", ".", path]);
        self.author.git(&["remote", "add", "origin", path]);
        let added = self.admin(&["source", "add", "local", "--org", "acme", "--path", path]);
        let id = added["source"]["id"].as_str().unwrap();
        self.admin(&["source", "install-hook", id, "--repo", path]);
    }

    fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", self.home().to_str().unwrap().to_owned()),
            ("KICI_JS_ENGINE", self.engine.to_owned()),
        ]
    }

    fn agent(&self, id: &str) -> Process {
        let folder = self.folder.path().join(id);
        std::fs::create_dir_all(folder.join("tmp")).unwrap();
        let mut command = Command::new(beside("kici-agent"));
        command
            .env_clear()
            .envs(self.environment())
            .env("TMPDIR", folder.join("tmp"))
            .env("KICI_ORCHESTRATOR_URL", format!("ws://127.0.0.1:{}/ws", self.env.port()))
            .env("KICI_AGENT_ID", id)
            .env("KICI_LABELS", "linux")
            .env("KICI_PORT", "0")
            .env("KICI_DATA_DIR", folder.join("data"));
        Process::spawn(command)
    }

    /// What `kici-admin` prints with `--json`.
    fn admin(&self, args: &[&str]) -> Value {
        let printed = self.admin_says(&[args, &["--json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// What `kici-admin` prints for people.
    fn admin_says(&self, args: &[&str]) -> String {
        let output = Command::new(beside("kici-admin"))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("KICI_ADMIN_URL", self.env.url(""))
            .env("KICI_ADMIN_TOKEN", ADMIN)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Pushes a commit with this message to a branch.
    fn push(&self, branch: &str, message: &str) {
        self.author.commit(message);
        let to = format!("HEAD:refs/heads/{branch}");
        self.author.git(&["push", "--quiet", "--force", "origin", &to]);
    }

    /// Pushes, and waits for the run of the workflow that is named like the branch to end so.
    async fn play(&self, branch: &str, state: &str) -> Played {
        self.push(branch, branch);
        self.ends(branch, 0, state).await
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Lets the steps go on that wait for this.
    fn go(&self, name: &str) {
        std::fs::write(self.home().join(name), "").unwrap();
    }

    /// What steps and hooks have noted.
    fn journal(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.home().join("journal")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What they have noted with this word first.
    fn noted(&self, word: &str) -> Vec<String> {
        let rest = |line: &String| line.strip_prefix(word)?.strip_prefix(' ').map(str::to_owned);
        self.journal().iter().filter_map(rest).collect()
    }

    async fn until_noted(&self, line: &str) {
        wait_until(LONG, line, async || {
            let journal = self.journal();
            if journal.iter().any(|noted| noted == line) {
                return Ok(());
            }
            Err(format!("journal {journal:?}; {}", self.what_is().await))
        })
        .await;
    }

    /// Waits until an agent counts as away.
    async fn until_away(&self, id: &str) {
        wait_until(LONG, &format!("{id} to be away"), async || {
            let agents = self.env.admin_get("/api/v1/admin/agents").await["agents"].clone();
            let away = |agent: &Value| agent["agentId"] == id && agent["state"] == "disconnected";
            match agents.as_array().unwrap().iter().any(away) {
                true => Ok(()),
                false => Err(agents),
            }
        })
        .await;
    }

    /// All runs with their jobs: for messages.
    async fn what_is(&self) -> String {
        let mut text = String::new();
        for run in self.env.runs().await {
            let jobs = shown(&self.env.jobs(&run).await);
            text += &format!("{} {}: {jobs:?}; ", run["workflowName"], run["status"]);
        }
        text
    }

    /// The runs of a workflow, oldest first.
    async fn runs(&self, workflow: &str) -> Vec<Value> {
        let mut runs = self.env.runs().await;
        runs.retain(|run| run["workflowName"] == workflow);
        runs
    }

    /// Waits for a run of a workflow to look like something.
    async fn until<T>(
        &self,
        (workflow, number): (&str, usize),
        what: &str,
        look: impl Fn(&Played) -> Option<T>,
    ) -> T {
        wait_until(LONG, &format!("run {number} of {workflow} to be {what}"), async || {
            if let Some(run) = self.runs(workflow).await.get(number) {
                let jobs = self.env.jobs(run).await;
                if let Some(found) = look(&Played { run: run.clone(), jobs }) {
                    return Ok(found);
                }
            }
            Err(format!("{} journal {:?}", self.what_is().await, self.journal()))
        })
        .await
    }

    /// Waits for a run of a workflow to end so.
    async fn ends(&self, workflow: &str, number: usize, state: &str) -> Played {
        self.until((workflow, number), state, |seen| {
            let over = seen.run["status"] == state && !seen.run["completedAt"].is_null();
            over.then(|| seen.clone())
        })
        .await
    }

    /// What a job's step has said (`say` in `workflows/lib.ts`).
    async fn said(&self, played: &Played, job: &str) -> Value {
        let lines = self.env.log(&played.run, played.job(job), 0).await;
        let found = lines.iter().find_map(|line| line.split_once("said ")).map(|(_, said)| said);
        let said = found.unwrap_or_else(|| panic!("{job} has said nothing: {lines:?}"));
        serde_json::from_str(said).unwrap()
    }

    /// Agents and orchestrator are still there, and the jobs of this run ran with the engine of this stage.
    async fn is_well(&mut self, played: &Played, job: &str) {
        let lines = self.env.log(&played.run, played.job(job), -1).await;
        let engine = format!("{}: ", self.engine);
        assert!(lines.iter().any(|line| line.contains(&engine)), "{lines:?}");
        assert!(self.orchestrator.is_running());
        assert!(self.agents.iter_mut().all(Process::is_running));
    }
}

/// A run with its jobs.
#[derive(Debug, Clone)]
struct Played {
    run: Value,
    jobs: Vec<Value>,
}

impl Played {
    fn id(&self) -> &str {
        self.run["runId"].as_str().unwrap()
    }

    fn job(&self, name: &str) -> &Value {
        let found = self.jobs.iter().find(|job| job["jobName"] == name);
        found.unwrap_or_else(|| panic!("there is no job {name}: {:?}", shown(&self.jobs)))
    }

    /// `name status (error)` of each job, in alphabetical order: those that are made meanwhile come in any order.
    fn shown(&self) -> Vec<String> {
        let mut all = shown(&self.jobs);
        all.sort();
        all
    }
}

fn shown(jobs: &[Value]) -> Vec<String> {
    let one = |job: &Value| {
        let name =
            format!("{} {}", job["jobName"].as_str().unwrap(), job["status"].as_str().unwrap());
        match job["errorMessage"].as_str() {
            Some(error) => format!("{name} ({error})"),
            None => name,
        }
    };
    jobs.iter().map(one).collect()
}

/// A program of ours beside the one under test.
fn beside(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_kici-orchestrator")).with_file_name(name);
    let path = program.display();
    assert!(program.is_file(), "{path} is missing; `cargo build --workspace --bins` makes it");
    program
}

/// One test for each engine.
macro_rules! with_both_engines {
    ($($story:ident),+ $(,)?) => {$(
        mod $story {
            #[tokio::test]
            async fn embedded() {
                super::$story("embedded").await;
            }

            #[tokio::test]
            async fn node() {
                super::$story("node").await;
            }
        }
    )+};
}
use with_both_engines;
