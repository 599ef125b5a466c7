//! Where a local source's repositories are.
//!
//! The base is a repository itself, or a folder of `<owner>/<name>` repositories. Names come from
//! outside: one that would lead out of the base is refused before anything is opened.

use std::path::{Path, PathBuf};

use super::ForgeError;

/// Refuses a repository name that is no plain relative path. `.` is the base itself.
pub(crate) fn check_name(full_name: &str) -> Result<(), String> {
    let plain = full_name == "."
        || (!full_name.is_empty()
            && full_name.len() <= 512
            && full_name.split('/').all(|part| {
                !part.is_empty()
                    && !part.starts_with('-')
                    && !matches!(part, "." | "..")
                    && !part.contains(|c: char| c.is_control() || c == '\\' || c == ':')
            }));
    if plain {
        Ok(())
    } else {
        Err(format!(
            "{full_name:?} is no repository name: expected <owner>/<name> inside the source's folder"
        ))
    }
}

/// The folder of a repository.
pub(super) fn resolve(base: &Path, full_name: &str) -> Result<PathBuf, ForgeError> {
    check_name(full_name).map_err(ForgeError::Permanent)?;
    let base = base.canonicalize().map_err(|error| {
        ForgeError::Retry(format!("could not open the source's folder {}: {error}", base.display()))
    })?;
    if full_name == "." || (is_repository(&base) && named_like(&base, full_name)) {
        return Ok(base);
    }
    let plain = base.join(full_name);
    let bare = base.join(format!("{full_name}.git"));
    let found = [&plain, &bare].into_iter().find_map(|path| path.canonicalize().ok());
    match found {
        Some(path) if path.starts_with(&base) => Ok(path),
        Some(path) => Err(ForgeError::Permanent(format!(
            "repository {full_name:?} leads out of the source's folder, to {}",
            path.display()
        ))),
        None => Err(ForgeError::Permanent(format!(
            "there is no repository {full_name:?} in the source's folder: neither {} nor {} exists",
            plain.display(),
            bare.display()
        ))),
    }
}

/// The name of a repository that is the base itself, for events that call it `.`.
pub(super) fn own_name(base: &Path) -> String {
    let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
    let name = base.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match name.strip_suffix(".git") {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ if name.is_empty() => ".".to_owned(),
        _ => name,
    }
}

fn named_like(base: &Path, full_name: &str) -> bool {
    let last = full_name.rsplit('/').next().unwrap_or(full_name);
    let last = last.strip_suffix(".git").unwrap_or(last);
    last == own_name(base)
}

/// A repository with a working tree, or a bare one.
fn is_repository(path: &Path) -> bool {
    path.join(".git").exists()
        || (path.join("HEAD").is_file()
            && path.join("objects").is_dir()
            && path.join("refs").is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in [
            "",
            "/etc",
            "../x",
            "a/../../b",
            "a//b",
            "./a",
            "file:///etc",
            "a\\b",
            "a\n",
            "-x/y",
            "a/",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in [".", "acme/app", "app", "a/b/c", "acme/app.git", "ünï/cödé"] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_base_is_a_folder_of_repositories_or_a_repository() {
        let scratch = tempfile::tempdir().unwrap();
        let base = scratch.path().canonicalize().unwrap().join("repos");
        std::fs::create_dir_all(base.join("acme/app/.git")).unwrap();
        std::fs::create_dir_all(base.join("acme/bare.git")).unwrap();
        std::os::unix::fs::symlink("/etc", base.join("acme/out")).unwrap();
        assert_eq!(resolve(&base, "acme/app").unwrap(), base.join("acme/app"));
        assert_eq!(resolve(&base, "acme/bare").unwrap(), base.join("acme/bare.git"));
        assert!(resolve(&base, "acme/out").unwrap_err().to_string().contains("leads out"));
        assert!(resolve(&base, "acme/none").unwrap_err().to_string().contains("no repository"));

        let repository = base.join("acme/app");
        for name in [".", "app", "local/app", "anyone/app.git"] {
            assert_eq!(resolve(&repository, name).unwrap(), repository, "{name}");
        }
        assert!(resolve(&repository, "local/repo").is_err());
        assert_eq!(own_name(&base.join("acme/bare.git")), "bare");
    }
}
