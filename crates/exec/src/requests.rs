//! Questions of a job to whoever drives it: [`JobEvent::Request`] out, [`JobOrder::Answer`] in.
//!
//! [`JobOrder::Answer`]: crate::spec::JobOrder::Answer

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use crate::spec::JobEvent;

/// An answer: a result, or the error's text.
type Answer = Result<Value, String>;

/// One request has one answer, or "wait" and then another. More of them are dropped.
const ANSWERS: usize = 4;

/// Why a request got no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The answer is an error.
    #[error("{0}")]
    Refused(String),
    /// No answer came in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// Nobody is there to answer.
    #[error("nobody is there to answer")]
    Gone,
}

/// The open requests of one job.
#[derive(Debug)]
pub(crate) struct Requests {
    events: mpsc::Sender<JobEvent>,
    next: AtomicU64,
    /// `None` once no more answers can come.
    open: Mutex<Option<HashMap<u64, mpsc::Sender<Answer>>>>,
}

/// One open request. More than one answer may come (a slot in a queue, then the go-ahead).
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    requests: &'a Requests,
    id: u64,
    answers: mpsc::Receiver<Answer>,
}

impl Requests {
    /// No requests yet.
    pub(crate) fn new(events: mpsc::Sender<JobEvent>) -> Self {
        Self { events, next: AtomicU64::new(1), open: Mutex::new(Some(HashMap::new())) }
    }

    /// Asks and waits for one answer, at most for `limit`.
    pub(crate) async fn ask(
        &self,
        method: &str,
        params: Value,
        limit: Duration,
    ) -> Result<Value, RequestError> {
        self.open(method, params).await?.answer(limit).await
    }

    /// Asks.
    pub(crate) async fn open(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Asked<'_>, RequestError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel(ANSWERS);
        self.lock().as_mut().ok_or(RequestError::Gone)?.insert(id, sender);
        let asked = Asked { requests: self, id, answers };
        let request = JobEvent::Request { id, method: method.to_owned(), params };
        self.events.send(request).await.map_err(|_| RequestError::Gone)?;
        Ok(asked)
    }

    /// Takes an answer; one that nobody waits for any more is dropped.
    pub(crate) fn answer(&self, id: u64, result: Answer) {
        if let Some(sender) = self.lock().as_ref().and_then(|open| open.get(&id)) {
            let _late_or_too_many = sender.try_send(result);
        }
    }

    /// No more answers will come.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<u64, mpsc::Sender<Answer>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked<'_> {
    /// Waits for the next answer.
    pub(crate) async fn answer(&mut self, limit: Duration) -> Result<Value, RequestError> {
        match tokio::time::timeout(limit, self.answers.recv()).await {
            Ok(Some(answer)) => answer.map_err(RequestError::Refused),
            Ok(None) => Err(RequestError::Gone),
            Err(_) => Err(RequestError::Late(limit)),
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.requests.lock().as_mut() {
            open.remove(&self.id);
        }
    }
}
