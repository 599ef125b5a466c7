//! `lockfileHash`: which package manager the project uses, and the hash of its lock file.

use std::path::{Path, PathBuf};

use kici_model::hash::{PackageLock, lockfile_hash};
use serde_json::Value;

/// Package managers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Npm,
    Pnpm,
    Yarn,
}

/// The hash, if the project has a package manager's lock file.
pub(super) fn hash(root: &Path) -> Option<String> {
    let agent = std::env::var("npm_config_user_agent").ok();
    let kici = root.join(".kici");
    let manager = match manager(root, agent.as_deref()) {
        Manager::Npm => manager(&kici, agent.as_deref()),
        other => other,
    };
    let candidates: Vec<PathBuf> = match manager {
        Manager::Pnpm => vec![root.join("pnpm-lock.yaml"), kici.join("pnpm-lock.yaml")],
        Manager::Yarn => vec![root.join("yarn.lock"), kici.join("yarn.lock")],
        Manager::Npm => vec![kici.join("package-lock.json")],
    };
    let (path, text) = candidates.iter().find_map(|path| {
        Some((path, String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned()))
    })?;
    let kind = match manager {
        Manager::Npm => PackageLock::Npm,
        Manager::Pnpm => PackageLock::Pnpm,
        Manager::Yarn if berry(path.parent().expect("a lock file lies in a folder"), &text) => {
            PackageLock::YarnBerry
        }
        Manager::Yarn => PackageLock::YarnClassic,
    };
    Some(lockfile_hash(kind, &text))
}

/// `packageManager` decides, then the lock file that is there, then who called us, then npm.
fn manager(folder: &Path, agent: Option<&str>) -> Manager {
    let named = declared(folder)
        .and_then(|declared| by_name(declared.split('@').next().unwrap_or_default()));
    let files = [
        ("pnpm-lock.yaml", Manager::Pnpm),
        ("yarn.lock", Manager::Yarn),
        ("package-lock.json", Manager::Npm),
    ];
    let present = || {
        files.into_iter().find(|(file, _)| folder.join(file).is_file()).map(|(_, manager)| manager)
    };
    let caller = || by_name(agent?.split('/').next().unwrap_or_default());
    named.or_else(present).or_else(caller).unwrap_or(Manager::Npm)
}

fn by_name(name: &str) -> Option<Manager> {
    match name {
        "npm" => Some(Manager::Npm),
        "pnpm" => Some(Manager::Pnpm),
        "yarn" => Some(Manager::Yarn),
        _ => None,
    }
}

fn declared(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("package.json")).ok()?;
    let package: Value = serde_json::from_str(&text).ok()?;
    package.get("packageManager")?.as_str().map(str::to_owned)
}

/// Whether a `yarn.lock` is that of Yarn 2 or later.
fn berry(folder: &Path, text: &str) -> bool {
    if let Some(version) =
        declared(folder).as_deref().and_then(|declared| declared.strip_prefix("yarn@"))
    {
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        return major.is_none_or(|major| major >= 2);
    }
    let start: String = text.chars().take(512).collect();
    folder.join(".yarnrc.yml").is_file()
        || start.lines().any(|line| line.starts_with("__metadata:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_follows_the_package_manager() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).unwrap();
        std::fs::create_dir(dir.path().join(".kici")).unwrap();
        assert_eq!(hash(dir.path()), None);

        write(".kici/package-lock.json", "{}");
        assert_eq!(hash(dir.path()), Some(lockfile_hash(PackageLock::Npm, "{}")));

        write("yarn.lock", "# yarn lockfile v1\n");
        assert_eq!(
            hash(dir.path()),
            Some(lockfile_hash(PackageLock::YarnClassic, "# yarn lockfile v1\n"))
        );
        write(".yarnrc.yml", "");
        assert_eq!(
            hash(dir.path()),
            Some(lockfile_hash(PackageLock::YarnBerry, "# yarn lockfile v1\n"))
        );

        write("package.json", r#"{"packageManager": "pnpm@9.0.0"}"#);
        write("pnpm-lock.yaml", "lockfileVersion: 9\n");
        assert_eq!(
            hash(dir.path()),
            Some(lockfile_hash(PackageLock::Pnpm, "lockfileVersion: 9\n"))
        );
    }
}
