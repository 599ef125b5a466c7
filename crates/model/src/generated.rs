//! What a generator of jobs may give: how many jobs, under which names.

/// Jobs of one evaluation.
pub const MAX_GENERATED: usize = 100;

/// Names that begin like this are those of jobs that the scheduler adds itself.
const RESERVED: &str = "__";

/// What is wrong with the jobs of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeneratedError {
    /// Too many.
    #[error("the job generator gave {count} jobs, at most {MAX_GENERATED} are allowed")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A job without a name.
    #[error("the job generator gave a job without a name; write job('name', {{ … }})")]
    NoName,
    /// Two with one name.
    #[error("the job generator gave two jobs named '{name}'; give each its own name")]
    Twice {
        /// The name.
        name: String,
    },
    /// The run has another job of this name.
    #[error(
        "the job generator gave a job named '{name}', which the run has already; rename one of them"
    )]
    Taken {
        /// The name.
        name: String,
    },
    /// A name of the scheduler's.
    #[error(
        "the job generator gave a job named '{name}'; names that begin with '{RESERVED}' are reserved"
    )]
    Reserved {
        /// The name.
        name: String,
    },
}

/// Checks the names that a generator gave; `taken` says whether the run has a job of a name already.
pub fn check_generated<'a>(
    names: impl IntoIterator<Item = &'a str>,
    taken: impl Fn(&str) -> bool,
) -> Result<(), GeneratedError> {
    let names: Vec<&str> = names.into_iter().collect();
    if names.len() > MAX_GENERATED {
        return Err(GeneratedError::TooMany { count: names.len() });
    }
    for (at, name) in names.iter().enumerate() {
        let own = || (*name).to_owned();
        if name.is_empty() {
            return Err(GeneratedError::NoName);
        }
        if name.starts_with(RESERVED) {
            return Err(GeneratedError::Reserved { name: own() });
        }
        if names[..at].contains(name) {
            return Err(GeneratedError::Twice { name: own() });
        }
        if taken(name) {
            return Err(GeneratedError::Taken { name: own() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_in_the_run_and_there_are_not_too_many() {
        let check = |names: &[&str]| {
            check_generated(names.iter().copied(), |name| name == "build")
                .map_err(|e| e.to_string())
        };
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["a", "b"]), Ok(()));
        for (names, why) in [
            (vec!["a", "a"], "two jobs named 'a'"),
            (vec!["a", "build"], "'build', which the run has already"),
            (vec![""], "without a name"),
            (vec!["__init__x__y"], "reserved"),
        ] {
            let error = check(&names).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(check(&many[..100]), Ok(()));
        let error = check(&many).unwrap_err();
        assert_eq!(error, "the job generator gave 101 jobs, at most 100 are allowed");
    }
}
