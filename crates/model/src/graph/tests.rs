use proptest::prelude::*;

use super::*;

fn edge(upstream: &str, run_on: &[&str]) -> Edge {
    let words: Vec<String> = run_on.iter().map(ToString::to_string).collect();
    Edge { upstream: upstream.into(), accepts: Accepts::from_run_on(Some(&words)) }
}

#[test]
fn a_run_with_one_failure_skips_and_starts_as_observed() {
    let on_failure = ["failed", "timed_out_stale"];
    let always = JobState::FINAL.map(|state| state.to_string());
    let always: Vec<&str> = always.iter().map(String::as_str).collect();
    let status = |name: &str| match name {
        "ok" => Some(JobState::Success),
        "bad" => Some(JobState::Failed),
        "dflt" | "dflt2" => Some(JobState::Skipped),
        "slow" => Some(JobState::Running),
        _ => None,
    };
    let shown = |edges: &[Edge]| match evaluate(edges, status) {
        Readiness::Ready => "ready".to_owned(),
        Readiness::Wait { on } => format!("wait {}", on.join(",")),
        Readiness::Skip { reason } => reason.to_string(),
    };
    let success = ["success"];
    assert_eq!(
        shown(&[edge("ok", &success), edge("bad", &success)]),
        "upstream_unmet: bad (failed)"
    );
    assert_eq!(shown(&[edge("dflt", &success)]), "upstream_unmet: dflt (skipped)");
    assert_eq!(shown(&[edge("bad", &always), edge("dflt", &always)]), "ready");
    assert_eq!(shown(&[edge("bad", &on_failure)]), "ready");
    assert_eq!(shown(&[edge("ok", &on_failure)]), "upstream_unmet: ok (success)");
    assert_eq!(shown(&[edge("dflt2", &["skipped"])]), "ready");
    assert_eq!(shown(&[edge("slow", &success), edge("ok", &success)]), "wait slow");
    assert_eq!(
        shown(&[edge("slow", &success), edge("bad", &success)]),
        "upstream_unmet: bad (failed)"
    );
    assert_eq!(shown(&[]), "ready");
}

#[test]
fn needs_on_fan_outs_and_groups_become_one_edge_each() {
    let children = HashMap::from([("t".to_owned(), vec!["t (1)".into(), "t (2)".into()])]);
    let groups = HashMap::from([("g".to_owned(), vec!["g1".into()])]);
    let needs = [
        Need::Job("t".into()),
        Need::Group { group: "g".into(), run_on: Some(vec!["skipped".into()]) },
        Need::Group { group: "empty".into(), run_on: None },
        Need::JobWhen { name: "a".into(), run_on: None },
    ];
    let edges = edges(&needs, &children, &groups);
    let shown: Vec<String> = edges
        .iter()
        .map(|e| format!("{} {}", e.upstream, e.accepts.to_run_on().join("|")))
        .collect();
    assert_eq!(shown, ["t (1) success", "t (2) success", "g1 skipped", "a success"]);
}

#[test]
fn cycles_are_found_and_named() {
    let jobs = vec![("a", vec!["b"]), ("b", vec!["c", "x"]), ("c", vec!["b"])];
    assert_eq!(find_cycles(&jobs), [["b", "c", "b"]]);
    assert_eq!(find_cycles(&[("a", vec!["a"])]), [["a", "a"]]);
    let two = vec![
        ("a", vec!["b", "c"]),
        ("b", vec!["a"]),
        ("c", vec!["d"]),
        ("d", vec!["a", "e", "c"]),
        ("e", vec![]),
    ];
    assert_eq!(find_cycles(&two), [["a", "b", "a"], ["c", "d", "c"]]);
    let diamond = vec![("a", vec!["b", "c"]), ("b", vec!["d"]), ("c", vec!["d"]), ("d", vec![])];
    assert!(find_cycles(&diamond).is_empty());
}

