//! The ZIP that an operator gets who asks the fleet for logs: who this is, how it is set up, how it does,
//! and its log. No secrets: the configuration is redacted when it is read.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kici_protocol::agent::{FleetBundleChunk, FleetLogsRequest};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::own_log::OwnLog;

/// Raw bytes of one frame.
const FRAME: usize = 85 * 1024;
const HOUR_MS: i64 = 3_600_000;

/// What goes into a bundle besides the log.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) agent_id: String,
    pub(crate) config: Value,
    pub(crate) system: Value,
    pub(crate) metrics: String,
    pub(crate) now_ms: i64,
}

/// A bundle on its way.
#[derive(Debug)]
pub(crate) struct Bundle {
    request_id: String,
    bytes: Vec<u8>,
    seq: u64,
    sent: usize,
    done: bool,
}

/// A bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// Not even without any log.
    #[error("the bundle has {bytes} bytes without any log, only {limit} are allowed")]
    TooLarge { bytes: usize, limit: u64 },
    /// Writing to memory failed.
    #[error("cannot write the ZIP")]
    Zip(#[from] zip::result::ZipError),
    /// Writing to memory failed.
    #[error("cannot write the ZIP")]
    Write(#[from] std::io::Error),
}

impl Bundle {
    /// Packs it; the oldest lines are left out if it would be larger than allowed.
    pub(crate) fn pack(
        request: &FleetLogsRequest,
        facts: &Facts,
        log: &OwnLog,
    ) -> Result<Self, BundleError> {
        let hours = i64::try_from(request.log_window_hours).unwrap_or(i64::MAX);
        let mut lines = log.since(facts.now_ms.saturating_sub(hours.saturating_mul(HOUR_MS)));
        let all = lines.len();
        loop {
            let bytes = write(request, facts, &lines, all)?;
            if bytes.len() as u64 <= request.max_bytes {
                let request_id = request.request_id.clone();
                return Ok(Self { request_id, bytes, seq: 0, sent: 0, done: false });
            }
            if lines.is_empty() {
                return Err(BundleError::TooLarge { bytes: bytes.len(), limit: request.max_bytes });
            }
            lines.drain(..lines.len().div_ceil(2));
        }
    }

    /// The next frame; `None` after the last.
    pub(crate) fn next(&mut self) -> Option<FleetBundleChunk> {
        if self.done {
            return None;
        }
        let end = (self.sent + FRAME).min(self.bytes.len());
        let chunk = FleetBundleChunk {
            request_id: self.request_id.clone(),
            seq: self.seq,
            is_last: end == self.bytes.len(),
            data_b64: STANDARD.encode(&self.bytes[self.sent..end]),
        };
        self.sent = end;
        self.seq += 1;
        self.done = chunk.is_last;
        Some(chunk)
    }
}

fn write(
    request: &FleetLogsRequest,
    facts: &Facts,
    lines: &[String],
    all: usize,
) -> Result<Vec<u8>, BundleError> {
    let manifest = json!({
        "kind": "kici-agent",
        "agentId": facts.agent_id,
        "version": env!("CARGO_PKG_VERSION"),
        "createdAt": facts.now_ms,
        "logWindowHours": request.log_window_hours,
        "maxBytes": request.max_bytes,
        "logLines": lines.len(),
        "logLinesLeftOut": all - lines.len(),
        "files": ["manifest.json", "config/config.json", "system/info.json", "system/metrics.txt",
                  "logs/agent.log"],
    });
    let mut log = lines.join("\n");
    if !log.is_empty() {
        log.push('\n');
    }
    let files = [
        ("manifest.json", pretty(&manifest)),
        ("config/config.json", pretty(&facts.config)),
        ("system/info.json", pretty(&facts.system)),
        ("system/metrics.txt", facts.metrics.clone()),
        ("logs/agent.log", log),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, content) in files {
        zip.start_file(name, options)?;
        zip.write_all(content.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value has string keys")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn facts() -> Facts {
        Facts {
            agent_id: "a".into(),
            config: json!({ "KICI_AGENT_TOKEN": "***" }),
            system: json!({ "platform": "linux" }),
            metrics: "kici_agent_jobs_active 0\n".into(),
            now_ms: 10 * HOUR_MS,
        }
    }

    fn request(log_window_hours: u64, max_bytes: u64) -> FleetLogsRequest {
        FleetLogsRequest { request_id: "q".into(), log_window_hours, max_bytes }
    }

    fn unpack(bundle: &mut Bundle) -> Vec<(String, String)> {
        let mut bytes = Vec::new();
        for seq in 0.. {
            let chunk = bundle.next().expect("a last frame");
            assert_eq!((chunk.seq, chunk.request_id.as_str()), (seq, "q"));
            let raw = STANDARD.decode(&chunk.data_b64).unwrap();
            assert!(raw.len() <= FRAME && (chunk.is_last || raw.len() == FRAME));
            bytes.extend(raw);
            if chunk.is_last {
                break;
            }
        }
        assert!(bundle.next().is_none());
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        (0..zip.len())
            .map(|index| {
                let mut file = zip.by_index(index).unwrap();
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                (file.name().unwrap().into_owned(), text)
            })
            .collect()
    }

    #[test]
    fn a_bundle_has_the_log_of_the_window() {
        let log = OwnLog::default();
        log.add(8 * HOUR_MS, "old".into());
        log.add(9 * HOUR_MS + 1, "new".into());
        let mut bundle = Bundle::pack(&request(1, 1_000_000), &facts(), &log).unwrap();
        let files = unpack(&mut bundle);
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "manifest.json",
                "config/config.json",
                "system/info.json",
                "system/metrics.txt",
                "logs/agent.log"
            ]
        );
        assert_eq!(files[4].1, "new\n");
    }

    #[test]
    fn a_large_bundle_travels_in_frames_and_a_limit_costs_the_oldest_lines() {
        let log = OwnLog::default();
        for number in 0..2000 {
            let noise: String =
                (0..20).map(|_| format!("{:016x}", rand::random::<u64>())).collect();
            log.add(10 * HOUR_MS, format!("{number} {noise}"));
        }
        let mut whole = Bundle::pack(&request(24, 50_000_000), &facts(), &log).unwrap();
        assert!(whole.bytes.len() > 2 * FRAME, "{}", whole.bytes.len());
        assert_eq!(unpack(&mut whole)[4].1.lines().count(), 2000);
        let mut limited = Bundle::pack(&request(24, 100_000), &facts(), &log).unwrap();
        let files = unpack(&mut limited);
        assert!(files[4].1.lines().last().unwrap().starts_with("1999 "));
        assert!(files[0].1.contains("\"logLinesLeftOut\""));
        let error = Bundle::pack(&request(24, 10), &facts(), &log).unwrap_err();
        assert!(error.to_string().contains("only 10 are allowed"), "{error}");
    }
}
