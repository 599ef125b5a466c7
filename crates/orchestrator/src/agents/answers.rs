//! Answers to requests of jobs for what this version does not have. A job is told at once instead of running into
//! its own time limit.

use kici_protocol::agent::{
    CacheRestoreResponse, CacheSaveResponse, EventEmitResponse, FromAgent, ToAgent, UploadUrl,
};

/// The answer to a request, if the message is one.
pub(super) fn answer(message: &FromAgent) -> Option<ToAgent> {
    Some(match message {
        FromAgent::EventEmit(emit) => ToAgent::EventEmitResponse(EventEmitResponse {
            request_id: emit.request_id.clone(),
            delivery_id: None,
            error: Some("internal events are not supported yet".into()),
        }),
        // An empty address means: no storage for archives.
        FromAgent::CacheUploadRequest(request) => ToAgent::CacheUploadResponse(UploadUrl {
            request_id: request.message_id.clone(),
            upload_url: String::new(),
        }),
        FromAgent::ProvenanceUploadRequest(request) => {
            ToAgent::ProvenanceUploadResponse(UploadUrl {
                request_id: request.message_id.clone(),
                upload_url: String::new(),
            })
        }
        FromAgent::CacheRestoreRequest(request) => {
            ToAgent::CacheRestoreResponse(CacheRestoreResponse {
                request_id: request.message_id.clone(),
                hit: false,
                matched_key: None,
                download_url: None,
                tar_hash: None,
            })
        }
        FromAgent::CacheSaveRequest(request) => ToAgent::CacheSaveResponse(CacheSaveResponse {
            request_id: request.message_id.clone(),
            skip: true,
            upload_url: None,
        }),
        _ => return None,
    })
}
