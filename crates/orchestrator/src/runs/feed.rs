//! Wakes those who follow a run as soon as this process writes something about it.
//!
//! Only a hint, and only for what happens here: followers also look at the tables every second, which is how they
//! see what other orchestrators do. Nobody following costs one load of a counter.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use uuid::Uuid;

/// Who wants to hear of which runs and jobs.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    followers: AtomicUsize,
    by_id: Mutex<HashMap<Uuid, Vec<Arc<Notify>>>>,
}

/// One who wants to hear; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Following {
    feed: Arc<Feed>,
    ids: HashSet<Uuid>,
    woken: Arc<Notify>,
}

impl Feed {
    /// Something of this run or job was written.
    pub(crate) fn changed(&self, id: Uuid) {
        if self.followers.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(wake) = self.map().get(&id) {
            // A permit stays for one who is not waiting at the moment.
            wake.iter().for_each(|follower| follower.notify_one());
        }
    }

    /// Begins to follow; [`Following::also`] says what.
    pub(crate) fn follow(self: &Arc<Feed>) -> Following {
        self.followers.fetch_add(1, Ordering::Relaxed);
        Following { feed: Arc::clone(self), ids: HashSet::new(), woken: Arc::default() }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Uuid, Vec<Arc<Notify>>>> {
        self.by_id.lock().expect("nothing panics while it is held")
    }
}

impl Following {
    /// Wants to hear of this run or job too.
    pub(crate) fn also(&mut self, id: Uuid) {
        if self.ids.insert(id) {
            self.feed.map().entry(id).or_default().push(Arc::clone(&self.woken));
        }
    }

    /// Waits until something was written since the last wait.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.feed.followers.fetch_sub(1, Ordering::Relaxed);
        let mut map = self.feed.map();
        for id in &self.ids {
            if let Some(wake) = map.get_mut(id) {
                wake.retain(|other| !Arc::ptr_eq(other, &self.woken));
                if wake.is_empty() {
                    map.remove(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_follower_hears_of_what_it_follows_and_leaves_nothing_behind() {
        let feed = Arc::new(Feed::default());
        let (run, job) = (Uuid::new_v4(), Uuid::new_v4());
        let mut following = feed.follow();
        following.also(run);
        feed.changed(job);
        assert!(timeout(Duration::from_millis(20), following.woken()).await.is_err());
        following.also(job);
        // Before the wait: it is not missed.
        feed.changed(job);
        timeout(Duration::from_secs(5), following.woken()).await.unwrap();
        drop(following);
        assert!(feed.map().is_empty());
        assert_eq!(feed.followers.load(Ordering::Relaxed), 0);
    }
}
