//! Who may open a hold, and what one more approval makes of it.
//!
//! Clauses are joined by *and*; one person may satisfy several. Without clauses anybody who may approve at all
//! satisfies the hold. Nothing here knows where people and teams come from.

use crate::lock::ApprovalClause;

/// Somebody who decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name that `{user}` clauses use.
    pub user: String,
    /// The names that `{team}` clauses use.
    pub teams: Vec<String>,
}

/// What an approval makes of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is open.
    Approved,
    /// Others have to approve as well.
    Partly {
        /// The clauses that nobody has satisfied.
        outstanding: Vec<ApprovalClause>,
    },
}

/// Why an approval does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nobody may approve what they have started.
    #[error(
        "'{user}' has started this run, and this organisation lets nobody approve their own runs"
    )]
    OwnRun {
        /// Who.
        user: String,
    },
    /// They have approved before.
    #[error("'{user}' has approved this already; it still needs {}", list(.outstanding))]
    Twice {
        /// Who.
        user: String,
        /// What is missing.
        outstanding: Vec<ApprovalClause>,
    },
    /// None of the open clauses is about them.
    #[error("'{user}' is none of those who have to approve: {}", list(.outstanding))]
    NotAsked {
        /// Who.
        user: String,
        /// Who is asked.
        outstanding: Vec<ApprovalClause>,
    },
}

/// Judges an approval; `given` are the earlier ones, `started_by` those who caused the run if they may not approve.
pub fn judge(
    clauses: &[ApprovalClause],
    given: &[Person],
    by: &Person,
    started_by: &[&str],
) -> Result<Verdict, Unfit> {
    let user = by.user.clone();
    if started_by.contains(&user.as_str()) {
        return Err(Unfit::OwnRun { user });
    }
    let before = outstanding(clauses, given);
    if given.iter().any(|person| person.user == user) && !before.is_empty() {
        return Err(Unfit::Twice { user, outstanding: before });
    }
    if !clauses.is_empty() && !before.iter().any(|clause| satisfies(by, clause)) {
        return Err(Unfit::NotAsked { user, outstanding: before });
    }
    let left: Vec<ApprovalClause> =
        before.into_iter().filter(|clause| !satisfies(by, clause)).collect();
    Ok(if left.is_empty() { Verdict::Approved } else { Verdict::Partly { outstanding: left } })
}

/// The clauses that none of these people satisfies.
pub fn outstanding(clauses: &[ApprovalClause], given: &[Person]) -> Vec<ApprovalClause> {
    let open = |clause: &&ApprovalClause| !given.iter().any(|person| satisfies(person, clause));
    clauses.iter().filter(open).cloned().collect()
}

/// `user ada, team ops`.
pub fn list(clauses: &[ApprovalClause]) -> String {
    clauses.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// `user ada` or `team ops`.
pub fn name(clause: &ApprovalClause) -> String {
    match clause {
        ApprovalClause::Team(clause) => format!("team {}", clause.team),
        ApprovalClause::User(clause) => format!("user {}", clause.user),
    }
}

fn satisfies(person: &Person, clause: &ApprovalClause) -> bool {
    match clause {
        ApprovalClause::Team(clause) => person.teams.contains(&clause.team),
        ApprovalClause::User(clause) => person.user == clause.user,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(user: &str, teams: &[&str]) -> Person {
        Person { user: user.into(), teams: teams.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn without_clauses_anybody_will_do() {
        assert_eq!(judge(&[], &[], &person("ada", &[]), &[]), Ok(Verdict::Approved));
    }

    #[test]
    fn every_clause_needs_somebody_and_one_person_may_be_several() {
        let clauses = [ApprovalClause::user("ada"), ApprovalClause::team("ops")];
        let bob = person("bob", &["ops"]);
        let missing = vec![ApprovalClause::user("ada")];
        assert_eq!(
            judge(&clauses, &[], &bob, &[]),
            Ok(Verdict::Partly { outstanding: missing.clone() })
        );
        let again = judge(&clauses, std::slice::from_ref(&bob), &bob, &[]).unwrap_err();
        assert_eq!(again.to_string(), "'bob' has approved this already; it still needs user ada");
        let eve = judge(&clauses, std::slice::from_ref(&bob), &person("eve", &["ops"]), &[]);
        assert_eq!(
            eve.unwrap_err().to_string(),
            "'eve' is none of those who have to approve: user ada"
        );
        assert_eq!(judge(&clauses, &[bob], &person("ada", &[]), &[]), Ok(Verdict::Approved));
        assert_eq!(judge(&clauses, &[], &person("ada", &["ops"]), &[]), Ok(Verdict::Approved));
    }

    #[test]
    fn whoever_started_the_run_does_not_count_where_that_is_forbidden() {
        let ada = person("ada", &[]);
        assert!(matches!(judge(&[], &[], &ada, &["ada"]), Err(Unfit::OwnRun { .. })));
        assert_eq!(judge(&[], &[], &ada, &["bob"]), Ok(Verdict::Approved));
    }

    fn names() -> impl Strategy<Value = String> {
        prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned)
    }

    fn people() -> impl Strategy<Value = Vec<Person>> {
        let one = (names(), prop::collection::vec(names(), 0..3))
            .prop_map(|(user, teams)| Person { user, teams });
        prop::collection::vec(one, 0..6)
    }

    fn clauses() -> impl Strategy<Value = Vec<ApprovalClause>> {
        let one = prop_oneof![
            names().prop_map(ApprovalClause::team),
            names().prop_map(ApprovalClause::user)
        ];
        prop::collection::vec(one, 1..4)
    }

    proptest! {
        /// Whatever the order, a hold opens exactly when each clause has somebody.
        #[test]
        fn a_hold_opens_exactly_when_every_clause_is_satisfied(clauses in clauses(), people in people()) {
            let mut given: Vec<Person> = Vec::new();
            let mut open = false;
            for person in &people {
                // A name stands for one person, with the teams that they had when they decided first.
                let verdict = judge(&clauses, &given, person, &[]);
                if verdict.is_ok() {
                    given.push(person.clone());
                }
                if verdict == Ok(Verdict::Approved) {
                    open = true;
                    break;
                }
            }
            let all = clauses.iter().all(|clause| given.iter().any(|person| satisfies(person, clause)));
            prop_assert_eq!(open, all);
            let unknown = Person { user: "nobody".into(), teams: Vec::new() };
            prop_assert!(judge(&clauses, &[], &unknown, &[]).is_err());
        }
    }
}
