//! `ctx.secrets` and `ctx.setSecretOutput`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use kici_workflow::engine::HostError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error;
use crate::context::Context;
use crate::scope::Scope;

#[derive(Debug, Deserialize)]
pub(super) struct Get {
    key: String,
}

/// One secret; every read is recorded by name.
pub(super) fn get(context: &Context, scope: &Scope, get: &Get) -> Value {
    match context.secrets().get(&get.key) {
        Some(value) => {
            scope.secret_read(&get.key);
            json!({ "value": value })
        }
        None => {
            json!({ "missing": true, "available": context.secrets().keys().collect::<Vec<_>>() })
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MountFile {
    sources: Vec<String>,
    #[serde(default)]
    divider: String,
    #[serde(default)]
    mode: Option<u32>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    expose_as: Option<String>,
}

/// Writes secrets to a file that vanishes with the step.
pub(super) fn mount_file(
    context: &Context,
    scope: &Scope,
    mount: MountFile,
) -> Result<Value, HostError> {
    let mut parts = Vec::new();
    for key in &mount.sources {
        let value = context.secrets().get(key).ok_or_else(|| HostError {
            name: "SecretNotFoundError".to_owned(),
            message: format!("Secret '{key}' not found"),
            data: json!({
                "key": key,
                "availableKeys": context.secrets().keys().collect::<Vec<_>>(),
            }),
        })?;
        scope.secret_read(key);
        parts.push(value.as_str());
    }
    let name = mount.name.unwrap_or_else(|| mount.sources.join("-"));
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(error(format!("mountFile: '{name}' is no file name")));
    }
    let dir = scope.temp_path("secrets");
    let path = dir.join(&name);
    std::fs::create_dir_all(&dir)
        .and_then(|()| {
            std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mount.mode.unwrap_or(0o600))
                .open(&path)
        })
        .and_then(|mut file| file.write_all(parts.join(&mount.divider).as_bytes()))
        .map_err(|cause| error(format!("mountFile: could not write '{name}': {cause}")))?;
    let path = path.to_string_lossy().into_owned();
    if let Some(var) = mount.expose_as {
        scope.env().set_here(&var, path.clone());
    }
    Ok(json!({ "path": path }))
}

#[derive(Debug, Deserialize)]
pub(super) struct SetOutput {
    key: String,
    value: String,
}

/// Masks the value of a secret output from now on.
pub(super) fn mask_output(context: &Context, params: &Value) {
    context.masker.add(params.get("value").and_then(Value::as_str));
}

/// A secret for the jobs after this one.
pub(super) fn set_output(context: &Context, set: &SetOutput) -> Result<Value, HostError> {
    context
        .secret_outputs
        .set(&set.key, &set.value)
        .map(|()| Value::Null)
        .map_err(|cause| error(cause.to_string()))
}
