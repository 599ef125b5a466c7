//! Makes sure that the code about to run is the code that the lock file was compiled from.

use std::path::Path;

use kici_model::hash;

/// Why the lock file does not fit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriftError {
    /// The hashes differ.
    #[error(
        "Lock file is out of date: {file} has the content hash {found}, the lock file says {expected}. \
         Run 'kici compile' and commit kici.lock.json."
    )]
    OutOfDate { file: String, found: String, expected: String },
    /// The entry file cannot be read.
    #[error("could not read the workflow file {file}")]
    Read {
        file: String,
        #[source]
        source: std::io::Error,
    },
}

/// Compares the hash of `file` and its `assets` below `root` with the expected one.
pub(crate) fn check(
    root: &Path,
    file: &str,
    assets: &[String],
    expected: &str,
) -> Result<(), DriftError> {
    let bytes = std::fs::read(root.join(file))
        .map_err(|source| DriftError::Read { file: file.to_owned(), source })?;
    let mut paths = assets.to_vec();
    hash::sort_paths(&mut paths);
    let contents: Vec<_> = paths.iter().map(|path| std::fs::read(root.join(path)).ok()).collect();
    let digest = hash::asset_digest(
        paths.iter().map(String::as_str).zip(contents.iter().map(Option::as_deref)),
    );
    let found = hash::workflow_hash(&String::from_utf8_lossy(&bytes), &digest);
    if found == expected {
        return Ok(());
    }
    Err(DriftError::OutOfDate { file: file.to_owned(), found, expected: expected.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_or_asset_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ci.ts"), "a\r\n").unwrap();
        std::fs::write(dir.path().join("x.txt"), "1").unwrap();
        let assets = ["x.txt".to_owned()];
        let expected =
            hash::workflow_hash("a\n", &hash::asset_digest([("x.txt", Some(&b"1"[..]))]));
        check(dir.path(), "ci.ts", &assets, &expected).unwrap();

        std::fs::write(dir.path().join("x.txt"), "2").unwrap();
        let error = check(dir.path(), "ci.ts", &assets, &expected).unwrap_err().to_string();
        assert!(error.starts_with("Lock file is out of date:"), "{error}");
        assert!(error.contains(&expected) && error.contains("kici compile"), "{error}");
        assert!(check(dir.path(), "no.ts", &[], &expected).is_err());
    }
}
