//! The agent's own log on standard output: one JSON object or one readable line per event.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogLevel};
use crate::now;
use crate::own_log::OwnLog;

/// Starts logging on standard output. A second call changes nothing.
pub fn start(level: LogLevel, format: LogFormat) {
    start_on(level, format, std::io::stdout().is_terminal(), std::io::stdout, true);
}

/// The same on standard error, for a job process.
pub(crate) fn start_on_stderr(level: LogLevel, format: LogFormat) {
    start_on(level, format, std::io::stderr().is_terminal(), std::io::stderr, false);
}

fn start_on<W>(level: LogLevel, format: LogFormat, is_terminal: bool, writer: W, keep: bool)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Plain => false,
        LogFormat::Json => true,
    };
    // Libraries have little to say to an operator.
    let filter =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("kici", level);
    let layer = tracing_subscriber::fmt::layer().with_ansi(is_terminal).with_writer(writer);
    let layer =
        if json { layer.event_format(JsonLine).boxed() } else { layer.with_target(false).boxed() };
    let forwarded = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(JsonLine)
        .with_writer(Forward)
        .with_filter(filter.clone());
    let forwarded = keep.then_some(forwarded);
    // Fails only when a subscriber is set already, as in tests that start several agents.
    let registry = tracing_subscriber::registry().with(layer.with_filter(filter));
    let _ = registry.with(forwarded).try_init();
}

/// Now, as `2026-11-21T00:12:03.813Z`.
pub(crate) fn timestamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// The lines that were logged in this process.
pub(crate) fn own() -> OwnLog {
    static OWN: OnceLock<OwnLog> = OnceLock::new();
    OWN.get_or_init(OwnLog::default).clone()
}

/// Writes lines to [`own`].
struct Forward;

impl<'a> MakeWriter<'a> for Forward {
    type Writer = OneLine;

    fn make_writer(&'a self) -> OneLine {
        OneLine(Vec::new())
    }
}

/// One line, added when it is complete.
struct OneLine(Vec<u8>);

impl io::Write for OneLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OneLine {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        let line = text.trim_end();
        if !line.is_empty() {
            own().add(now::epoch_ms(), line.to_owned());
        }
    }
}

struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        fields.set("level", level);
        event.record(&mut fields);
        fields.set("service", "agent");
        fields.set("timestamp", timestamp());
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    /// `run.id` in the code is `runId` in the log, as it has always been.
    fn set(&mut self, name: &str, value: impl Into<Value>) {
        let mut key = String::with_capacity(name.len());
        let mut upper = false;
        for character in name.trim_start_matches("r#").chars() {
            if character == '.' {
                upper = true;
            } else if std::mem::take(&mut upper) {
                key.extend(character.to_uppercase());
            } else {
                key.push(character);
            }
        }
        self.0.insert(key, value.into());
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }
}
