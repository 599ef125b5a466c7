//! What an agent says about itself: platform, labels, memory, user.

use kici_protocol::agent::{InFlightJob, Register, RegisterAck};

use crate::config::{Config, Role};
use crate::now;

/// Facts that do not change while the agent runs.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    register: Register,
}

impl Facts {
    /// Looks at the machine once.
    pub(crate) fn gather(config: &Config, agent_id: &str) -> Self {
        let platform = platform();
        let arch = arch();
        let host = hostname();
        let uname = nix::sys::utsname::uname().ok();
        let text = |part: Option<&std::ffi::OsStr>| Some(part?.to_string_lossy().into_owned());
        let uid = nix::unistd::getuid();
        let register = Register {
            message_id: String::new(),
            agent_id: agent_id.to_owned(),
            labels: labels(&config.labels, platform, arch, &host, &config.roles),
            platform: Some(platform.to_owned()),
            arch: Some(arch.to_owned()),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            max_concurrency: Some(1),
            in_flight_jobs: Vec::new(),
            hostname: Some(host),
            os_release: text(uname.as_ref().map(|names| names.release())),
            os_version: text(uname.as_ref().map(|names| names.version())),
            node_version: None,
            running_as_user: nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name),
            total_memory_mb: memory().map(|memory| memory.total_mb),
            cpu_count: std::thread::available_parallelism()
                .ok()
                .and_then(|count| u32::try_from(count.get()).ok()),
            running_as_uid: Some(uid.as_raw()),
            properties: config.properties.clone(),
            features: vec![RegisterAck::ACK.to_owned()],
        };
        Self { register }
    }

    /// The registration of this moment.
    pub(crate) fn registration(&self, in_flight_jobs: Vec<InFlightJob>) -> Register {
        let message_id = format!("register-{}-{}", self.register.agent_id, now::epoch_ms());
        Register { message_id, in_flight_jobs, ..self.register.clone() }
    }

    /// The wire labels.
    pub(crate) fn labels(&self) -> &[String] {
        &self.register.labels
    }
}

/// User labels, os, arch, host, roles; without duplicates.
fn labels(user: &[String], platform: &str, arch: &str, host: &str, roles: &[Role]) -> Vec<String> {
    let os: &[&str] = match platform {
        "darwin" => &["macos", "darwin"],
        "win32" => &["windows", "win32"],
        other => &[other],
    };
    let archs: &[&str] = match arch {
        "x64" => &["x64", "amd64"],
        other => &[other],
    };
    let own = os
        .iter()
        .map(|os| format!("kici:os:{os}"))
        .chain(archs.iter().map(|arch| format!("kici:arch:{arch}")))
        .chain([format!("kici:host:{host}")])
        .chain(roles.iter().map(|role| match role {
            Role::Builder => "kici:role:builder".to_owned(),
            Role::InitRunner => "kici:role:init-runner".to_owned(),
        }));
    let mut labels: Vec<String> = Vec::new();
    for label in user.iter().cloned().chain(own) {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels
}

/// Node's name of the operating system.
pub(crate) fn platform() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    }
}

/// Node's name of the architecture.
pub(crate) fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The host's name.
pub(crate) fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown-host".to_owned())
}

/// Memory of the machine.
pub(crate) struct Memory {
    /// All of it, MiB.
    pub(crate) total_mb: u64,
    /// What could be had, MiB.
    pub(crate) available_mb: u64,
}

/// Memory as the kernel reports it; `None` where there is no `/proc`.
pub(crate) fn memory() -> Option<Memory> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let mb = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim_start_matches(':').split_whitespace().next()?.parse().ok()?;
        Some((kib + 512) / 1024)
    };
    Some(Memory { total_mb: mb("MemTotal")?, available_mb: mb("MemAvailable")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_protocol() {
        let user = ["linux".to_owned(), "linux".to_owned()];
        let both = [Role::Builder, Role::InitRunner];
        assert_eq!(
            labels(&user, "linux", "x64", "H", &both),
            [
                "linux",
                "kici:os:linux",
                "kici:arch:x64",
                "kici:arch:amd64",
                "kici:host:H",
                "kici:role:builder",
                "kici:role:init-runner",
            ]
        );
        assert_eq!(
            labels(&[], "darwin", "arm64", "m", &[]),
            ["kici:os:macos", "kici:os:darwin", "kici:arch:arm64", "kici:host:m",]
        );
        assert_eq!(
            labels(&[], "win32", "x64", "w", &[])[..2],
            ["kici:os:windows", "kici:os:win32"]
        );
    }

    #[test]
    fn memory_is_plausible() {
        let memory = memory().unwrap();
        assert!(memory.total_mb >= memory.available_mb && memory.available_mb > 0);
    }
}
