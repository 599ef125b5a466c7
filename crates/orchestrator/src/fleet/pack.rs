//! The ZIP of a fleet bundle: `local/bundle.zip`, `agents/<id>.zip` and `fleet-manifest.json`.

use std::collections::HashSet;
use std::io::{Cursor, Write as _};

use kici_protocol::http::fleet::{FleetKind, FleetManifest, FleetOutcome, FleetStatus};
use kici_protocol::http::service::Diagnosis;
use serde::Serialize;
use serde_json::json;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::app::App;

/// Bytes of bundles in one ZIP.
const LARGEST: usize = 128 * 1024 * 1024;

/// Writing to memory failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// The ZIP itself.
    #[error("cannot write the ZIP")]
    Zip(#[from] zip::result::ZipError),
    /// A file in it.
    #[error("cannot write a file of the ZIP")]
    Write(#[from] std::io::Error),
}

/// A ZIP that grows.
pub(super) struct Pack {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    bytes: usize,
    names: HashSet<String>,
}

impl Pack {
    pub(super) fn new() -> Pack {
        Pack { zip: writer(), bytes: 0, names: HashSet::new() }
    }

    /// Adds what this orchestrator says about itself. Its log is not in there: it is on its standard output.
    pub(super) fn local(
        &mut self,
        app: &App,
        diagnosis: &Diagnosis,
    ) -> Result<FleetOutcome, PackError> {
        let system = json!({
            "os": std::env::consts::OS, "arch": std::env::consts::ARCH,
            "cpus": std::thread::available_parallelism().map_or(1, usize::from),
            "uptimeSeconds": app.started.elapsed().as_secs(), "version": env!("CARGO_PKG_VERSION"),
        });
        let files = ["diagnostics/results.json", "system/info.json", "system/metrics.txt"];
        let manifest = json!({
            "kind": "kici-orchestrator", "orchestrator": app.number, "version": env!("CARGO_PKG_VERSION"),
            "createdAt": diagnosis.timestamp, "files": files,
        });
        let connected = i64::try_from(app.agents.connected()).unwrap_or(i64::MAX);
        let metrics = app.metrics.render(connected, &app.agents.measured());
        let mut zip = writer();
        let content = [pretty(diagnosis), pretty(&system), metrics];
        for (name, content) in
            files.into_iter().zip(content).chain([("manifest.json", pretty(&manifest))])
        {
            write(&mut zip, name, content.as_bytes(), CompressionMethod::Deflated)?;
        }
        let bytes = zip.finish()?.into_inner();
        let path = "local/bundle.zip".to_owned();
        self.add(FleetKind::Orchestrator, app.number.to_string(), path, &bytes)
    }

    /// Adds the bundle of an agent, if there is room.
    pub(super) fn agent(&mut self, id: String, bytes: &[u8]) -> Result<FleetOutcome, PackError> {
        if self.bytes + bytes.len() > LARGEST {
            let message = format!(
                "its {} bytes would make the fleet bundle larger than {LARGEST} bytes; ask for fewer agents or hours",
                bytes.len()
            );
            return Ok(failed(id, FleetStatus::Error, message));
        }
        let path = self.path(&id);
        self.add(FleetKind::Agent, id, path, bytes)
    }

    /// Adds the manifest and ends.
    pub(super) fn finish(mut self, manifest: &FleetManifest) -> Result<Vec<u8>, PackError> {
        let text = pretty(manifest);
        write(&mut self.zip, "fleet-manifest.json", text.as_bytes(), CompressionMethod::Deflated)?;
        Ok(self.zip.finish()?.into_inner())
    }

    fn add(
        &mut self,
        kind: FleetKind,
        id: String,
        path: String,
        bytes: &[u8],
    ) -> Result<FleetOutcome, PackError> {
        // Compressed already.
        write(&mut self.zip, &path, bytes, CompressionMethod::Stored)?;
        self.bytes += bytes.len();
        let bytes = Some(bytes.len() as u64);
        Ok(FleetOutcome {
            kind,
            id,
            status: FleetStatus::Ok,
            path: Some(path),
            bytes,
            message: None,
        })
    }

    /// A name that is safe to unpack: an agent chooses its id.
    fn path(&mut self, id: &str) -> String {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        let name: String = id.chars().take(100).map(|c| if fine(c) { c } else { '_' }).collect();
        let name = name.trim_start_matches('.');
        let mut path = format!("agents/{name}.zip");
        let mut again = 1;
        // File systems that know no case would put two names into one file.
        while !self.names.insert(path.to_lowercase()) {
            again += 1;
            path = format!("agents/{name}-{again}.zip");
        }
        path
    }
}

/// An agent without a bundle.
pub(super) fn failed(id: String, status: FleetStatus, message: String) -> FleetOutcome {
    FleetOutcome {
        kind: FleetKind::Agent,
        id,
        status,
        path: None,
        bytes: None,
        message: Some(message),
    }
}

fn writer() -> ZipWriter<Cursor<Vec<u8>>> {
    ZipWriter::new(Cursor::new(Vec::new()))
}

fn write(
    zip: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    content: &[u8],
    how: CompressionMethod,
) -> Result<(), PackError> {
    zip.start_file(name, SimpleFileOptions::default().compression_method(how))?;
    zip.write_all(content)?;
    Ok(())
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("texts, numbers and lists")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_safe_and_different() {
        let mut pack = Pack::new();
        let names: Vec<String> =
            ["a-1", "../../etc/x", "A-1", "a/1", "a:1", ""].map(|id| pack.path(id)).into();
        assert_eq!(
            names,
            ["a-1", "_.._etc_x", "A-1-2", "a_1", "a_1-2", ""]
                .map(|name| format!("agents/{name}.zip"))
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut pack = Pack::new();
        assert_eq!(pack.agent("a".into(), b"x").unwrap().status, FleetStatus::Ok);
        pack.bytes = LARGEST - 1;
        let outcome = pack.agent("b".into(), b"xy").unwrap();
        assert_eq!((outcome.status, outcome.path), (FleetStatus::Error, None));
    }
}
