//! The plan of a run that repeats another in part: the jobs as that run had them, also those that were made while it
//! ran, with their edges. What is not run again has ended already. Pure; `rerun` reads and writes.

use std::collections::HashMap;

use kici_model::fields::InitFields;
use kici_model::graph::Accepts;
use kici_model::lock::{EnvValue, TextValue};
use kici_model::rerun::{Fate, Ran, chosen, failed};
use kici_model::state::{EndReason, JobKind, JobState};
use kici_store::rerun::OriginalJob;
use uuid::Uuid;

use super::expand::Window;
use super::plan::{Given, PlannedJob};

/// Which part of a run is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything, as if the event came again.
    All,
    /// What did not succeed, with what needs it.
    Failed,
    /// Jobs of this name (a fan-out's own name means all its children), with what needs them.
    Job(String),
}

impl Scope {
    /// As it is stored and shown.
    pub(crate) fn text(&self) -> String {
        match self {
            Scope::All => "all".to_owned(),
            Scope::Failed => "failed".to_owned(),
            Scope::Job(name) => format!("job:{name}"),
        }
    }
}

/// Why a part of a run cannot be repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CannotRepeat {
    /// All jobs succeeded or were skipped.
    #[error("no job of this run failed: there is nothing to run again")]
    NothingFailed,
    /// No job has this name.
    #[error("this run has no job '{name}'")]
    NoSuchJob {
        /// The name.
        name: String,
    },
    /// A job would wait for something that is not run again and did not end well.
    #[error(
        "job '{job}' needs '{upstream}', which ended {state} and is not run again; run the failed jobs again instead"
    )]
    Unmet {
        /// The job.
        job: String,
        /// What it needs.
        upstream: String,
        /// How that ended.
        state: JobState,
    },
    /// A job that computes others would have to run again beside what it computed.
    #[error(
        "'{job}' computes other jobs of this run and would have to run again; run the whole run again instead"
    )]
    Evaluates {
        /// The job.
        job: String,
    },
    /// The name of its concurrency group came with its matrix, and neither is computed again.
    #[error(
        "the concurrency group of job '{job}' was computed together with its matrix and is not stored; run the whole run again instead"
    )]
    Group {
        /// The job.
        job: String,
    },
    /// A stored value is not of a form that this version writes.
    #[error("job '{job}' cannot be read: {what}")]
    Unreadable {
        /// The job.
        job: String,
        /// What is wrong.
        what: String,
    },
}

/// Plans the repetition of a part. `edges` are (job, upstream, good states); `fields` says what an init job computes for
/// the jobs of a place in the workflow.
pub(super) fn repeat(
    rows: &[OriginalJob],
    edges: &[(Uuid, Uuid, Vec<String>)],
    scope: &Scope,
    fields: &HashMap<i32, InitFields>,
) -> Result<Vec<PlannedJob>, CannotRepeat> {
    let place: HashMap<Uuid, usize> =
        rows.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    let mut needs: Vec<Vec<(usize, Vec<String>)>> = vec![Vec::new(); rows.len()];
    for (job, upstream, run_on) in edges {
        if let (Some(job), Some(upstream)) = (place.get(job), place.get(upstream)) {
            needs[*job].push((*upstream, run_on.clone()));
        }
    }
    let ran = rows
        .iter()
        .zip(&needs)
        .map(|(row, needs)| {
            Ok(Ran {
                state: state(row)?,
                needs: needs.iter().map(|(upstream, _)| *upstream).collect(),
                chosen: matches!(scope, Scope::Job(name) if row.name == *name || row.base_name == *name),
            })
        })
        .collect::<Result<Vec<Ran>, CannotRepeat>>()?;
    let mut fates = match scope {
        Scope::All => vec![Fate::Again; rows.len()],
        Scope::Failed => {
            let open = |ran: &Ran| !matches!(ran.state, JobState::Success | JobState::Skipped);
            if !ran.iter().any(open) {
                return Err(CannotRepeat::NothingFailed);
            }
            failed(&ran)
        }
        Scope::Job(name) => {
            if !ran.iter().any(|ran| ran.chosen) {
                return Err(CannotRepeat::NoSuchJob { name: name.clone() });
            }
            chosen(&ran)
        }
    };
    for (at, needs) in needs.iter().enumerate().filter(|(at, _)| ran[*at].chosen) {
        for (upstream, run_on) in needs {
            let status = ran[*upstream].state;
            if fates[*upstream] != Fate::Again
                && !Accepts::from_run_on(Some(run_on)).contains(status)
            {
                return Err(CannotRepeat::Unmet {
                    job: rows[at].name.clone(),
                    upstream: rows[*upstream].name.clone(),
                    state: status,
                });
            }
        }
    }
    compute_groups(rows, &needs, fields, &mut fates)?;
    rows.iter()
        .zip(needs)
        .zip(&ran)
        .zip(fates)
        .map(|(((row, needs), ran), fate)| {
            let fields = row.lock_index.and_then(|index| fields.get(&index)).copied();
            job(row, needs, ran.state, fate, fields.unwrap_or_default())
        })
        .collect()
}

