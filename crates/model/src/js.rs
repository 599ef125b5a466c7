//! JSON exactly as ECMAScript writes it: number text, key order, indentation.
//!
//! Lock files are compared byte by byte and hashed by programs that use `JSON.stringify`, so that
//! the small differences between it and `serde_json` matter.

use std::fmt;
use std::io;

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// A number of a lock file. Whole numbers are written without a fraction, as JavaScript does.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(transparent)]
pub struct JsNumber(pub f64);

/// Largest whole number that a JavaScript number holds exactly, plus one.
const SAFE: f64 = 9_007_199_254_740_992.0;

impl JsNumber {
    /// The number as a count; absent for negative, fractional or huge ones.
    pub fn as_u64(self) -> Option<u64> {
        (self.0.fract() == 0.0 && self.0 >= 0.0 && self.0 <= SAFE).then_some(self.0 as u64)
    }

    /// The number as milliseconds, rounded up; negative counts as zero.
    pub fn as_millis(self) -> u64 {
        self.0.max(0.0).ceil() as u64
    }
}

impl Serialize for JsNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() <= SAFE {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl From<u32> for JsNumber {
    fn from(number: u32) -> Self {
        Self(f64::from(number))
    }
}

impl fmt::Display for JsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&number_text(self.0))
    }
}

/// `JSON.stringify(value)`.
pub fn compact(value: &Value) -> String {
    write(value, JsFormatter(CompactFormatter))
}

/// `JSON.stringify(value, null, 2)`.
pub fn pretty(value: &Value) -> String {
    write(value, JsFormatter(PrettyFormatter::with_indent(b"  ")))
}

fn write<F: Formatter>(value: &Value, formatter: F) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    value.serialize(&mut serializer).expect("a JSON value always serialises to memory");
    String::from_utf8(out).expect("serde_json writes UTF-8")
}

/// Orders the keys of every object as a JavaScript object would: integer-like keys first, ascending.
pub fn order_keys(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(order_keys),
        Value::Object(map) => {
            map.values_mut().for_each(order_keys);
            if map.keys().any(|key| array_index(key).is_some()) {
                let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
                entries.sort_by_key(|(key, _)| array_index(key).map_or(u64::MAX, u64::from));
                map.extend(entries);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The key as an array index (`0` to `2^32 - 2`, canonical decimal).
fn array_index(key: &str) -> Option<u32> {
    let canonical =
        key == "0" || (!key.starts_with('0') && key.bytes().all(|b| b.is_ascii_digit()));
    if !canonical {
        return None;
    }
    key.parse().ok().filter(|index| *index != u32::MAX)
}

/// `String(number)` of ECMAScript for a finite number.
fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{:e}", number.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let exponent: i32 = exponent.parse().expect("`{:e}` writes a decimal exponent");
    let count = digits.len() as i32;
    let point = exponent + 1;
    let sign = if number < 0.0 { "-" } else { "" };
    let body = if count <= point && point <= 21 {
        format!("{digits}{}", "0".repeat((point - count) as usize))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(point as usize);
        format!("{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("0.{}{digits}", "0".repeat(-point as usize))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let plus = if exponent >= 0 { "+" } else { "" };
        format!("{first}{dot}{rest}e{plus}{exponent}")
    };
    format!("{sign}{body}")
}

/// A `serde_json` formatter that writes numbers as JavaScript does.
struct JsFormatter<F>(F);

impl<F: Formatter> Formatter for JsFormatter<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(number_text(value).as_bytes())
    }
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_read_as_javascript_writes_them() {
        let cases = [
            (45000.0, "45000"),
            (0.1, "0.1"),
            (-0.0, "0"),
            (1e21, "1e+21"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-9, "1.5e-9"),
            (-12.25, "-12.25"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
        ];
        for (number, text) in cases {
            assert_eq!(number_text(number), text);
        }
        assert_eq!(serde_json::to_string(&JsNumber(600_000.0)).unwrap(), "600000");
    }

    #[test]
    fn integer_keys_come_first_at_every_level() {
        let mut value = json!({"B": {"x": 1, "2": 0, "10": 1, "01": 2}, "10": "a", "9": "b"});
        order_keys(&mut value);
        assert_eq!(compact(&value), r#"{"9":"b","10":"a","B":{"2":0,"10":1,"x":1,"01":2}}"#);
    }

    #[test]
    fn pretty_is_two_spaces_and_no_final_newline() {
        assert_eq!(
            pretty(&json!({"a": [], "b": {}, "c": [1.0, "é\u{7f}\u{2028}\u{1}"]})),
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    \"é\u{7f}\u{2028}\\u0001\"\n  ]\n}"
        );
    }
}
