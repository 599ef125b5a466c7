//! Small helpers that several bodies share.

use serde::{Deserialize, Deserializer};

/// Tells a field that is `null` from one that is absent: use with `#[serde(default)]`.
///
/// Absent stays `None`; `null` becomes `Some(None)`, which clears a stored value.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
