//! The one way in which the API writes a moment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment, written as ISO-8601 in UTC with milliseconds: `2026-01-02T03:04:05.678Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// The moment so many microseconds after 1970; moments that cannot be written are clamped.
    pub fn from_unix_micros(micros: i64) -> Self {
        Self(jiff::Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }

    /// Microseconds since 1970.
    pub fn unix_micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// The current moment by this machine's clock.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now())
    }
}

/// How long ago a moment was, or in how long it will be, as people say it: `12 min ago`, `in 4 s`. What is no moment is
/// said as it is.
pub fn ago(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return at.to_owned() };
    let micros = now.unix_micros() - at.unix_micros();
    let seconds = (micros.unsigned_abs() + 500_000) / 1_000_000;
    let (number, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "min"),
        7_200..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    if micros < 0 { format!("in {number} {unit}") } else { format!("{number} {unit} ago") }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(at: jiff::Timestamp) -> Self {
        Self(at)
    }
}

impl From<Timestamp> for jiff::Timestamp {
    fn from(at: Timestamp) -> Self {
        at.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom("expected an ISO-8601 date and time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_by_how_long_ago_they_were() {
        let now: Timestamp = "2026-01-02T12:00:00.000Z".parse().unwrap();
        for (at, text) in [
            ("2026-01-02T12:00:00.000Z", "0 s ago"),
            ("2026-01-02T11:59:58.900Z", "1 s ago"),
            ("2026-01-02T11:48:00.000Z", "12 min ago"),
            ("2026-01-02T07:00:00.000Z", "5 h ago"),
            ("2025-12-24T12:00:00.000Z", "9 days ago"),
            ("2026-01-02T12:00:04.000Z", "in 4 s"),
            ("soon", "soon"),
        ] {
            assert_eq!(ago(at, now), text);
        }
    }

    #[test]
    fn is_written_with_exactly_three_decimals() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_123_456, "2023-11-14T22:13:20.123Z"),
            (1_700_000_000_100_000, "2023-11-14T22:13:20.100Z"),
        ] {
            let at = Timestamp::from_unix_micros(micros);
            assert_eq!(at.to_string(), text);
            assert_eq!(serde_json::to_string(&at).unwrap(), format!("\"{text}\""));
        }
    }

    #[test]
    fn reads_other_offsets_and_refuses_nonsense() {
        let at: Timestamp = serde_json::from_str("\"2023-11-14T23:13:20+01:00\"").unwrap();
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.000Z");
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }
}
