//! Remembers from which files something was made.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// A hash over names and contents.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(String);

impl Stamp {
    /// Hashes files and whole folders below `folder`.
    pub(super) fn of(folder: &Path, inputs: &[impl AsRef<Path>]) -> Result<Self> {
        let mut files = Vec::new();
        for input in inputs {
            collect(&folder.join(input), &mut files)?;
        }
        files.sort();
        let mut hash = Sha256::new();
        for file in files {
            let content = std::fs::read(&file)
                .with_context(|| format!("could not read {}", file.display()))?;
            hash.update(file.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(content.len().to_le_bytes());
            hash.update(content);
        }
        Ok(Self(hex::encode(hash.finalize())))
    }

    /// Whether `file` holds this stamp.
    pub(super) fn is_in(&self, file: &Path) -> bool {
        std::fs::read_to_string(file).is_ok_and(|text| text == self.0)
    }

    /// Writes the stamp, after the work is done.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, &self.0).with_context(|| format!("could not write {}", file.display()))
    }
}

/// A missing file counts as absent, so that adding it changes the stamp.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in
            std::fs::read_dir(path).with_context(|| format!("could not read {}", path.display()))?
        {
            collect(&entry?.path(), files)?;
        }
    } else if path.exists() {
        files.push(path.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_content_and_with_new_files() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("a writable folder");
        };
        let stamp = || Stamp::of(dir.path(), &["a", "b"]).expect("readable files");
        write("a", "1");
        let first = stamp();
        assert_eq!(first, stamp());
        write("a", "2");
        let second = stamp();
        assert_ne!(first, second);
        write("b", "");
        assert_ne!(second, stamp());
    }
}