#[test]
fn an_end_is_followed_through_skips_to_those_that_accept_them() {
    let on = |words: &[&str]| {
        Accepts::from_run_on(Some(&words.iter().map(ToString::to_string).collect::<Vec<_>>()))
    };
    // 0 fails: 1 and 2 are skipped, 3 takes a skip, 4 waits for 3 and takes a failure of 0.
    let waiting = HashMap::from([
        (0, vec![(1, on(&["success"])), (4, on(&["failed"]))]),
        (1, vec![(2, on(&["success"])), (3, on(&["skipped"]))]),
        (2, vec![(3, on(&["success", "skipped"])), (1, on(&["success"]))]),
    ]);
    let after = cascade(&[(0, JobState::Failed)], &waiting);
    assert_eq!(after.skips, [(1, 0, JobState::Failed), (2, 1, JobState::Skipped)]);
    assert_eq!(after.met, HashMap::from([(4, 1), (3, 2)]));
}

#[test]
fn a_chain_of_ten_thousand_jobs_is_no_problem() {
    let names: Vec<String> = (0..10_000).map(|i| format!("j{i}")).collect();
    let jobs: Vec<(&str, Vec<&str>)> = names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            (name.as_str(), names.get(i + 1).map(String::as_str).into_iter().collect())
        })
        .collect();
    assert!(find_cycles(&jobs).is_empty());
}

/// A graph of jobs 0, 1, …: for each one its upstreams with what it accepts of them, and the state of those that ended.
type Drawn = (Vec<Vec<(usize, Accepts)>>, Vec<Option<JobState>>);

/// Upstreams may be anywhere: nothing here relies on a graph without cycles.
fn drawn() -> impl Strategy<Value = Drawn> {
    let jobs = prop::collection::vec(
        (
            prop::collection::btree_map(0usize..16, (0u8..64).prop_map(Accepts), 0..5),
            prop::option::weighted(0.3, prop::sample::select(JobState::FINAL.to_vec())),
        ),
        1..16,
    );
    jobs.prop_map(|jobs| {
        let count = jobs.len();
        let within = |edges: &std::collections::BTreeMap<usize, Accepts>| {
            edges
                .iter()
                .filter(|(on, _)| **on < count)
                .map(|(on, accepts)| (*on, *accepts))
                .collect()
        };
        jobs.iter().map(|(edges, ended)| (within(edges), *ended)).unzip()
    })
}

fn waiting(
    edges: &[Vec<(usize, Accepts)>],
    of: impl Fn(usize) -> bool,
) -> HashMap<usize, Vec<(usize, Accepts)>> {
    let mut waiting: HashMap<usize, Vec<(usize, Accepts)>> = HashMap::new();
    for (job, upstreams) in edges.iter().enumerate().filter(|(job, _)| of(*job)) {
        for (upstream, accepts) in upstreams {
            waiting.entry(*upstream).or_default().push((job, *accepts));
        }
    }
    waiting
}

/// Every job judged by [`evaluate`] again and again until nothing changes.
fn judged((edges, ended): &Drawn) -> (Vec<Option<JobState>>, Vec<Readiness>) {
    let named: Vec<Vec<Edge>> = edges
        .iter()
        .map(|of| {
            of.iter()
                .map(|(on, accepts)| Edge { upstream: on.to_string(), accepts: *accepts })
                .collect()
        })
        .collect();
    let mut states = ended.clone();
    loop {
        let status = |name: &str| states[name.parse::<usize>().unwrap()];
        let judged: Vec<Readiness> = named.iter().map(|edges| evaluate(edges, status)).collect();
        let skipped =
            |job: &usize| states[*job].is_none() && matches!(judged[*job], Readiness::Skip { .. });
        match (0..states.len()).find(skipped) {
            Some(job) => states[job] = Some(JobState::Skipped),
            None => return (states, judged),
        }
    }
}

