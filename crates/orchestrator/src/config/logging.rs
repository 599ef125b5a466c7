//! What is logged and in which form.

use super::vars::Vars;

/// The process's own log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// `KICI_LOG_LEVEL`: `debug`, `info` (default), `warn`, `error`.
    pub level: LogLevel,
    /// `KICI_LOG_FORMAT`: `auto` (JSON unless on a terminal), `plain`, `json`.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happened.
    Info,
    /// What is odd.
    Warn,
    /// What needs somebody.
    Error,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON unless standard output is a terminal.
    Auto,
    /// For people.
    Plain,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(vars: &mut Vars) -> LogConfig {
        let level = match vars.text_alias("KICI_LOG_LEVEL", "KICI_SERVER_LOG_LEVEL").as_deref() {
            None | Some("info") => LogLevel::Info,
            Some("debug") => LogLevel::Debug,
            Some("warn") => LogLevel::Warn,
            Some("error") => LogLevel::Error,
            Some(other) => {
                let message = format!("expected debug, info, warn or error, found {other:?}");
                vars.problem("server.logLevel", message);
                LogLevel::Info
            }
        };
        let format = match vars.text("KICI_LOG_FORMAT").as_deref() {
            None | Some("auto") => LogFormat::Auto,
            Some("plain") => LogFormat::Plain,
            Some("json") => LogFormat::Json,
            Some(other) => {
                let message = format!("expected auto, plain or json, found {other:?}");
                vars.problem("logFormat", message);
                LogFormat::Auto
            }
        };
        if vars.text("KICI_LOG_DIR").is_some() {
            vars.warn("KICI_LOG_DIR: log files are not written by this version; logs go to standard output only");
        }
        LogConfig { level, format }
    }
}
