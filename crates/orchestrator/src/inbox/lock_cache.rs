//! Lock files that were read before, with their triggers compiled and their workflows planned.
//!
//! Only full commit ids are keys: what a branch names changes. The routing key is part of it, so that no source
//! sees the file of another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kici_model::lock::{LockOrigin, parse};
use kici_model::triggers::TriggerSet;

use crate::config::LockFileCacheConfig;
use crate::runs::WorkflowPlan;

/// A lock file, ready for events.
#[derive(Debug)]
pub(super) struct CachedLock {
    pub(super) workflows: Vec<CachedWorkflow>,
    pub(super) needs_changed_files: bool,
}

/// One of its workflows.
#[derive(Debug)]
pub(super) struct CachedWorkflow {
    pub(super) triggers: TriggerSet,
    pub(super) plan: WorkflowPlan,
    /// Some value has to be computed from the event.
    pub(super) evaluates: bool,
}

impl CachedLock {
    /// Reads and checks a file; the error is for users.
    pub(super) fn read(bytes: &[u8], repo: &str, reference: &str) -> Result<CachedLock, String> {
        let lock =
            parse(bytes, LockOrigin { repo, reference }).map_err(|error| error.to_string())?;
        let workflows: Vec<CachedWorkflow> = lock
            .workflows
            .iter()
            .map(|workflow| {
                let plan = WorkflowPlan::new(&lock, workflow);
                CachedWorkflow {
                    triggers: TriggerSet::new(workflow),
                    evaluates: plan.evaluates(),
                    plan,
                }
            })
            .collect();
        let needs_changed_files =
            workflows.iter().any(|workflow| workflow.triggers.needs_changed_files());
        Ok(CachedLock { workflows, needs_changed_files })
    }
}

/// Which file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LockKey {
    routing_key: String,
    repo: String,
    sha: String,
}

impl LockKey {
    /// The key of a file at a commit; none for a branch or `HEAD`.
    pub(super) fn of_commit(routing_key: &str, repo: &str, reference: &str) -> Option<LockKey> {
        let full = matches!(reference.len(), 40 | 64)
            && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        full.then(|| LockKey {
            routing_key: routing_key.to_owned(),
            repo: repo.to_owned(),
            sha: reference.to_ascii_lowercase(),
        })
    }
}

struct Entry {
    lock: Arc<CachedLock>,
    kept: Instant,
    used: u64,
}

/// Files by key; the one that was not used for longest goes first.
pub(super) struct LockCache {
    max: usize,
    ttl: Duration,
    entries: Mutex<(HashMap<LockKey, Entry>, u64)>,
}

impl LockCache {
    pub(super) fn new(config: &LockFileCacheConfig) -> LockCache {
        LockCache { max: config.max, ttl: config.ttl, entries: Mutex::default() }
    }

    pub(super) fn get(&self, key: &LockKey) -> Option<Arc<CachedLock>> {
        let mut entries = self.entries.lock().expect("nothing panics while it is held");
        let (map, clock) = &mut *entries;
        let entry = map.get_mut(key)?;
        if entry.kept.elapsed() > self.ttl {
            map.remove(key);
            return None;
        }
        *clock += 1;
        entry.used = *clock;
        Some(Arc::clone(&entry.lock))
    }

    pub(super) fn keep(&self, key: LockKey, lock: Arc<CachedLock>) {
        let mut entries = self.entries.lock().expect("nothing panics while it is held");
        let (map, clock) = &mut *entries;
        if map.len() >= self.max
            && let Some(oldest) =
                map.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone())
        {
            map.remove(&oldest);
        }
        *clock += 1;
        map.insert(key, Entry { lock, kept: Instant::now(), used: *clock });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Arc<CachedLock> {
        Arc::new(CachedLock { workflows: Vec::new(), needs_changed_files: false })
    }

    fn key(sha: char) -> LockKey {
        LockKey::of_commit("generic:a:b", "acme/app", &sha.to_string().repeat(40)).unwrap()
    }

    #[test]
    fn only_full_commits_are_kept() {
        for reference in ["main", "HEAD", "abc1234", &"g".repeat(40)] {
            assert_eq!(LockKey::of_commit("k", "r", reference), None, "{reference}");
        }
        assert!(LockKey::of_commit("k", "r", &"a".repeat(64)).is_some());
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_old_go_at_all() {
        let cache = LockCache::new(&LockFileCacheConfig { max: 2, ttl: Duration::from_secs(60) });
        cache.keep(key('a'), lock());
        cache.keep(key('b'), lock());
        assert!(cache.get(&key('a')).is_some());
        cache.keep(key('c'), lock());
        assert!(
            cache.get(&key('b')).is_none()
                && cache.get(&key('a')).is_some()
                && cache.get(&key('c')).is_some()
        );
        let expired = LockCache::new(&LockFileCacheConfig { max: 2, ttl: Duration::ZERO });
        expired.keep(key('a'), lock());
        assert!(expired.get(&key('a')).is_none());
    }
}
