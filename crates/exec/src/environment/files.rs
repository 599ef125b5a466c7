//! `$KICI_ENV` and `$KICI_PATH`: files through which shell commands change the environment of later steps.

use std::io;
use std::path::{Path, PathBuf};

/// A fresh pair of files for one step.
#[derive(Debug)]
pub(crate) struct EnvFiles {
    dir: PathBuf,
}

/// What was written to the files, in order.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) vars: Vec<(String, String)>,
    pub(crate) paths: Vec<String>,
}

impl EnvFiles {
    /// Makes the files in `dir`, which must not exist yet.
    pub(crate) fn create(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir(&dir)?;
        let files = Self { dir };
        std::fs::write(files.env(), "")?;
        std::fs::write(files.path(), "")?;
        Ok(files)
    }

    /// Where the files are; the path is unique to the step.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file for `KEY=value` lines.
    pub(crate) fn env(&self) -> PathBuf {
        self.dir.join("env")
    }

    /// The file for directories.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("path")
    }

    /// What was written to both.
    pub(crate) fn read(&self) -> io::Result<Written> {
        let env = std::fs::read(self.env())?;
        let path = std::fs::read(self.path())?;
        Ok(Written {
            vars: parse_env(&String::from_utf8_lossy(&env)),
            paths: parse_path(&String::from_utf8_lossy(&path)),
        })
    }
}

/// `KEY=value` lines: split at the first `=`, key trimmed, lines without a key ignored.
fn parse_env(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            let key = key.trim();
            (!key.is_empty() && !line.contains('\0')).then(|| (key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// One directory a line.
fn parse_path(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains('\0'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_at_the_first_sign() {
        let parsed = parse_env("FOO=bar=baz\n\n =x\nnothing\n K = v \nFOO=2\nEMPTY=\n");
        let expected = [("FOO", "bar=baz"), ("K", " v "), ("FOO", "2"), ("EMPTY", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(parsed, expected);
        assert_eq!(parse_path("/p1\n\n  /p2 \n"), ["/p1", "/p2"]);
    }
}
