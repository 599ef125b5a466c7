//! What made a run take as long as it did: the chain of jobs, each needing the one before, on which most time was
//! spent waiting for an agent and running. Pure.

/// A job's times, in milliseconds of any one clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// Places of the jobs that it needs.
    pub needs: Vec<usize>,
    /// When nothing but an agent was missing; none for a job that never got so far, or did not run here.
    pub ready: Option<i64>,
    /// When it started.
    pub started: Option<i64>,
    /// When it ended.
    pub ended: Option<i64>,
}

/// One job of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Its place.
    pub job: usize,
    /// How long it waited for an agent.
    pub queued_ms: i64,
    /// How long it ran.
    pub ran_ms: i64,
}

/// The longest chain. What has not ended is measured until `now`. Jobs on a cycle are left out; of two equal chains
/// the one with the earlier jobs is taken.
pub fn critical_path(jobs: &[Span], now: i64) -> Vec<Leg> {
    let legs: Vec<Leg> = jobs.iter().enumerate().map(|(at, job)| leg(at, job, now)).collect();
    let mut open: Vec<usize> = jobs.iter().map(|job| job.needs.len()).collect();
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for (at, job) in jobs.iter().enumerate() {
        for need in &job.needs {
            dependants[*need].push(at);
        }
    }
    // For each job the longest chain that ends with it, and the job before it there.
    let mut longest: Vec<i64> = legs.iter().map(|leg| leg.queued_ms + leg.ran_ms).collect();
    let mut before: Vec<Option<usize>> = vec![None; jobs.len()];
    let mut best: Option<usize> = None;
    let mut next: Vec<usize> = (0..jobs.len()).filter(|at| open[*at] == 0).collect();
    while let Some(at) = next.pop() {
        let longer = |best: usize| (longest[at], best) > (longest[best], at);
        if best.is_none_or(longer) {
            best = Some(at);
        }
        for dependant in &dependants[at] {
            let own = legs[*dependant].queued_ms + legs[*dependant].ran_ms;
            let through = longest[at] + own;
            let known = before[*dependant].map_or(i64::MIN, |_| longest[*dependant]);
            if through > known || (through == known && before[*dependant].is_some_and(|b| at < b)) {
                longest[*dependant] = through;
                before[*dependant] = Some(at);
            }
            open[*dependant] -= 1;
            if open[*dependant] == 0 {
                next.push(*dependant);
            }
        }
    }
    let mut path = Vec::new();
    let mut at = best;
    while let Some(job) = at {
        path.push(legs[job]);
        at = before[job];
    }
    path.reverse();
    // Jobs that took no time say nothing.
    path.retain(|leg| leg.queued_ms + leg.ran_ms > 0);
    path
}

fn leg(job: usize, span: &Span, now: i64) -> Leg {
    let Some(ready) = span.ready else { return Leg { job, queued_ms: 0, ran_ms: 0 } };
    let end = span.ended.unwrap_or(now);
    let start = span.started.unwrap_or(end);
    Leg { job, queued_ms: (start - ready).max(0), ran_ms: (end - start).max(0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(needs: &[usize], ready: i64, started: i64, ended: i64) -> Span {
        Span {
            needs: needs.to_vec(),
            ready: Some(ready),
            started: Some(started),
            ended: Some(ended),
        }
    }

    fn shown(path: &[Leg]) -> Vec<(usize, i64, i64)> {
        path.iter().map(|leg| (leg.job, leg.queued_ms, leg.ran_ms)).collect()
    }

    #[test]
    fn waiting_for_an_agent_counts() {
        let jobs = [
            span(&[], 0, 0, 50),
            span(&[], 0, 90, 100),
            span(&[0], 50, 50, 60),
            span(&[1], 100, 101, 110),
        ];
        assert_eq!(shown(&critical_path(&jobs, 200)), [(1, 90, 10), (3, 1, 9)]);
    }

    #[test]
    fn what_is_open_is_measured_until_now_and_what_never_ran_is_not() {
        let running = Span { ready: Some(10), started: Some(20), ..Span::default() };
        let never = Span { needs: vec![0], ..Span::default() };
        assert_eq!(shown(&critical_path(&[running, never], 100)), [(0, 10, 80)]);
        assert!(critical_path(&[], 0).is_empty());
        let cycle = [span(&[1], 0, 0, 5), span(&[0], 0, 0, 5), span(&[], 0, 0, 1)];
        assert_eq!(shown(&critical_path(&cycle, 9)), [(2, 0, 1)]);
    }

    fn weight(jobs: &[Span], at: usize, now: i64) -> i64 {
        let leg = leg(at, &jobs[at], now);
        leg.queued_ms + leg.ran_ms
    }

    /// The longest chain to a job, by trying all of them.
    fn naive(jobs: &[Span], at: usize, now: i64) -> i64 {
        let before = jobs[at].needs.iter().map(|need| naive(jobs, *need, now)).max().unwrap_or(0);
        before + weight(jobs, at, now)
    }

    fn graphs() -> impl Strategy<Value = Vec<Span>> {
        let times = (any::<u16>(), 0..50i64, 0..50i64, 0..50i64, 0..4u8);
        prop::collection::vec(times, 0..11).prop_map(|jobs| {
            let job =
                |(at, (bits, ready, wait, run, kind)): (usize, &(u16, i64, i64, i64, u8))| Span {
                    needs: (0..at).filter(|need| bits >> need & 1 == 1).collect(),
                    ready: (*kind > 0).then_some(*ready),
                    started: (*kind > 1).then_some(ready + wait),
                    ended: (*kind > 2).then_some(ready + wait + run),
                };
            jobs.iter().enumerate().map(job).collect()
        })
    }

    proptest! {
        #[test]
        fn it_is_the_longest_of_all_chains(jobs in graphs(), now in 0..200i64) {
            let path = critical_path(&jobs, now);
            let total: i64 = path.iter().map(|leg| leg.queued_ms + leg.ran_ms).sum();
            let best = (0..jobs.len()).map(|at| naive(&jobs, at, now)).max().unwrap_or(0);
            prop_assert_eq!(total, best);
            for leg in &path {
                prop_assert_eq!(leg.queued_ms + leg.ran_ms, weight(&jobs, leg.job, now));
            }
        }
    }
}