/// Lets init jobs run again where a repeated job needs the name of its concurrency group: that is not stored.
fn compute_groups(
    rows: &[OriginalJob],
    needs: &[Vec<(usize, Vec<String>)>],
    fields: &HashMap<i32, InitFields>,
    fates: &mut [Fate],
) -> Result<(), CannotRepeat> {
    for (at, row) in rows.iter().enumerate() {
        let computed = row.lock_index.and_then(|index| fields.get(&index));
        let is_target = row.kind == JobKind::Job.as_str() && row.body.is_none();
        if fates[at] != Fate::Again
            || !is_target
            || !computed.is_some_and(|fields| fields.concurrency_group)
        {
            continue;
        }
        let is_init =
            |(upstream, _): &&(usize, Vec<String>)| rows[*upstream].kind == JobKind::Init.as_str();
        match needs[at].iter().find(is_init) {
            Some((init, _)) => fates[*init] = Fate::Again,
            None => return Err(CannotRepeat::Group { job: row.name.clone() }),
        }
    }
    Ok(())
}

fn job(
    row: &OriginalJob,
    needs: Vec<(usize, Vec<String>)>,
    ended: JobState,
    fate: Fate,
    fields: InitFields,
) -> Result<PlannedJob, CannotRepeat> {
    let kind: JobKind = row.kind.parse().unwrap_or_default();
    // Values of jobs can be computed once more; jobs would be there twice.
    let adds_jobs = kind == JobKind::Dynamic || (kind == JobKind::Init && fields.matrix);
    if adds_jobs && fate == Fate::Again && ended == JobState::Success {
        return Err(CannotRepeat::Evaluates { job: row.name.clone() });
    }
    let given = match fate {
        Fate::Kept => Some(Given { state: ended, reason: None, from: Some(row.id) }),
        Fate::Left => {
            let reason = Some(EndReason::NotRepeated);
            Some(Given { state: JobState::Skipped, reason, from: None })
        }
        // What could not run then, before it waited for anything, cannot run now.
        Fate::Again => impossible(row, &needs)?.map(|reason| Given {
            state: JobState::Failed,
            reason: Some(reason),
            from: None,
        }),
    };
    let env = row
        .env
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| unreadable(row, error))?;
    let number = |of: Option<i32>| of.and_then(|number| usize::try_from(number).ok());
    Ok(PlannedJob {
        name: row.name.clone(),
        base_name: row.base_name.clone(),
        kind,
        lock_index: number(row.lock_index),
        body: row.body.clone(),
        matrix: row.matrix.clone(),
        label: row.variant_label.clone(),
        fanout: number(row.fanout_index).zip(number(row.fanout_total)),
        window: Window::of(row.max_parallel, row.fail_fast),
        on_host: row.variant_kind.as_deref() == Some("host"),
        selector: row.selector,
        environments: row.environment.clone().map(TextValue::Text).into_iter().collect(),
        env: env.map(EnvValue::Map),
        timeout_ms: row.timeout_ms.and_then(|limit| u64::try_from(limit).ok()),
        needs,
        given,
        ..PlannedJob::default()
    })
}

/// Why a job failed without having waited for anything, or for an agent.
fn impossible(
    row: &OriginalJob,
    needs: &[(usize, Vec<String>)],
) -> Result<Option<EndReason>, CannotRepeat> {
    if row.attempt > 0 || !needs.is_empty() || row.state != JobState::Failed.as_str() {
        return Ok(None);
    }
    let reason: Option<EndReason> = row
        .end_reason
        .as_deref()
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| unreadable(row, error))?;
    Ok(reason.filter(|reason| {
        matches!(
            reason,
            EndReason::Init { .. } | EndReason::Cycle { .. } | EndReason::SchedulerInvariant { .. }
        )
    }))
}

fn state(row: &OriginalJob) -> Result<JobState, CannotRepeat> {
    row.state.parse().map_err(|error| unreadable(row, error))
}

