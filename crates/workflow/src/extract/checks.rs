//! What must hold between the parts of a project: names, needs, bounds.

use std::collections::{HashMap, HashSet};

use kici_model::lock::{LabelMatcher, Matrix, StaticJob};
use kici_model::regex::is_redos_prone;
use kici_model::{graph, matrix};

use super::EntryFile;
use super::problem::{Problem, Report, nearest};
use crate::describe::{DynamicDef, JobDef, JobEntry, NeedDef, SourceLocation, WorkflowDef};

/// No two workflows of a project have the same name.
pub(super) fn workflow_names(entries: &[EntryFile], report: &mut Report) {
    let mut first: HashMap<&str, &str> = HashMap::new();
    for entry in entries {
        for def in &entry.description.workflows {
            let Some(other) = first.insert(&def.name, &entry.file) else { continue };
            report.error(
                Problem::error(
                    &entry.file,
                    def.location.as_ref(),
                    format!("there is a workflow '{}' in {other} already", def.name),
                )
                .code("E107")
                .suggest("rename one of them: runs, triggers and commands know workflows by name"),
            );
        }
    }
}

/// No two jobs of a workflow have the same name.
pub(super) fn job_names(file: &str, def: &WorkflowDef, report: &mut Report) {
    let mut seen = HashSet::new();
    for job in static_jobs(def) {
        if !seen.insert(job.name.as_str()) {
            report.error(
                Problem::error(
                    file,
                    job.location.as_ref(),
                    format!("workflow '{}' has two jobs called '{}'", def.name, job.name),
                )
                .code("E106")
                .suggest("rename one of them"),
            );
        }
    }
}

/// Needs name jobs and groups that exist, and make no circle.
pub(super) fn needs(file: &str, def: &WorkflowDef, report: &mut Report) {
    let jobs: Vec<&JobDef> = static_jobs(def).collect();
    let names: HashSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let groups: HashSet<&str> =
        generators(def).filter_map(|generator| generator.group.as_deref()).collect();
    let known = Known { file, names: &names, groups: &groups };
    let mut sound = true;
    for job in &jobs {
        sound &=
            known.check(&format!("job '{}'", job.name), job.location.as_ref(), &job.needs, report);
        if job.needs.iter().any(|need| need.job.as_deref() == Some(job.name.as_str())) {
            sound = false;
            report.error(
                Problem::error(
                    file,
                    job.location.as_ref(),
                    format!("job '{}' needs itself", job.name),
                )
                .code("E103")
                .suggest("remove it from its own `needs`"),
            );
        }
    }
    for generator in generators(def) {
        let who = generator
            .group
            .as_deref()
            .map_or("a generator".to_owned(), |group| format!("generator '{group}'"));
        known.check(
            &who,
            def.location.as_ref(),
            generator.needs.as_deref().unwrap_or_default(),
            report,
        );
    }
    if sound && names.len() == jobs.len() {
        cycle(file, &jobs, report);
    }
}

fn cycle(file: &str, jobs: &[&JobDef], report: &mut Report) {
    let edges: Vec<(&str, Vec<&str>)> = jobs
        .iter()
        .map(|job| {
            (job.name.as_str(), job.needs.iter().filter_map(|need| need.job.as_deref()).collect())
        })
        .collect();
    let Some(cycle) = graph::find_cycles(&edges).into_iter().next() else { return };
    let first =
        jobs.iter().find(|job| job.name == cycle[0]).expect("the cycle consists of these jobs");
    report.error(
        Problem::error(
            file,
            first.location.as_ref(),
            format!("these jobs wait for each other: {}", cycle.join(" needs ")),
        )
        .code("E102")
        .suggest("remove one of these needs"),
    );
}

/// Names that `needs` may use.
struct Known<'a> {
    file: &'a str,
    names: &'a HashSet<&'a str>,
    groups: &'a HashSet<&'a str>,
}

