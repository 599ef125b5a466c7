//! Finds the workflow files of a project and has an engine describe them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kici_workflow::engine::{
    self, CallId, Engine, EngineKind, Host, HostAnswer, HostError, Limits, LoadMode, LoadRequest,
    Push, SdkChoice, Wish,
};
use kici_workflow::extract::{EntryFile, Problem};
use serde_json::Value;
use tokio::task::JoinSet;

use super::failure;
use crate::project::Project;

/// Where workflow files lie, relative to the root.
const WORKFLOWS: &str = ".kici/workflows";

/// Loads all workflow files, in byte order of their names.
///
/// Files for the same engine are loaded one after the other by one engine: modules that they share are the same for
/// all of them, as in one Node.js process, and what comes out does not depend on the machine's cores.
pub(super) async fn load(project: &Project) -> Result<Vec<EntryFile>, Vec<Problem>> {
    let files = files(&project.root).map_err(|problem| vec![*problem])?;
    let wish = wish().map_err(|problem| vec![*problem])?;
    let mut choosing = JoinSet::new();
    for file in files {
        let request = request(&project.root, &file);
        choosing.spawn_blocking(move || {
            let choice = choose(&request, &file, wish);
            (file, choice)
        });
    }
    let (mut embedded, mut node, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (file, choice) in choosing.join_all().await {
        match choice {
            Ok(EngineKind::Embedded) => embedded.push(file),
            Ok(EngineKind::Node) => node.push(file),
            Err(problem) => problems.push((file, *problem)),
        }
    }
    embedded.sort();
    node.sort();
    let (embedded, node) = tokio::join!(
        describe(EngineKind::Embedded, &project.root, embedded),
        describe(EngineKind::Node, &project.root, node)
    );
    let mut entries = Vec::new();
    for (file, result) in embedded.into_iter().chain(node) {
        match result {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push((file, *problem)),
        }
    }
    if problems.is_empty() {
        entries.sort_by(|a, b| a.file.cmp(&b.file));
        return Ok(entries);
    }
    problems.sort_by(|(a, _), (b, _)| a.cmp(b));
    Err(problems.into_iter().map(|(_, problem)| problem).collect())
}

/// Regular `.ts` files directly in the folder, relative to the root.
fn files(root: &Path) -> Result<Vec<String>, Box<Problem>> {
    let problem = |what: String| {
        Box::new(Problem::error(WORKFLOWS, None, what).code("E001").suggest(
            "put workflows into .kici/workflows/*.ts; `kici init` writes a sample to start from",
        ))
    };
    let folder = root.join(WORKFLOWS);
    let entries = std::fs::read_dir(&folder).map_err(|error| {
        problem(match error.kind() {
            std::io::ErrorKind::NotFound => "this folder does not exist".to_owned(),
            std::io::ErrorKind::NotADirectory => "this is not a folder".to_owned(),
            _ => format!("this folder cannot be read ({error})"),
        })
    })?;
    let mut names = Vec::new();
    for entry in entries {
        let entry =
            entry.map_err(|error| problem(format!("this folder cannot be read ({error})")))?;
        let regular = entry.file_type().is_ok_and(|kind| kind.is_file());
        let name = entry.file_name().to_string_lossy().into_owned();
        if regular && name.ends_with(".ts") {
            names.push(format!("{WORKFLOWS}/{name}"));
        }
    }
    if names.is_empty() {
        return Err(problem("this folder holds no workflow file (*.ts)".to_owned()));
    }
    names.sort();
    Ok(names)
}

/// The engine that the environment asks for.
fn wish() -> Result<Wish, Box<Problem>> {
    match std::env::var("KICI_JS_ENGINE") {
        Ok(text) => text
            .parse()
            .map_err(|error| Box::new(Problem::error(WORKFLOWS, None, format!("{error}")))),
        Err(_) => Ok(Wish::Auto),
    }
}

fn request(root: &Path, file: &str) -> LoadRequest {
    let installed = std::env::var("KICI_SDK").is_ok_and(|value| value == "installed");
    LoadRequest {
        root: root.to_owned(),
        entry: PathBuf::from(file),
        mode: LoadMode::Describe,
        sdk: if installed { SdkChoice::Installed } else { SdkChoice::BuiltIn },
        env: std::env::vars().collect(),
        state: Value::Object(serde_json::Map::new()),
        limits: Limits::default(),
    }
}

/// The engine for one file. Reads what it imports.
fn choose(request: &LoadRequest, file: &str, wish: Wish) -> Result<EngineKind, Box<Problem>> {
    let choice = engine::choose(request, wish).map_err(|error| match error {
        engine::ChooseError::Load(error) => failure::of_load(&request.root, file, error),
        other => {
            let causes: Vec<String> =
                std::iter::successors(std::error::Error::source(&other), |error| error.source())
                    .map(ToString::to_string)
                    .collect();
            let problem = Problem::error(file, None, other.to_string()).code("E003");
            let has_causes = !causes.is_empty();
            Box::new(if has_causes { problem.suggest(causes.join(": ")) } else { problem })
        }
    })?;
    Ok(choice.kind)
}

/// Loads files one after the other. One that fails takes its engine with it; the next gets a new one.
async fn describe(
    kind: EngineKind,
    root: &Path,
    files: Vec<String>,
) -> Vec<(String, Result<EntryFile, Box<Problem>>)> {
    let host = Arc::new(LogsOnly::default());
    let mut running: Option<Engine> = None;
    let mut results = Vec::new();
    for file in files {
        host.begin(&file);
        let loaded = match running.take() {
            Some(mut engine) => match engine.describe_another(Path::new(&file)).await {
                Ok(()) => Ok(engine),
                Err(error) => {
                    engine.stop().await;
                    Err(error)
                }
            },
            None => {
                let host = Arc::clone(&host) as Arc<dyn Host>;
                Engine::start(kind, request(root, &file), host).await
            }
        };
        let result = match loaded {
            Ok(engine) => {
                host.print_held_back();
                let description = engine.description().clone();
                running = Some(engine);
                source(root, &file).map(|source| EntryFile {
                    file: file.clone(),
                    source,
                    description,
                })
            }
            Err(error) => Err(failure::of_load(root, &file, error)),
        };
        results.push((file, result));
    }
    if let Some(engine) = running {
        engine.stop().await;
    }
    results
}

fn source(root: &Path, file: &str) -> Result<String, Box<Problem>> {
    let bytes = std::fs::read(root.join(file)).map_err(|error| {
        let what = format!("this file cannot be read ({error})");
        Box::new(Problem::error(file, None, what).code("E003"))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The host of a module that is only described: it may log, nothing else.
#[derive(Default)]
struct LogsOnly {
    /// The file that is loaded now.
    file: Mutex<String>,
    /// Promises that nobody caught: when the module fails to load, that is the same error once more.
    held_back: Mutex<Vec<String>>,
}

impl LogsOnly {
    /// What is said from now on is said by `file`.
    fn begin(&self, file: &str) {
        file.clone_into(&mut self.file.lock().unwrap_or_else(PoisonError::into_inner));
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn print(&self, text: &str) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for line in text.lines() {
            eprintln!("{file}: {line}");
        }
    }

    fn print_held_back(&self) {
        let held =
            std::mem::take(&mut *self.held_back.lock().unwrap_or_else(PoisonError::into_inner));
        held.iter().for_each(|text| self.print(text));
    }
}

impl Host for LogsOnly {
    fn request(&self, _: CallId, method: &str, _: Value, _: Push) -> HostAnswer {
        let message =
            format!("{method} is only there while a job runs, not while workflows are compiled");
        let error = HostError { name: "Error".to_owned(), message, data: Value::Null };
        Box::pin(std::future::ready(Err(error)))
    }

    fn notify(&self, _: CallId, method: &str, params: Value) {
        let text = params.get("text").and_then(Value::as_str).unwrap_or_default();
        match method {
            "log" if text.starts_with("unhandled promise rejection") => {
                self.held_back.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
            }
            "log" => self.print(text),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_ts_files_count_in_byte_order() {
        let dir = tempfile::tempdir().unwrap();
        assert!(files(dir.path()).unwrap_err().message.contains("does not exist"));
        let folder = dir.path().join(WORKFLOWS);
        std::fs::create_dir_all(folder.join("deep.ts")).unwrap();
        assert!(files(dir.path()).unwrap_err().message.contains("no workflow file"));
        for name in ["b.ts", "A.ts", "a.test.ts", "c.js"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.join("b.ts"), folder.join("link.ts")).unwrap();
        let names = [".kici/workflows/A.ts", ".kici/workflows/a.test.ts", ".kici/workflows/b.ts"];
        assert_eq!(files(dir.path()).unwrap(), names);
    }
}
