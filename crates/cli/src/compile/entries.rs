//! Finds the workflow files of a project and loads each on an engine of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kici_workflow::engine::{
    self, CallId, Engine, Host, HostAnswer, HostError, Limits, LoadMode, LoadRequest, Push,
    SdkChoice, Wish,
};
use kici_workflow::extract::{EntryFile, Problem};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::failure;
use crate::project::Project;

/// Where workflow files lie, relative to the root.
const WORKFLOWS: &str = ".kici/workflows";

/// Loads all workflow files, in byte order of their names.
pub(super) async fn load(project: &Project) -> Result<Vec<EntryFile>, Vec<Problem>> {
    let files = files(&project.root).map_err(|problem| vec![*problem])?;
    let wish = wish().map_err(|problem| vec![*problem])?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let places = Arc::new(Semaphore::new(cores));
    let mut tasks = JoinSet::new();
    for (index, file) in files.into_iter().enumerate() {
        let (root, places) = (project.root.clone(), Arc::clone(&places));
        tasks.spawn(async move {
            let _place = places.acquire().await.expect("the semaphore is never closed");
            (index, entry(root, file, wish).await)
        });
    }
    let mut results = tasks.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for (_, result) in results {
        match result {
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() { Ok(entries) } else { Err(problems) }
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

/// Loads one file.
async fn entry(root: PathBuf, file: String, wish: Wish) -> Result<EntryFile, Box<Problem>> {
    let failed = |what: String| Box::new(Problem::error(&file, None, what).code("E003"));
    let bytes = std::fs::read(root.join(&file))
        .map_err(|error| failed(format!("this file cannot be read ({error})")))?;
    let installed = std::env::var("KICI_SDK").is_ok_and(|value| value == "installed");
    let request = LoadRequest {
        root: root.clone(),
        entry: PathBuf::from(&file),
        mode: LoadMode::Describe,
        sdk: if installed { SdkChoice::Installed } else { SdkChoice::BuiltIn },
        env: std::env::vars().collect(),
        state: Value::Object(serde_json::Map::new()),
        limits: Limits::default(),
    };
    let looked_at = request.clone();
    let choice = tokio::task::spawn_blocking(move || engine::choose(&looked_at, wish))
        .await
        .expect("choosing an engine does not panic");
    let choice = choice.map_err(|error| match error {
        engine::ChooseError::Load(error) => failure::of_load(&root, &file, error),
        other => {
            let causes: Vec<String> =
                std::iter::successors(std::error::Error::source(&other), |error| error.source())
                    .map(ToString::to_string)
                    .collect();
            let problem = failed(other.to_string());
            if causes.is_empty() { problem } else { Box::new(problem.suggest(causes.join(": "))) }
        }
    })?;
    let host = Arc::new(LogsOnly { file: file.clone(), held_back: Mutex::default() });
    let engine = Engine::start(choice.kind, request, Arc::clone(&host) as Arc<dyn Host>)
        .await
        .map_err(|error| failure::of_load(&root, &file, error))?;
    host.print_held_back();
    let description = engine.description().clone();
    engine.stop().await;
    Ok(EntryFile { file, source: String::from_utf8_lossy(&bytes).into_owned(), description })
}

/// The host of a module that is only described: it may log, nothing else.
struct LogsOnly {
    file: String,
    /// Promises that nobody caught: when the module fails to load, that is the same error once more.
    held_back: Mutex<Vec<String>>,
}

impl LogsOnly {
    fn print(&self, text: &str) {
        for line in text.lines() {
            eprintln!("{}: {line}", self.file);
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
