//! Answers a Node process's questions about modules: where an import leads, and the code of a file.
//!
//! Node's loader hooks are synchronous, so this is a plain thread that reads a line and writes a line. Packages
//! are left to Node; the author's own files go through the same `Sources` as on the embedded engine.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bundles;
use crate::engine::SdkChoice;
use crate::failure::LoadError;
use crate::session::Session;
use crate::source::resolve::{Declared, SDK, in_node_modules};
use crate::source::{ModuleKind, Sources, Target, file_url};

const GUEST_URL: &str = "kici:guest.js";
const SDK_URL: &str = "kici:sdk.js";

#[derive(Deserialize)]
#[serde(untagged)]
enum Question {
    Resolve {
        resolve: String,
        #[serde(default)]
        importer: Option<String>,
    },
    Load {
        load: String,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Resolved {
        url: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<&'static str>,
    },
    Code {
        code: String,
    },
    Next {
        next: bool,
    },
    Failed {
        error: Failure,
    },
}

#[derive(Serialize)]
struct Failure {
    name: &'static str,
    message: String,
}

const NEXT: Answer = Answer::Next { next: true };

/// Answers until the child closes its end.
pub(crate) fn serve(
    sources: Arc<Sources>,
    session: Arc<Session>,
    questions: PipeReader,
    mut answers: PipeWriter,
) -> io::Result<()> {
    let service = Service { sources, session };
    std::thread::Builder::new().name("kici-node-loader".to_owned()).spawn(move || {
        for line in BufReader::new(questions).lines() {
            let Ok(line) = line else { return };
            let answer = match serde_json::from_str::<Question>(&line) {
                Ok(question) => service.answer(&question),
                Err(error) => failed(
                    "Error",
                    format!("the loader was asked something that makes no sense ({error})"),
                ),
            };
            let mut text = serde_json::to_string(&answer).expect("answers have string keys only");
            text.push('\n');
            if answers.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

struct Service {
    sources: Arc<Sources>,
    session: Arc<Session>,
}

impl Service {
    fn answer(&self, question: &Question) -> Answer {
        match question {
            Question::Resolve { resolve, importer } => {
                self.resolve(resolve, importer.as_deref().unwrap_or_default())
            }
            Question::Load { load } => self.load(load),
        }
    }

    fn resolve(&self, specifier: &str, importer: &str) -> Answer {
        if specifier == SDK {
            return match self.sources.sdk() {
                SdkChoice::BuiltIn => module(SDK_URL.to_owned()),
                SdkChoice::Installed => self.installed_sdk(),
            };
        }
        // `--eval` code has no file; Node makes one up in the working directory.
        let is_main = importer.rsplit('/').next().is_some_and(|name| name.starts_with("[eval"));
        let Some(importer) = url_to_path(importer).filter(|_| !is_main) else {
            // Our own modules: they import each other, builtins, and the entry by its path.
            return match specifier {
                GUEST_URL => module(GUEST_URL.to_owned()),
                path if Path::new(path).is_absolute() => {
                    self.own(Path::new(path), self.sources.declared(Path::new(path)))
                }
                _ => NEXT,
            };
        };
        if !self.is_own(&importer) {
            return NEXT;
        }
        match self.sources.resolve(&importer, specifier) {
            Ok(Target::File { path, declared }) if self.is_own(&path) => self.own(&path, declared),
            Ok(_) => NEXT,
            Err(error) => self.fail(error),
        }
    }

    /// One of the author's files.
    fn own(&self, path: &Path, declared: Declared) -> Answer {
        let format = match declared {
            Declared::CommonJs | Declared::Foreign => None,
            Declared::Module | Declared::Undeclared | Declared::Json => Some("module"),
        };
        Answer::Resolved { url: file_url(path), format }
    }

    /// The guest has to use the very instance that the workflow imports.
    fn installed_sdk(&self) -> Answer {
        match self.sources.resolve(self.sources.entry(), SDK) {
            Ok(Target::File { path, .. }) => {
                Answer::Resolved { url: file_url(&path), format: None }
            }
            Ok(_) => NEXT,
            Err(error) => self.fail(error),
        }
    }

    fn load(&self, url: &str) -> Answer {
        match url {
            SDK_URL => return Answer::Code { code: bundles::SDK.to_owned() },
            GUEST_URL => return Answer::Code { code: bundles::GUEST.to_owned() },
            _ => {}
        }
        let Some(path) = url_to_path(url).filter(|path| self.is_own(path)) else { return NEXT };
        let declared = self.sources.declared(&path);
        match self.sources.load(&path, declared) {
            Ok(loaded) if loaded.kind == ModuleKind::EsModule => {
                let mut code = loaded.code;
                if let Some(map) = &loaded.map {
                    code.push_str("\n//# sourceMappingURL=");
                    code.push_str(&map.to_data_url());
                }
                Answer::Code { code }
            }
            Ok(_) => NEXT,
            Err(error) => self.fail(error),
        }
    }

    fn is_own(&self, path: &Path) -> bool {
        path.starts_with(self.sources.root()) && !in_node_modules(path)
    }

    fn fail(&self, error: LoadError) -> Answer {
        let name = if matches!(error, LoadError::Syntax { .. }) { "SyntaxError" } else { "Error" };
        let message = error.to_string();
        self.session.note_trouble(error);
        failed(name, message)
    }
}

fn module(url: String) -> Answer {
    Answer::Resolved { url, format: Some("module") }
}

fn failed(name: &'static str, message: String) -> Answer {
    Answer::Failed { error: Failure { name, message } }
}

/// The path of a `file:` URL; a query, which some tools append, is dropped.
fn url_to_path(url: &str) -> Option<PathBuf> {
    let encoded = url.strip_prefix("file://")?.split(['?', '#']).next()?;
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(PathBuf::from(String::from_utf8(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_lead_back_and_forth() {
        let path = Path::new("/tmp/a b/ü%20#?.ts");
        assert_eq!(url_to_path(&file_url(path)).unwrap(), path);
        assert_eq!(url_to_path("file:///a.ts?t=1").unwrap(), Path::new("/a.ts"));
        assert_eq!(url_to_path("kici:guest.js"), None);
    }
}