impl Known<'_> {
    fn check(
        &self,
        who: &str,
        location: Option<&SourceLocation>,
        needs: &[NeedDef],
        report: &mut Report,
    ) -> bool {
        let before = report.problems.len();
        for need in needs {
            let (kind, name, all) = match (&need.job, &need.group) {
                (Some(job), _) => ("job", job, self.names),
                (None, Some(group)) => ("group", group, self.groups),
                (None, None) => continue,
            };
            if all.contains(name.as_str()) {
                continue;
            }
            let problem = Problem::error(
                self.file,
                location,
                format!("{who} needs the {kind} '{name}', which does not exist"),
            )
            .code("E101");
            let mut names: Vec<&str> = all.iter().copied().collect();
            names.sort_unstable();
            report.error(match nearest(name, names.iter().copied()) {
                Some(close) => problem.suggest(format!("did you mean '{close}'?")),
                None if names.is_empty() => {
                    problem.suggest(format!("this workflow has no {kind}s to need"))
                }
                None => problem.suggest(format!("there are: {}", names.join(", "))),
            });
        }
        report.problems.len() == before
    }
}

/// Bounds and combinations of one job's options.
pub(super) fn job(file: &str, def: &JobDef, lock: &StaticJob, fan_out: bool, report: &mut Report) {
    let location = def.location.as_ref();
    let error = |message: String| Problem::error(file, location, message);
    if let Some(Matrix::Static { values }) = &lock.matrix {
        let size = matrix::compile_time_size(values, lock.include.as_deref().unwrap_or_default());
        if size > matrix::MAX_CHILDREN {
            report.error(
                error(format!(
                    "matrix of job '{}' has {size} combinations; at most {} are allowed",
                    def.name,
                    matrix::MAX_CHILDREN
                ))
                .code("E104")
                .suggest("leave out values, or split the job"),
            );
        }
    }
    if lock.max_parallel.is_some_and(|most| most.0 < 1.0) {
        report.error(error(format!("`maxParallel` of job '{}' must be 1 or more", def.name)));
    }
    labels(file, def, lock, report);
    let mut warn = |message: &str| {
        report.warn(Problem::warning(file, location, format!("job '{}': {message}", def.name)));
    };
    if !fan_out && (lock.max_parallel.is_some() || lock.fail_fast.is_some()) {
        warn("`maxParallel` and `failFast` do nothing without a matrix or `runsOnAll`");
    }
    if lock.runs_on_all.is_none()
        && (lock.on_unreachable.is_some() || lock.include_uninitialized.is_some())
    {
        warn("`onUnreachable` and `includeUninitialized` do nothing without `runsOnAll`");
    }
}

fn labels(file: &str, def: &JobDef, lock: &StaticJob, report: &mut Report) {
    let all = lock.runs_on_all.as_ref();
    let wanted: Vec<&LabelMatcher> = lock
        .runs_on
        .iter()
        .flatten()
        .chain(all.iter().flat_map(|all| all.include.iter().flatten()))
        .collect();
    let excluded: Vec<&LabelMatcher> = lock
        .exclude_labels
        .iter()
        .flatten()
        .chain(all.iter().flat_map(|all| &all.exclude))
        .collect();
    let mut error = |message: String, suggestion: &str| {
        report.error(Problem::error(file, def.location.as_ref(), message).suggest(suggestion));
    };
    for matcher in wanted.iter().chain(&excluded) {
        let LabelMatcher::Regex { source, flags } = matcher else { continue };
        match is_redos_prone(source, flags) {
            Ok(false) => {}
            Ok(true) => error(
                format!(
                    "label expression /{source}/ of job '{}' can take exponential time",
                    def.name
                ),
                "avoid repetition inside repetition, such as (a+)+",
            ),
            Err(invalid) => error(
                format!("label expression of job '{}' cannot be used: {invalid}", def.name),
                "write a plain label, a glob, or a valid regular expression",
            ),
        }
    }
    for matcher in &wanted {
        if let LabelMatcher::Exact { value } = matcher
            && excluded.contains(matcher)
        {
            error(
                format!("job '{}' both requires and excludes the label '{value}'", def.name),
                "no agent can match that; remove one of the two",
            );
        }
    }
}

fn static_jobs(def: &WorkflowDef) -> impl Iterator<Item = &JobDef> {
    def.jobs.iter().filter_map(|entry| match entry {
        JobEntry::Static(job) => Some(&**job),
        JobEntry::Dynamic(_) => None,
    })
}

fn generators(def: &WorkflowDef) -> impl Iterator<Item = &DynamicDef> {
    def.jobs.iter().filter_map(|entry| match entry {
        JobEntry::Dynamic(generator) => Some(generator),
        JobEntry::Static(_) => None,
    })
}
