//! What is told about a step, hook, init action or cache action: that it began, and how it ended.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::context::Context;
use crate::millis;
use crate::scope::Scope;
use crate::spec::{JobEvent, StepError, StepStatus};

/// A row that people see.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) index: i64,
    pub(crate) name: String,
    /// The parallel group it belongs to.
    pub(crate) group: Option<String>,
}

/// A row with its type, e.g. `hook:cleanup`.
#[derive(Debug, Clone)]
pub(crate) struct TypedRow {
    row: Row,
    step_type: String,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) status: StepStatus,
    pub(crate) duration: Duration,
    pub(crate) error: Option<StepError>,
    pub(crate) data: Map<String, Value>,
    secrets_accessed: Vec<String>,
    log_bytes: u64,
}

impl Report {
    pub(crate) fn new(status: StepStatus, duration: Duration) -> Self {
        Self {
            status,
            duration,
            error: None,
            data: Map::new(),
            secrets_accessed: Vec::new(),
            log_bytes: 0,
        }
    }

    /// Sends the rest of the scope's log and takes over what it knows.
    pub(crate) async fn learn(&mut self, scope: &Scope) {
        self.log_bytes = scope.log.close().await;
        self.secrets_accessed = scope.secrets_read();
    }
}

impl Row {
    /// A row of an ordinary step.
    pub(crate) fn step(self) -> TypedRow {
        self.typed("step".to_owned())
    }

    /// A row of another type.
    pub(crate) fn typed(self, step_type: String) -> TypedRow {
        TypedRow { row: self, step_type }
    }
}

impl TypedRow {
    /// It waits for its turn.
    pub(crate) async fn pending(&self, context: &Context) {
        self.begin(context, true).await;
    }

    /// It began.
    pub(crate) async fn started(&self, context: &Context) {
        self.begin(context, false).await;
    }

    async fn begin(&self, context: &Context, pending: bool) {
        context
            .say(JobEvent::StepStarted {
                step: self.row.index,
                name: self.row.name.clone(),
                step_type: self.step_type.clone(),
                pending,
                group_id: self.row.group.clone(),
            })
            .await;
    }

    /// It ended.
    pub(crate) async fn ended(&self, context: &Context, report: Report) {
        context
            .say(JobEvent::StepEnded {
                step: self.row.index,
                name: self.row.name.clone(),
                step_type: self.step_type.clone(),
                status: report.status,
                duration_ms: millis::of(report.duration),
                error: report.error,
                secrets_accessed: report.secrets_accessed,
                log_bytes: report.log_bytes,
                data: report.data,
                group_id: self.row.group.clone(),
            })
            .await;
    }
}
