//! How many jobs wait, or are with agents, by the labels that they ask for: for the metrics. For the leader only, so that
//! the sum over all orchestrators is right.

use std::collections::BTreeMap;

use kici_store::StoreError;
use kici_store::queue::{SelectorDepth, queue_by_selector};
use uuid::Uuid;

use crate::app::App;
use crate::dispatch::Selectors;
use crate::metrics::QueueDepth;

/// Labels that are told apart; authors choose them, and each is a series.
const LABELS: usize = 100;

/// What stands for all others.
const OTHER: &str = "other";

/// What stands for jobs that ask for no label: those of certain hosts, and those that take any agent.
const NONE: &str = "none";

/// One look.
pub(super) async fn look(
    app: &App,
    selectors: &mut Selectors,
    bound: i64,
) -> Result<(), StoreError> {
    let mut conn = app.store.connection().await?;
    let depths = queue_by_selector(&mut conn, bound).await?;
    let ids: Vec<Uuid> = depths.iter().map(|depth| depth.selector).collect();
    selectors.load(&mut conn, &ids).await?;
    let labels = |id| selectors.get(id).map(|known| known.shown()).unwrap_or_default();
    app.metrics.set_queue_by_label(by_label(&depths, labels));
    Ok(())
}

/// A job counts once for each of its labels.
fn by_label(
    depths: &[SelectorDepth],
    labels: impl Fn(Uuid) -> Vec<String>,
) -> BTreeMap<String, QueueDepth> {
    let mut all: BTreeMap<String, QueueDepth> = BTreeMap::new();
    for depth in depths {
        let mut labels = labels(depth.selector);
        labels.sort();
        labels.dedup();
        if labels.is_empty() {
            labels.push(NONE.to_owned());
        }
        for label in labels {
            add(all.entry(label).or_default(), depth.waiting, depth.dispatched);
        }
    }
    if all.len() <= LABELS {
        return all;
    }
    let mut most: Vec<(String, QueueDepth)> = all.into_iter().collect();
    most.sort_by_key(|(_, depth)| std::cmp::Reverse(depth.waiting + depth.dispatched));
    let rest = most.split_off(LABELS - 1);
    let mut kept: BTreeMap<String, QueueDepth> = most.into_iter().collect();
    let other = kept.entry(OTHER.to_owned()).or_default();
    rest.iter().for_each(|(_, depth)| add(other, depth.waiting, depth.dispatched));
    kept
}

fn add(depth: &mut QueueDepth, waiting: i64, dispatched: i64) {
    depth.waiting += waiting;
    depth.dispatched += dispatched;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depths(list: &[(u128, i64, i64)]) -> Vec<SelectorDepth> {
        list.iter()
            .map(|(id, waiting, dispatched)| SelectorDepth {
                selector: Uuid::from_u128(*id),
                waiting: *waiting,
                dispatched: *dispatched,
            })
            .collect()
    }

    fn of(waiting: i64, dispatched: i64) -> QueueDepth {
        QueueDepth { waiting, dispatched }
    }

    #[test]
    fn a_job_counts_for_each_of_its_labels() {
        let labels = |id: Uuid| match id.as_u128() {
            1 => vec!["linux".to_owned(), "gpu".to_owned(), "gpu".to_owned()],
            2 => vec!["linux".to_owned()],
            _ => Vec::new(),
        };
        let counted = by_label(&depths(&[(1, 2, 1), (2, 3, 0), (3, 0, 4)]), labels);
        let wanted = [("gpu", of(2, 1)), ("linux", of(5, 1)), (NONE, of(0, 4))]
            .map(|(l, d)| (l.to_owned(), d));
        assert_eq!(counted, BTreeMap::from(wanted));
    }

    #[test]
    fn many_labels_are_not_many_series() {
        let many: Vec<(u128, i64, i64)> = (0..500).map(|id| (id, 1 + id as i64, 0)).collect();
        let counted = by_label(&depths(&many), |id| vec![format!("l{:03}", id.as_u128())]);
        assert_eq!(counted.len(), LABELS);
        assert_eq!(counted["l499"], of(500, 0));
        assert_eq!(counted.values().map(|depth| depth.waiting).sum::<i64>(), 500 * 501 / 2);
    }
}
