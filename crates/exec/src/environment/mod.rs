//! The environment that steps see, and how it changes from step to step.
//!
//! Nothing of the agent's own environment gets through but the names on a short list. `files` has
//! `$KICI_ENV` and `$KICI_PATH`, `view` what one step sees and changes.

mod files;
mod view;

use std::collections::BTreeMap;

use crate::spec::{Checkout, JobSpec};

pub(crate) use files::{EnvFiles, Written};
pub(crate) use view::{EnvChange, EnvView, JobEnv};

/// Host variables that get through.
const ALLOWED: [&str; 10] =
    ["PATH", "HOME", "USER", "SHELL", "LANG", "LC_ALL", "TERM", "TMPDIR", "NODE_PATH", "TZ"];

/// The variables of a job before its first step: host, then our defaults, then what was configured.
pub(crate) fn of_job(
    host: impl Fn(&str) -> Option<String>,
    spec: &JobSpec,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> =
        ALLOWED.iter().filter_map(|&name| Some((name.to_owned(), host(name)?))).collect();
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    set("FORCE_COLOR", "1");
    set("CI", "true");
    set("KICI_RUN_ID", &spec.run_id);
    set("KICI_JOB_NAME", &spec.job_name);
    if let Checkout::Git { reference, sha, .. } = &spec.checkout {
        set("KICI_SHA", sha);
        set("KICI_REF", reference);
    }
    env.extend(spec.env.clone());
    env
}

/// The allowed variables of this process alone, for programs that are run on the job's behalf (git,
/// package managers).
pub(crate) fn of_host() -> BTreeMap<String, String> {
    ALLOWED.iter().filter_map(|&name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}