proptest! {
    #[test]
    fn following_ends_gives_what_judging_every_job_again_gives(graph in drawn()) {
        let (edges, ended) = &graph;
        let ends: Vec<(usize, JobState)> =
            ended.iter().enumerate().filter_map(|(job, state)| Some((job, (*state)?))).collect();
        let after = cascade(&ends, &waiting(edges, |_| true));
        let (states, judged) = judged(&graph);
        let mut skips: Vec<usize> = after.skips.iter().map(|(job, ..)| *job).collect();
        skips.sort_unstable();
        let wanted = |job: &usize| ended[*job].is_none() && states[*job] == Some(JobState::Skipped);
        prop_assert_eq!(skips, (0..edges.len()).filter(wanted).collect::<Vec<_>>());
        for (job, blamed, state) in &after.skips {
            let accepts = edges[*job].iter().find(|(on, _)| on == blamed).map(|(_, accepts)| *accepts);
            prop_assert_eq!(states[*blamed], Some(*state));
            prop_assert!(accepts.is_some_and(|accepts| !accepts.contains(*state)), "an upstream is to blame");
        }
        for job in (0..edges.len()).filter(|job| states[*job].is_none()) {
            let met = after.met.get(&job).copied().unwrap_or(0);
            prop_assert_eq!(judged[job] == Readiness::Ready, met == edges[job].len(), "job {}", job);
        }
    }

    #[test]
    fn it_does_not_matter_in_which_order_ends_come(graph in drawn(), order in any::<prop::sample::Index>()) {
        let (edges, ended) = &graph;
        let mut ends: Vec<(usize, JobState)> =
            ended.iter().enumerate().filter_map(|(job, state)| Some((job, (*state)?))).collect();
        let at_once = cascade(&ends, &waiting(edges, |job| ended[job].is_none()));
        if !ends.is_empty() {
            let by = order.index(ends.len());
            ends.rotate_left(by);
        }
        let mut states: Vec<Option<JobState>> = vec![None; edges.len()];
        let mut met: HashMap<usize, usize> = HashMap::new();
        for end in ends {
            // A job that is to end by itself is not waiting any more.
            let open = |job: usize| states[job].is_none() && ended[job].is_none();
            let after = cascade(&[end], &waiting(edges, open));
            states[end.0] = Some(end.1);
            for (job, ..) in &after.skips {
                states[*job] = Some(JobState::Skipped);
                met.remove(job);
            }
            after.met.into_iter().for_each(|(job, edges)| *met.entry(job).or_default() += edges);
            prop_assert!(cascade(&[], &waiting(edges, open_in(&states))).skips.is_empty());
        }
        let skipped = |job: &usize| ended[*job].is_none() && states[*job] == Some(JobState::Skipped);
        let mut wanted: Vec<usize> = at_once.skips.iter().map(|(job, ..)| *job).collect();
        wanted.sort_unstable();
        prop_assert_eq!((0..edges.len()).filter(skipped).collect::<Vec<_>>(), wanted);
        prop_assert_eq!(met, at_once.met);
    }

    #[test]
    fn without_the_jobs_of_its_cycles_a_graph_has_none(edges in prop::collection::vec(prop::collection::vec(0usize..12, 0..4), 1..12)) {
        let names: Vec<String> = (0..edges.len()).map(|job| job.to_string()).collect();
        let known = |on: &usize| names.get(*on).map_or("nobody", String::as_str);
        let graph = |gone: &HashSet<&str>| -> Vec<(&str, Vec<&str>)> {
            let job = |(name, on): (&'_ String, &Vec<usize>)| -> Option<(&str, Vec<&str>)> {
                let name = names.iter().find(|own| *own == name)?.as_str();
                (!gone.contains(name)).then(|| (name, on.iter().map(known).collect()))
            };
            names.iter().zip(&edges).filter_map(job).collect()
        };
        let all = graph(&HashSet::new());
        let cycles = find_cycles(&all);
        let mut gone = HashSet::new();
        for cycle in &cycles {
            prop_assert_eq!(cycle.first(), cycle.last());
            for pair in cycle.windows(2) {
                let (_, on) = all.iter().find(|(name, _)| *name == pair[0]).unwrap();
                prop_assert!(on.contains(&pair[1]), "{} does not need {}", pair[0], pair[1]);
            }
            prop_assert!(cycle[1..].iter().all(|job| gone.insert(*job)), "a job is in two cycles");
        }
        prop_assert!(find_cycles(&graph(&gone)).is_empty());
        // Independent of the search: leaves are taken away until nothing is left.
        let mut left = graph(&gone);
        while let Some(leaf) = left.iter().position(|(_, on)| on.iter().all(|on| !left.iter().any(|(name, _)| name == on))) {
            left.remove(leaf);
        }
        prop_assert!(left.is_empty(), "{:?} form a cycle", left);
    }
}

fn open_in(states: &[Option<JobState>]) -> impl Fn(usize) -> bool + '_ {
    |job| states[job].is_none()
}
