//! Expands a job's matrix into combinations.

use std::cmp::Ordering;

use indexmap::IndexMap;
use serde_json::Value;

use crate::js::JsNumber;
use crate::lock::MatrixValues;

/// Most children of one job.
pub const MAX_CHILDREN: usize = 256;
/// Combinations that are looked at before excludes: far above what excludes can reasonably remove.
const MAX_PRODUCT: usize = 65_536;
/// The dimension of a matrix that is a plain list.
const VALUE: &str = "value";

/// One combination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// Dimension → value, in the order of the label.
    pub values: IndexMap<String, String>,
}

impl Combination {
    /// The values as shown in a child's name.
    pub fn label(&self) -> String {
        self.values.values().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The child's name: `<job> (<values>)`.
    pub fn child_name(&self, job: &str) -> String {
        format!("{job} ({})", self.label())
    }
}

/// Why a matrix cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// Nothing is left.
    #[error("matrix for job '{job}' expands to zero combinations")]
    Empty {
        /// The job.
        job: String,
    },
    /// Too much.
    #[error("matrix for job '{job}' expands to {count} combinations (max {MAX_CHILDREN})")]
    TooMany {
        /// The job.
        job: String,
        /// How many.
        count: usize,
    },
}

type Entries = [IndexMap<String, Value>];

/// Expands a matrix: the product of its dimensions, less `exclude`, plus `include`.
pub fn expand(
    job: &str,
    matrix: &MatrixValues,
    include: &Entries,
    exclude: &Entries,
) -> Result<Vec<Combination>, MatrixError> {
    let too_many = |count| Err(MatrixError::TooMany { job: job.to_owned(), count });
    let size = product_size(matrix);
    if size > MAX_PRODUCT {
        return too_many(size);
    }
    let exclude: Vec<_> = exclude.iter().map(texts).filter(|entry| !entry.is_empty()).collect();
    let mut out: Vec<Combination> = product(matrix)
        .into_iter()
        .filter(|combination| !exclude.iter().any(|entry| is_part(entry, &combination.values)))
        .collect();
    for values in include.iter().map(texts).filter(|entry| !entry.is_empty()) {
        // Equality of maps ignores the order of keys.
        if !out.iter().any(|combination| combination.values == values) {
            out.push(Combination { values });
        }
    }
    match out.len() {
        0 => Err(MatrixError::Empty { job: job.to_owned() }),
        count if count > MAX_CHILDREN => too_many(count),
        _ => Ok(out),
    }
}

/// What the compiler counts: the product plus the includes, excludes ignored.
pub fn compile_time_size(matrix: &MatrixValues, include: &Entries) -> usize {
    product_size(matrix).saturating_add(include.len())
}

fn product_size(matrix: &MatrixValues) -> usize {
    match matrix {
        MatrixValues::List(values) => values.len(),
        MatrixValues::Dimensions(dimensions) => {
            dimensions.values().fold(usize::from(!dimensions.is_empty()), |size, values| {
                size.saturating_mul(values.len())
            })
        }
    }
}

/// The first dimension varies slowest.
fn product(matrix: &MatrixValues) -> Vec<Combination> {
    let mut dimensions: Vec<(&str, &Vec<Value>)> = match matrix {
        MatrixValues::List(values) => vec![(VALUE, values)],
        MatrixValues::Dimensions(dimensions) if dimensions.is_empty() => return Vec::new(),
        MatrixValues::Dimensions(dimensions) => {
            dimensions.iter().map(|(name, values)| (name.as_str(), values)).collect()
        }
    };
    dimensions.sort_by(|(a, _), (b, _)| locale_order(a, b));
    let mut out = vec![Combination { values: IndexMap::new() }];
    for (name, values) in dimensions {
        out = out
            .into_iter()
            .flat_map(|combination| {
                values.iter().map(move |value| {
                    let mut next = combination.clone();
                    next.values.insert(name.to_owned(), text(value));
                    next
                })
            })
            .collect();
    }
    out
}

fn is_part(entry: &IndexMap<String, String>, of: &IndexMap<String, String>) -> bool {
    entry.iter().all(|(name, value)| of.get(name) == Some(value))
}

fn texts(entry: &IndexMap<String, Value>) -> IndexMap<String, String> {
    entry.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |n| JsNumber(n).to_string())
        }
        other => other.to_string(),
    }
}

/// The order of `String.prototype.localeCompare` for names made of ASCII: punctuation, digits, then
/// letters without regard to case; lower case first where nothing else differs.
fn locale_order(a: &str, b: &str) -> Ordering {
    let weight = |c: char| {
        let class = match c {
            c if c.is_alphabetic() => 2,
            c if c.is_numeric() => 1,
            _ => 0,
        };
        (class, c.to_lowercase().next())
    };
    let primary = a.chars().map(weight).cmp(b.chars().map(weight));
    // Lower-case letters have higher code points than upper-case ones.
    primary.then_with(|| b.cmp(a))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(matrix: Value, include: Value, exclude: Value) -> Result<Vec<String>, MatrixError> {
        let matrix = serde_json::from_value(matrix).unwrap();
        let include: Vec<IndexMap<String, Value>> = serde_json::from_value(include).unwrap();
        let exclude: Vec<IndexMap<String, Value>> = serde_json::from_value(exclude).unwrap();
        let all = expand("m", &matrix, &include, &exclude)?;
        Ok(all.iter().map(|combination| combination.child_name("m")).collect())
    }

    #[test]
    fn excludes_go_before_includes_and_includes_keep_their_key_order() {
        assert_eq!(
            names(
                json!({"os": ["lin", "mac"], "node": ["18", "20"]}),
                json!([{"os": "win", "node": "22", "extra": "y"}, {}, {"os": "lin", "node": "18"}]),
                json!([{"os": "mac", "node": "18"}, {}]),
            )
            .unwrap(),
            ["m (18, lin)", "m (20, lin)", "m (20, mac)", "m (win, 22, y)"]
        );
    }

    #[test]
    fn a_list_is_one_dimension_and_numbers_read_as_in_javascript() {
        assert_eq!(names(json!(["b", "a"]), json!([]), json!([])).unwrap(), ["m (b)", "m (a)"]);
        let numbers = names(json!({"n": [1, 1.5, true]}), json!([]), json!([])).unwrap();
        assert_eq!(numbers, ["m (1)", "m (1.5)", "m (true)"]);
    }

    #[test]
    fn zero_and_too_many_are_errors() {
        let error = names(json!({"a": []}), json!([]), json!([])).unwrap_err();
        assert_eq!(error.to_string(), "matrix for job 'm' expands to zero combinations");
        let values: Vec<String> = (0..257).map(|i| i.to_string()).collect();
        let error = names(json!(values), json!([]), json!([])).unwrap_err();
        assert_eq!(error.to_string(), "matrix for job 'm' expands to 257 combinations (max 256)");
        assert_eq!(names(json!(values[..256]), json!([]), json!([])).unwrap().len(), 256);
        let huge = json!({"a": values, "b": values, "c": values, "d": values});
        assert!(matches!(names(huge, json!([]), json!([])), Err(MatrixError::TooMany { .. })));
    }

    #[test]
    fn dimensions_sort_without_regard_to_case() {
        let mut list = vec!["b", "A", "a", "_z", "1", "B"];
        list.sort_by(|a, b| locale_order(a, b));
        assert_eq!(list, ["_z", "1", "a", "A", "b", "B"]);
    }
}
