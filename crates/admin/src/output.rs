//! Printing: tables and sentences for people, one JSON document for programs.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use kici_client::live::printable;
use kici_protocol::http::time::Timestamp;
use serde::Serialize;

/// Standard output. Failing to write ends the command; a closed pipe does so quietly.
pub(crate) struct Output {
    json: bool,
    terminal: bool,
    /// Columns of the terminal; tables end there. None when it is not one.
    width: Option<usize>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Output {
        let stdout = io::stdout();
        let colour =
            stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let width = terminal_size::terminal_size_of(&stdout).map(|(width, _)| width.0.into());
        Output { json, terminal: colour, width }
    }

    /// Whether the answer is wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether colours may be used.
    pub(crate) fn colour(&self) -> bool {
        self.terminal
    }

    /// Prints the answer as JSON if that is wanted; says whether it did.
    pub(crate) fn json(&mut self, answer: &impl Serialize) -> Result<bool> {
        if self.json {
            self.line(&serde_json::to_string_pretty(answer)?)?;
        }
        Ok(self.json)
    }

    /// One line.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()?;
        Ok(())
    }

    /// One line with words of others: what a terminal would obey is left out.
    pub(crate) fn text(&mut self, text: &str) -> Result<()> {
        self.line(&printable(text, false))
    }

    /// Names and values below each other; absent values are left out.
    pub(crate) fn fields(&mut self, fields: &[(&str, Option<String>)]) -> Result<()> {
        let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 1;
        for (name, value) in fields {
            if let Some(value) = value {
                self.line(&format!("{:<width$} {}", format!("{name}:"), printable(value, false)))?;
            }
        }
        Ok(())
    }

    /// A table with a header, its columns padded.
    pub(crate) fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: &[[String; N]],
    ) -> Result<()> {
        let rows: Vec<[String; N]> =
            rows.iter().map(|row| row.each_ref().map(|cell| printable(cell, false))).collect();
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].chars().count()]).max().unwrap_or(0)
        });
        let line = |cells: [&str; N]| {
            let padded: Vec<String> =
                cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            padded.join("  ").trim_end().to_owned()
        };
        let width = self.width;
        let cut = |line: String| match width {
            Some(width) if line.chars().count() > width => {
                line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            }
            _ => line,
        };
        self.line(&cut(line(header)))?;
        for row in &rows {
            self.line(&cut(line(row.each_ref().map(String::as_str))))?;
        }
        Ok(())
    }
}

/// A value of a table, `-` when there is none.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A moment as tables show it: to the second.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((second, _)) => format!("{second}Z"),
        None => text,
    }
}
