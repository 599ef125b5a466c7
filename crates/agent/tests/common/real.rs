//! The real program in a fresh folder, with a repository to build.

use std::process::Command;

use kici_testkit::{Process, Repo, wait_until};
use serde_json::{Value, json};

use super::{Link, Orchestrator, SOON, lines_of};

const WORKFLOW: &str = r#"
import { job, step, workflow, push } from '@kici-dev/sdk';

const build = job('build', {
  runsOn: 'linux',
  steps: [
    step('hello', async (ctx) => {
      ctx.log.info('hello');
      await ctx.$`echo from-shell; cat; echo end-of-input`;
      return { v: '1' };
    }),
  ],
});
const endless = job('endless', {
  runsOn: 'linux',
  steps: [
    step('sleep', async (ctx) => {
      await ctx.$`echo "shell $$"; sleep 7741 & echo "child $!"; wait`;
    }),
  ],
});
const dying = job('dying', {
  runsOn: 'linux',
  steps: [step('shoot', async (ctx) => { await ctx.$`echo before; kill -9 $$`; })],
});
const hungry = job('hungry', {
  runsOn: 'linux',
  steps: [step('eat', async (ctx) => { await ctx.$`tail -c 400000000 /dev/zero | tail -n 1 | wc -c`; })],
});
const greedy = job('greedy', {
  runsOn: 'linux',
  steps: [step('fill', async (ctx) => { await ctx.$`cat /dev/zero > big`; })],
});
const chatty = job('chatty', {
  runsOn: 'linux',
  steps: [step('talk', async (ctx) => {
    await ctx.$`for i in $(seq 1 400); do echo "line $i"; sleep 0.01; done`;
  })],
});
export default workflow('w', { on: push(), jobs: [build, endless, dying, hungry, greedy, chatty] });
"#;

/// A repository, an orchestrator that does what the test says, and the real program.
pub struct Setup {
    repo: Repo,
    sha: String,
    pub orchestrator: Orchestrator,
    pub agent: Process,
    pub folder: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

impl Setup {
    pub async fn start(more: &[(&str, &str)]) -> Self {
        let repo = Repo::init();
        repo.write(".kici/workflows/w.ts", WORKFLOW);
        let sha = repo.commit("a workflow");
        let orchestrator = Orchestrator::start().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        let vars = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", folder.path().display().to_string()),
            ("TMPDIR", folder.path().join("tmp").display().to_string()),
            ("KICI_ORCHESTRATOR_URL", orchestrator.url()),
            ("KICI_AGENT_ID", "a1".to_owned()),
            ("KICI_AGENT_TOKEN", "kat_very-secret".to_owned()),
            ("KICI_PORT", "0".to_owned()),
            ("KICI_LOG_LEVEL", "debug".to_owned()),
            ("KICI_DATA_DIR", folder.path().join("data").display().to_string()),
        ];
        let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let vars: Vec<_> =
            vars.into_iter().chain(more).map(|(name, value)| (name.to_owned(), value)).collect();
        let agent = spawn(&vars);
        Self { repo, sha, orchestrator, agent, folder, vars }
    }

    /// The same agent once more.
    pub fn restart(&mut self) {
        self.agent = spawn(&self.vars);
    }

    /// Another agent with the same settings, while the first one runs.
    pub fn another(&self) -> Process {
        spawn(&self.vars)
    }

    pub fn dispatch(&self, job: &str) -> Value {
        let mut dispatch = super::dispatch(&format!("id-of-{job}"));
        dispatch["repoUrl"] = json!(format!("file://{}", self.repo.path().display()));
        dispatch["sha"] = json!(self.sha);
        dispatch["jobConfig"]["name"] = json!(job);
        dispatch["jobConfig"]["baseJobName"] = json!(job);
        dispatch["jobConfig"]["event"] = json!({ "type": "push", "provider": "local" });
        dispatch["jobConfig"]["provider"] = json!("local");
        dispatch
    }

    /// Nothing of ours in the temporary folder.
    pub async fn no_folder_is_left(&self) {
        wait_until(SOON, "the job's folders to go", async || {
            let names: Vec<_> = std::fs::read_dir(self.folder.path().join("tmp"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .filter(|name| name.to_string_lossy().starts_with("kici-"))
                .collect();
            if names.is_empty() { Ok(()) } else { Err(format!("{names:?}")) }
        })
        .await;
    }
}

fn spawn(vars: &[(String, String)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kici-agent"));
    command.env_clear().envs(vars.iter().map(|(name, value)| (name, value)));
    Process::spawn(command)
}

impl Drop for Setup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the agent printed:\n{}", self.agent.printed());
        }
    }
}

/// Starts the endless job and gives the process ids that it prints.
pub async fn start_endless(setup: &Setup, link: &mut Link) -> Vec<i32> {
    link.send(setup.dispatch("endless")).await;
    let mut pids = Vec::new();
    while pids.len() < 2 {
        let chunk = link.next_of("log.chunk").await;
        for line in lines_of(&[chunk], 0) {
            pids.extend(line.split(' ').next_back().and_then(|pid| pid.parse::<i32>().ok()));
        }
    }
    pids
}

pub async fn are_gone(pids: &[i32]) {
    wait_until(SOON, "the job's processes to end", async || {
        let alive = pids.iter().find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
        });
        alive.map_or(Ok(()), |pid| Err(format!("{pid} is still there")))
    })
    .await;
}
