//! What a source may look like. Everything that is wrong is said at once, with its place.

use std::path::{Component, Path};
use std::str::FromStr as _;

use axum::http::HeaderName;
use kici_protocol::http::error::{ErrorDetail, PathPart};
use kici_protocol::http::sources::{LocalConfig, VerificationConfig, VerificationMethod};
use kici_store::source::SourceContent;
use uuid::Uuid;

use super::check::network;
use super::source::ValuePath;

pub(super) fn check(
    content: &SourceContent,
    method: VerificationMethod,
    config: &VerificationConfig,
    local: Option<&LocalConfig>,
    wrong: &mut Vec<ErrorDetail>,
) {
    let letters = content.name.chars().count();
    if letters == 0
        || letters > 255
        || content.name.contains('/')
        || content.name.trim() != content.name
    {
        wrong.push(ErrorDetail::at(
            "name",
            "expected 1 to 255 characters without '/' and without spaces around it",
        ));
    }
    if Uuid::try_parse(&content.name).is_ok() {
        wrong.push(ErrorDetail::at(
            "name",
            "a name that looks like an id could be mistaken for one",
        ));
    }
    let headers = [
        ("eventTypeHeader", &content.event_type_header),
        ("idempotencyKeyHeader", &content.idempotency_key_header),
        ("verificationConfig.headerName", &config.header_name),
    ];
    for (field, name) in headers {
        if let Some(name) = name
            && HeaderName::from_str(name).is_err()
        {
            wrong.push(ErrorDetail::at(field, format!("{name:?} is no header name")));
        }
    }
    let paths = [
        ("eventTypePath", &content.event_type_path),
        ("idempotencyKeyPath", &content.idempotency_key_path),
    ];
    for (field, path) in paths {
        if let Some(path) = path
            && let Err(error) = ValuePath::parse(path)
        {
            wrong.push(ErrorDetail::at(field, error));
        }
    }
    let numbers = [
        ("dedupWindowSeconds", content.dedup_window_seconds, 30 * 24 * 60 * 60),
        ("maxPayloadBytes", content.max_payload_bytes, 10 * 1024 * 1024),
        ("rateLimitRpm", content.rate_limit_rpm, i32::MAX),
    ];
    for (field, value, most) in numbers {
        if !(1..=most).contains(&value) {
            wrong.push(ErrorDetail::at(field, format!("expected 1 to {most}, got {value}")));
        }
    }
    if method == VerificationMethod::IpAllowlist {
        check_allowlist(config.allowlist.as_deref().unwrap_or_default(), wrong);
    }
    if let Some(local) = local {
        check_local(local, wrong);
    }
}

fn check_allowlist(list: &[String], wrong: &mut Vec<ErrorDetail>) {
    const FIELD: &str = "verificationConfig.allowlist";
    if list.is_empty() {
        wrong.push(ErrorDetail::at(FIELD, "ip_allowlist needs at least one address or network"));
    }
    for (index, entry) in list.iter().enumerate() {
        if let Err(error) = network(entry) {
            let mut detail = ErrorDetail::at(FIELD, error);
            detail.path.push(PathPart::Index(index));
            wrong.push(detail);
        }
    }
}

fn check_local(local: &LocalConfig, wrong: &mut Vec<ErrorDetail>) {
    let path = Path::new(&local.repo_base_path);
    let plain = path.components().all(|part| !matches!(part, Component::ParentDir));
    if !path.is_absolute() || !plain {
        wrong.push(ErrorDetail::at(
            "localConfig.repoBasePath",
            format!("expected an absolute path without '..', got {:?}", local.repo_base_path),
        ));
    }
    if let Some(url) = &local.clone_url_base
        && !["https://", "http://", "ssh://", "git://", "file://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
    {
        wrong.push(ErrorDetail::at(
            "localConfig.cloneUrlBase",
            format!("expected a URL such as https://git.example.com, got {url:?}"),
        ));
    }
}

pub(super) fn check_org(org_id: &str, wrong: &mut Vec<ErrorDetail>) {
    let fits = (1..=255).contains(&org_id.len())
        && org_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits {
        wrong.push(ErrorDetail::at(
            "orgId",
            "expected 1 to 255 letters, digits, '.', '_' or '-': it is part of the webhook address",
        ));
    }
}

pub(super) fn refuse_git(git_config: Option<&serde_json::Value>, wrong: &mut Vec<ErrorDetail>) {
    if git_config.is_some_and(|config| !config.is_null()) {
        wrong.push(ErrorDetail::at(
            "gitConfig",
            "this version has generic and local sources; universal git sources are not available",
        ));
    }
}