fn unreadable(row: &OriginalJob, error: impl std::fmt::Display) -> CannotRepeat {
    CannotRepeat::Unreadable { job: row.name.clone(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: JobState) -> OriginalJob {
        OriginalJob {
            id: Uuid::now_v7(),
            name: name.into(),
            base_name: name.into(),
            kind: "job".into(),
            state: state.as_str().into(),
            attempt: 1,
            ..OriginalJob::default()
        }
    }

    fn need(
        job: &OriginalJob,
        upstream: &OriginalJob,
        run_on: &[&str],
    ) -> (Uuid, Uuid, Vec<String>) {
        (job.id, upstream.id, run_on.iter().map(ToString::to_string).collect())
    }

    fn shown(plan: &[PlannedJob]) -> Vec<String> {
        let of = |job: &PlannedJob| match &job.given {
            None => format!("{} again", job.name),
            Some(given) => {
                let kept = if given.from.is_some() { "kept" } else { "given" };
                format!("{} {kept} {}", job.name, given.state)
            }
        };
        plan.iter().map(of).collect()
    }

    #[test]
    fn the_failed_ones_keep_what_succeeded_before_them() {
        use JobState as S;
        let rows = [row("build", S::Success), row("test", S::Failed), row("deploy", S::Skipped)];
        let edges =
            [need(&rows[1], &rows[0], &["success"]), need(&rows[2], &rows[1], &["success"])];
        let plan = repeat(&rows, &edges, &Scope::Failed, &HashMap::new()).unwrap();
        assert_eq!(shown(&plan), ["build kept success", "test again", "deploy again"]);
        assert_eq!(plan[1].needs, [(0, vec!["success".to_owned()])]);
        let fine = [row("build", S::Success), row("rest", S::Skipped)];
        assert_eq!(
            repeat(&fine, &[], &Scope::Failed, &HashMap::new()).unwrap_err(),
            CannotRepeat::NothingFailed
        );
    }

    #[test]
    fn one_job_needs_results_that_let_it_start() {
        use JobState as S;
        let rows = [row("build", S::Failed), row("test", S::Skipped), row("other", S::Failed)];
        let mut edges = vec![need(&rows[1], &rows[0], &["success"])];
        let scope = Scope::Job("test".into());
        let error = repeat(&rows, &edges, &scope, &HashMap::new()).unwrap_err().to_string();
        assert!(error.starts_with("job 'test' needs 'build', which ended failed"), "{error}");
        edges[0] = need(&rows[1], &rows[0], &["failed"]);
        let plan = repeat(&rows, &edges, &scope, &HashMap::new()).unwrap();
        assert_eq!(shown(&plan), ["build kept failed", "test again", "other given skipped"]);
        let missing =
            repeat(&rows, &edges, &Scope::Job("deploy".into()), &HashMap::new()).unwrap_err();
        assert_eq!(missing.to_string(), "this run has no job 'deploy'");
    }

    #[test]
    fn a_job_that_could_never_run_fails_again_with_its_reason() {
        let mut bad = row("m", JobState::Failed);
        bad.attempt = 0;
        let reason = EndReason::Cycle { path: vec!["m".into(), "m".into()] };
        bad.end_reason = Some(serde_json::to_string(&reason).unwrap());
        let plan = repeat(&[bad], &[], &Scope::Failed, &HashMap::new()).unwrap();
        assert_eq!(plan[0].given.as_ref().unwrap().reason, Some(reason));
    }

    #[test]
    fn a_generator_does_not_run_again_beside_its_jobs() {
        use JobState as S;
        let mut generator = row("__dynamic__ci__1", S::Success);
        generator.kind = "dynamic".into();
        let rows = [row("scan", S::Failed), generator];
        let edges = [need(&rows[1], &rows[0], &["success", "failed"])];
        let error = repeat(&rows, &edges, &Scope::Failed, &HashMap::new()).unwrap_err();
        assert_eq!(error, CannotRepeat::Evaluates { job: "__dynamic__ci__1".into() });
        assert!(repeat(&rows, &[], &Scope::Failed, &HashMap::new()).is_ok(), "its input stays");
    }

    #[test]
    fn a_computed_group_is_computed_again() {
        use JobState as S;
        let mut init = row("__init__ci__deploy", S::Success);
        init.kind = "init".into();
        let mut deploy = row("deploy", S::Failed);
        for row in [&mut init, &mut deploy] {
            row.lock_index = Some(0);
        }
        let rows = [init, deploy];
        let edges = [need(&rows[1], &rows[0], &["success"])];
        let with = |fields| repeat(&rows, &edges, &Scope::Failed, &HashMap::from([(0, fields)]));
        let env = InitFields { env: true, ..InitFields::default() };
        let plan = with(env).unwrap();
        assert_eq!(shown(&plan), ["__init__ci__deploy kept success", "deploy again"]);
        let group = InitFields { concurrency_group: true, ..env };
        let plan = with(group).unwrap();
        assert_eq!(shown(&plan), ["__init__ci__deploy again", "deploy again"]);
        // The children of a computed matrix do not wait for the job that computed it.
        let fields = HashMap::from([(0, InitFields { matrix: true, ..group })]);
        let error = repeat(&rows, &[], &Scope::Failed, &fields).unwrap_err();
        assert_eq!(error, CannotRepeat::Group { job: "deploy".into() });
    }
}
