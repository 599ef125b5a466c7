//! Steps that wait for people: their questions come over the socket, what becomes of them is in [`crate::holds`].

use std::time::Duration;

use kici_protocol::agent::{Close, CloseCode, StepApprovalRequest, ToAgent};
use tracing::warn;
use uuid::Uuid;

use super::reader::Reader;
use crate::holds;
use crate::logging::Chain;

/// Tries to keep a question while the database is away.
const TRIES: u32 = 5;

impl Reader {
    /// Keeps the question of an attempt `(run, job, number)`. Without an answer the agent would wait in vain, so when
    /// that does not work the connection ends: the agent reconnects and asks again.
    pub(super) async fn approval(
        &self,
        attempt: (Uuid, Uuid, i32),
        request: &StepApprovalRequest,
    ) -> Result<(), Close> {
        let mut tries = 0;
        loop {
            tries += 1;
            match holds::requested(&self.app, attempt, request).await {
                Ok(Some(answer)) => {
                    self.send(ToAgent::StepApprovalResolved(answer)).await;
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Err(error) if error.is_transient() && tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                }
                Err(error) => {
                    warn!(job.id = %attempt.1, error = %Chain(&error), "could not keep the question of a step");
                    return Err(Close::new(CloseCode::Internal, "could not keep the question"));
                }
            }
        }
    }
}
