//! What happens after a step has run: caches, its own hooks, the job's hooks around steps.

use kici_workflow::describe::HookDef;

use super::step::{OneStep, StepEnd};
use crate::caches;
use crate::control::StopCause;
use crate::failure::Failure;
use crate::hooks::{self, Hook, Outcome};
use crate::indexes::{self, CacheOwner, StepHook};
use crate::job::FailedStep;
use crate::spec::StepStatus;

impl OneStep<'_> {
    /// Saves caches and runs the last hooks. Says whether the job goes on.
    pub(super) async fn finish(&self, end: StepEnd) -> bool {
        let Some(scope) = &end.scope else { return end.status == StepStatus::Skipped };
        let context = &self.job.context;
        if end.status == StepStatus::Success {
            let caches = self.step.cache.as_deref().unwrap_or_default();
            caches::save(context, CacheOwner::Step(self.index), caches).await;
        }
        if end.is_hard_failure(self.step) {
            let message = end.failure.as_ref().map(|failure| failure.message.clone());
            let failed = FailedStep {
                name: self.step.name.clone(),
                message: message.unwrap_or_default(),
                cause: end.failure.as_ref().and_then(Failure::cause),
            };
            self.job.progress().failed.get_or_insert(failed);
        }
        let stopped = end.status == StepStatus::Cancelled;
        let by_order = matches!(context.control.cause(), Some(StopCause::Cancelled { .. }));
        if stopped && by_order {
            self.job.progress().cancel_hook_ran = true;
            self.own_hook("onCancel", self.step.hooks.on_cancel.as_ref(), StepHook::OnCancel).await;
        }
        self.own_hook("cleanup", self.step.hooks.cleanup.as_ref(), StepHook::Cleanup).await;
        if !stopped {
            self.observe("afterStep", StepHook::After).await;
        }
        scope.dispose();
        !stopped && !end.is_hard_failure(self.step)
    }

    /// A hook of the step itself: its failure fails the job.
    async fn own_hook(&self, name: &'static str, def: Option<&HookDef>, which: StepHook) {
        if let Err(message) = self.hook(name, def, which).await {
            self.job.progress().problems.push(format!("Hook {name} failed: {message}"));
        }
    }

    /// A hook of the job around its steps: its failure changes nothing.
    pub(super) async fn observe(&self, name: &'static str, which: StepHook) {
        let hooks = &self.job.def.hooks;
        let def = if which == StepHook::Before { &hooks.before_step } else { &hooks.after_step };
        if let Err(message) = self.hook(name, def.as_ref(), which).await {
            self.job.context.log.text(&format!(
                "[kici] {name} hook failed: {message} (continuing -- hooks are observers)"
            ));
        }
    }

    async fn hook(
        &self,
        name: &'static str,
        def: Option<&HookDef>,
        which: StepHook,
    ) -> Result<(), String> {
        let Some(def) = def else { return Ok(()) };
        let control = &self.job.context.control;
        if !control.hooks_allowed() {
            return Ok(());
        }
        let mut outcome = Outcome::so_far(self.job);
        if let Some(StopCause::Cancelled { reason }) = control.cause() {
            outcome = Outcome { status: "cancelled", reason: Some(reason), failed_step: None };
        }
        let hook = Hook { name, def, index: indexes::step_hook(self.index, which) };
        let stop = control.stop.only_kill();
        hooks::run(self.job, hook, &outcome, &stop).await
    }
}
