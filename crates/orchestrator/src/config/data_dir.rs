//! Where this orchestrator keeps its files when nobody says.

use std::path::{Path, PathBuf};

use super::vars::Vars;

/// `KICI_DATA_DIR`, else `/var/lib/kici` if writable, else the user's state folder, else a temporary one.
pub(super) fn data_dir(vars: &mut Vars) -> PathBuf {
    if let Some(dir) = vars.text("KICI_DATA_DIR") {
        let dir = PathBuf::from(dir);
        // A service's working directory is not the operator's: a relative path would surprise both.
        return std::path::absolute(&dir).unwrap_or(dir);
    }
    let system = Path::new("/var/lib/kici");
    if nix::unistd::access(system, nix::unistd::AccessFlags::W_OK).is_ok() {
        return system.to_owned();
    }
    let state = vars
        .text("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| vars.text("HOME").map(|home| Path::new(&home).join(".local/state")));
    state.map_or_else(|| std::env::temp_dir().join("kici"), |state| state.join("kici"))
}
