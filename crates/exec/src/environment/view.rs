//! The job's variables, and the view of them that one step has and changes.
//!
//! A step's changes are seen by itself at once and by later steps when it has ended. Children of a
//! parallel group so do not see each other's changes; they are applied in the order of the children.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::Written;

const PATH: &str = "PATH";

/// Variables as the next step will see them.
#[derive(Debug)]
pub(crate) struct JobEnv {
    vars: Mutex<BTreeMap<String, String>>,
    /// Names that ever had a value: the guest is told to remove those that no longer have one.
    known: Mutex<BTreeSet<String>>,
    /// Names of secrets, which steps cannot redefine.
    secrets: BTreeSet<String>,
}

impl JobEnv {
    /// The variables before the first step.
    pub(crate) fn new(vars: BTreeMap<String, String>, secrets: BTreeSet<String>) -> Self {
        let known = Mutex::new(vars.keys().cloned().collect());
        Self { vars: Mutex::new(vars), known, secrets }
    }

    /// The variables as they are now.
    pub(crate) fn vars(&self) -> BTreeMap<String, String> {
        lock(&self.vars).clone()
    }

    /// A view for one step, with `extra` variables that only it sees.
    pub(crate) fn view(&self, extra: impl IntoIterator<Item = (String, String)>) -> EnvView {
        let mut vars = self.vars();
        vars.extend(extra);
        EnvView { vars, changes: Vec::new(), paths: Vec::new() }
    }

    /// Applies what a step changed: variables, then directories of its `PATH`.
    pub(crate) fn apply(&self, change: EnvChange) {
        let mut vars = lock(&self.vars);
        let mut known = lock(&self.known);
        for (key, value) in change.vars {
            known.insert(key.clone());
            match value {
                Some(value) => vars.insert(key, value),
                None => vars.remove(&key),
            };
        }
        for dirs in change.paths {
            prepend(&mut vars, &dirs);
        }
    }

    /// Whether steps may not set this name.
    pub(crate) fn is_protected(&self, key: &str) -> bool {
        self.secrets.contains(key) || matches!(key, "KICI_ENV" | "KICI_PATH")
    }

    /// The `env` of a call's data: every variable of the view, `null` for those that are gone.
    pub(crate) fn for_guest(&self, view: &EnvView) -> Value {
        let gone = lock(&self.known)
            .iter()
            .filter(|name| !view.vars.contains_key(*name))
            .map(|name| (name.clone(), Value::Null))
            .collect::<Vec<_>>();
        let set = view.vars.iter().map(|(k, v)| (k.clone(), Value::String(v.clone())));
        Value::Object(set.chain(gone).collect())
    }
}

/// What one step sees.
#[derive(Debug, Default)]
pub(crate) struct EnvView {
    vars: BTreeMap<String, String>,
    changes: Vec<(String, Option<String>)>,
    /// Directories put in front of `PATH`, oldest first.
    paths: Vec<String>,
}

impl EnvView {
    /// The variables.
    pub(crate) fn vars(&self) -> &BTreeMap<String, String> {
        &self.vars
    }

    /// Sets or removes a variable.
    pub(crate) fn set(&mut self, key: &str, value: Option<String>) {
        match value.clone() {
            Some(value) => self.vars.insert(key.to_owned(), value),
            None => self.vars.remove(key),
        };
        self.changes.push((key.to_owned(), value));
    }

    /// Sets a variable for this step alone.
    pub(crate) fn set_here(&mut self, key: &str, value: String) {
        self.vars.insert(key.to_owned(), value);
    }

    /// Puts a directory in front of `PATH`.
    pub(crate) fn add_path(&mut self, dir: String) {
        prepend(&mut self.vars, std::slice::from_ref(&dir));
        self.paths.push(dir);
    }
}

/// What a step leaves for the next one.
#[derive(Debug, Default)]
pub(crate) struct EnvChange {
    vars: Vec<(String, Option<String>)>,
    /// What to put in front of `PATH`, one after the other.
    paths: Vec<Vec<String>>,
}

impl EnvChange {
    /// The changes of a view, then those that were written to files.
    pub(crate) fn new(view: EnvView, written: Written) -> Self {
        let mut vars = view.changes;
        vars.extend(written.vars.into_iter().map(|(key, value)| (key, Some(value))));
        let mut paths: Vec<_> = view.paths.into_iter().map(|dir| vec![dir]).collect();
        paths.push(written.paths);
        Self { vars, paths }
    }
}

/// Puts `dirs` in front of `PATH`, in this order.
fn prepend(vars: &mut BTreeMap<String, String>, dirs: &[String]) {
    if dirs.is_empty() {
        return;
    }
    let mut path = dirs.join(":");
    if let Some(before) = vars.get(PATH).filter(|path| !path.is_empty()) {
        path.push(':');
        path.push_str(before);
    }
    vars.insert(PATH.to_owned(), path);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> JobEnv {
        let vars = BTreeMap::from([(PATH.to_owned(), "/bin".to_owned())]);
        JobEnv::new(vars, BTreeSet::from(["TOKEN".to_owned()]))
    }

    #[test]
    fn paths_pile_up_as_documented() {
        let env = env();
        let written = |dirs: &[&str]| {
            let paths = dirs.iter().map(|&dir| dir.to_owned()).collect();
            EnvChange::new(EnvView::default(), Written { paths, ..Written::default() })
        };
        env.apply(written(&["/opt/xyz/bin"]));
        env.apply(written(&["/p1", "/p2"]));
        let mut view = env.view([]);
        view.add_path("/p3".to_owned());
        assert_eq!(view.vars()[PATH], "/p3:/p1:/p2:/opt/xyz/bin:/bin");
        env.apply(EnvChange::new(view, Written::default()));
        assert_eq!(env.vars()[PATH], "/p3:/p1:/p2:/opt/xyz/bin:/bin");
    }

    #[test]
    fn removals_reach_the_guest() {
        let env = env();
        let vars = vec![("A".to_owned(), "a=b".to_owned())];
        env.apply(EnvChange::new(EnvView::default(), Written { vars, ..Written::default() }));
        let mut view = env.view([("KICI_ENV".to_owned(), "/f".to_owned())]);
        view.set("A", None);
        assert_eq!(
            env.for_guest(&view),
            serde_json::json!({"PATH": "/bin", "KICI_ENV": "/f", "A": null})
        );
        env.apply(EnvChange::new(view, Written::default()));
        assert!(!env.vars().contains_key("KICI_ENV") && !env.vars().contains_key("A"));
        assert!(env.is_protected("TOKEN") && env.is_protected("KICI_PATH"));
    }
}
