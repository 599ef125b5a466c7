//! Hashes of a lock file, as pure functions over bytes already read.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::js;
use crate::lock::{COMPILE_SCHEMA_VERSION, LockFile};

/// SHA-256 as lowercase hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Top-level `contentHash` of a lock file in memory.
pub fn top_level_hash(lock: &LockFile) -> String {
    hash_of_document(&lock.to_value())
}

/// Top-level `contentHash` recomputed from the text of a lock file, with all fields that it has.
pub fn top_level_hash_of_text(text: &str) -> Result<String, serde_json::Error> {
    let mut value: Value = serde_json::from_str(text)?;
    js::order_keys(&mut value);
    Ok(hash_of_document(&value))
}

fn hash_of_document(document: &Value) -> String {
    let mut covered = Map::new();
    for key in ["schemaVersion", "source", "workflows"] {
        if let Some(value) = document.get(key) {
            covered.insert(key.to_owned(), value.clone());
        }
    }
    sha256_hex(js::compact(&Value::Object(covered)).as_bytes())
}

/// A workflow's `contentHash`: its entry file and, if it has any, its assets.
pub fn workflow_hash(entry_source: &str, asset_digest: &str) -> String {
    let mut text = format!("{COMPILE_SCHEMA_VERSION}:{}", unix_newlines(entry_source));
    if !asset_digest.is_empty() {
        text.push('\0');
        text.push_str(&unix_newlines(asset_digest));
    }
    sha256_hex(text.as_bytes())
}

/// The asset digest: paths and contents, one after the other, in the order given (which must be that
/// of [`sort_paths`]). A file that could not be read has no content.
pub fn asset_digest<'a>(files: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>) -> String {
    let mut digest = String::new();
    for (path, content) in files {
        digest.push_str(path);
        digest.push('\n');
        if let Some(content) = content {
            digest.push_str(&String::from_utf8_lossy(content));
        }
    }
    digest
}

/// Sorts paths by UTF-16 code units and removes duplicates, as the format wants it.
pub fn sort_paths(paths: &mut Vec<String>) {
    paths.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    paths.dedup();
}

/// Which package manager wrote a lock file; prefix of `lockfileHash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageLock {
    /// `package-lock.json`.
    Npm,
    /// `pnpm-lock.yaml`.
    Pnpm,
    /// `yarn.lock` of Yarn 1.
    YarnClassic,
    /// `yarn.lock` of Yarn 2 and later.
    YarnBerry,
}

impl PackageLock {
    /// The prefix.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::YarnClassic => "yarn-classic",
            Self::YarnBerry => "yarn-berry",
        }
    }
}

/// `lockfileHash`: the dependency cache's key. The text is taken as it is.
pub fn lockfile_hash(manager: PackageLock, text: &str) -> String {
    sha256_hex(format!("{}\n{text}", manager.as_str()).as_bytes())
}

/// Every `\r\n` and lone `\r` becomes `\n`.
fn unix_newlines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_endings_do_not_change_a_workflow_hash() {
        let unix = workflow_hash("a\nb\n", "x.txt\n1\n");
        assert_eq!(workflow_hash("a\r\nb\r", "x.txt\n1\r\n"), unix);
        assert_ne!(workflow_hash("a\nb\n", ""), unix);
    }

    #[test]
    fn the_same_bytes_hash_differently_per_package_manager() {
        let all =
            [PackageLock::Npm, PackageLock::Pnpm, PackageLock::YarnClassic, PackageLock::YarnBerry];
        let mut hashes: Vec<String> = all.iter().map(|m| lockfile_hash(*m, "{}")).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), all.len());
    }

    #[test]
    fn paths_sort_by_code_units_and_unreadable_files_have_no_content() {
        // U+FF61 sorts after a surrogate pair in UTF-16, before it in UTF-8.
        let mut paths =
            vec!["\u{ff61}".to_owned(), "😀".to_owned(), "a".to_owned(), "a".to_owned()];
        sort_paths(&mut paths);
        assert_eq!(paths, ["a", "😀", "\u{ff61}"]);
        let digest = asset_digest([("a", Some(&b"1\xff"[..])), ("b", None)]);
        assert_eq!(digest, "a\n1\u{fffd}b\n");
    }
}
