//! Numbers as JavaScript peers send them: `2595`, `2595.25` or `"2595"` for what is meant as a whole number.

use serde::{Deserialize, Deserializer, Serializer, de};

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Int(i64),
    Float(f64),
    Text(String),
}

fn narrow<T: TryFrom<i64>, E: de::Error>(loose: Loose) -> Result<T, E> {
    let number = match loose {
        Loose::Int(n) => n,
        #[expect(clippy::cast_possible_truncation, reason = "rounded; `as` saturates")]
        Loose::Float(n) if n.is_finite() => n.round() as i64,
        Loose::Float(_) => return Err(E::custom("not a finite number")),
        Loose::Text(text) => text.trim().parse().map_err(|_| E::custom("not a number"))?,
    };
    T::try_from(number).map_err(|_| E::custom("number out of range"))
}

/// A whole number, rounded if need be.
pub(super) fn whole<'de, T: TryFrom<i64>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    narrow(Loose::deserialize(d)?)
}

/// The same, optional; null counts as absent.
pub(super) fn maybe_whole<'de, T: TryFrom<i64>, D: Deserializer<'de>>(
    d: D,
) -> Result<Option<T>, D::Error> {
    Option::<Loose>::deserialize(d)?.map(narrow).transpose()
}

/// Writes `3.0` as `3`, as JavaScript does, so that a relayed number stays the same JSON.
pub(super) fn write_number<S: Serializer>(value: &Option<f64>, s: S) -> Result<S::Ok, S::Error> {
    match value {
        None => s.serialize_none(),
        Some(n) => number(*n, s),
    }
}

/// [`write_number`] for a plain value.
pub(super) fn number<S: Serializer>(n: f64, s: S) -> Result<S::Ok, S::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    if n.fract() == 0.0 && n.abs() < 9e15 { s.serialize_i64(n as i64) } else { s.serialize_f64(n) }
}

/// [`number`] in the form that `serialize_with` wants.
pub(super) fn write_plain<S: Serializer>(n: &f64, s: S) -> Result<S::Ok, S::Error> {
    number(*n, s)
}
