//! Parallel groups.

use std::time::Duration;

use kici_exec::spec::JobEvent;

use crate::support::{Project, assert_success, word};

fn group(options: &str) -> Project {
    Project::with_steps(&format!(
        "parallel([
           step('a', async (ctx) => {{ await ctx.$`sleep 0.2`; }}),
           step('b', async (ctx) => {{ await ctx.$`sleep 0.4; exit 3`; }}),
           step('c', async (ctx) => {{ await ctx.$`sleep 2.5`; }}),
         ]{options}), step('after', async () => {{}})"
    ))
}

fn statuses(ran: &crate::support::Ran) -> Vec<String> {
    let mut rows: Vec<_> =
        ran.result.steps.iter().map(|s| format!("{}: {}", s.name, word(s.status))).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn the_first_failure_stops_the_siblings() {
    let ran = group("").run().await;
    assert_eq!(statuses(&ran), ["a: success", "b: failed", "c: cancelled"]);
    assert!(ran.error().starts_with("Step 'b' failed:"), "{}", ran.error());
    assert!(ran.took < Duration::from_millis(2400), "{:?}", ran.took);
    assert_eq!(ran.row("b").error.unwrap().exit_code, Some(3));
    let groups: Vec<_> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            JobEvent::StepStarted { step, group_id, .. } => Some((*step, group_id.as_deref())),
            _ => None,
        })
        .collect();
    assert_eq!(groups, [(0, Some("g0")), (1, Some("g0")), (2, Some("g0"))]);
}

#[tokio::test]
async fn without_fail_fast_everyone_finishes() {
    let ran = group(", { failFast: false }").run().await;
    assert_eq!(statuses(&ran), ["a: success", "b: failed", "c: success"]);
}

#[tokio::test]
async fn waiting_children_are_announced() {
    let ran = group(", { maxParallel: 1 }").run().await;
    assert_eq!(statuses(&ran), ["a: success", "b: failed", "c: cancelled"]);
    let pending: Vec<_> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            JobEvent::StepStarted { name, pending: true, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(pending, ["b", "c"]);
}

#[tokio::test]
async fn a_child_may_fail_when_it_says_so_and_changes_join_in_order() {
    let project = Project::with_steps(
        "parallel([
           step('slow', async (ctx) => { await ctx.$`sleep 0.3; echo WHO=slow >> $KICI_ENV; echo /slow >> $KICI_PATH`; }),
           step('fast', { continueOnError: true, run: async (ctx) => {
             await ctx.$`echo WHO=fast >> $KICI_ENV; echo /fast >> $KICI_PATH; exit 1`; } }),
         ]),
         step('after', async (ctx) => ({ who: (await ctx.$`echo $WHO`).stdout.trim(), path: ctx.env.PATH }))",
    );
    let ran = project.run().await;
    assert_success(&ran);
    let after = &ran.result.outputs["after"];
    assert_eq!(after["who"], "fast");
    assert!(after["path"].as_str().unwrap().starts_with("/fast:/slow:"), "{after}");
}
