//! A private PostgreSQL cluster: makes it, runs it, and removes it if it was for one use only.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::binaries::Binaries;
use crate::companion::Companion;
use crate::error::DevDbError;
use crate::identity::Identity;
use crate::layout::{Layout, SOCKET_NUMBER};
use crate::server;

/// The superuser of every private cluster.
const USER: &str = "kici";

/// How long a server may take to accept connections, recovery after a crash included.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a dying server of an earlier process may hold the folder.
const PREDECESSOR_LIMIT: Duration = Duration::from_secs(5);

/// What a cluster is for, which decides how careful it is with its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tests: nothing is flushed to disk, and the folder is removed at the end.
    Tests,
    /// Like `Tests`, but it outlives its starter: whoever arranged the sharing ends it by its
    /// [`Cluster::server_pid`] and removes the folder.
    SharedTests,
    /// A measurement or a demonstration: as careful as in production, removed at the end.
    Throwaway,
    /// `kici dev`: as careful as in production, kept for the next start.
    Keep,
}

/// A running private PostgreSQL. Dropping it stops the server.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    layout: Layout,
    purpose: Purpose,
    server: Companion,
}

impl Cluster {
    /// Starts the cluster in `folder`, making it first if there is none.
    ///
    /// Blocks for up to a few seconds; asynchronous callers use a blocking thread.
    pub fn start(folder: &Path, purpose: Purpose) -> Result<Self, DevDbError> {
        Self::start_with(Binaries::find()?, folder, purpose)
    }

    /// Like [`Cluster::start`], with programs that the caller found.
    pub fn start_with(
        binaries: Binaries,
        folder: &Path,
        purpose: Purpose,
    ) -> Result<Self, DevDbError> {
        let identity = Identity::choose()?;
        let layout = Layout::prepare(folder, identity)?;
        let binaries = matching_binaries(binaries, &layout)?;
        if layout.data.join("PG_VERSION").exists() {
            clear_stale_pid_file(&layout)?;
        } else {
            init(&binaries, &layout, identity, purpose)?;
        }
        let server = serve(&binaries, &layout, identity, purpose)?;
        Ok(Self { binaries, layout, purpose, server })
    }

    /// Kills the server at once, as a crash would; what was committed is still there after
    /// [`Cluster::restart`].
    pub fn crash(&mut self) {
        self.server.signal(Signal::SIGKILL);
        let _certain = self.server.wait(PREDECESSOR_LIMIT);
    }

    /// Starts the server again after [`Cluster::crash`].
    pub fn restart(&mut self) -> Result<(), DevDbError> {
        let identity = Identity::choose()?;
        let deadline = Instant::now() + PREDECESSOR_LIMIT;
        clear_stale_pid_file(&self.layout)?;
        loop {
            match serve(&self.binaries, &self.layout, identity, self.purpose) {
                Ok(server) => {
                    self.server = server;
                    return Ok(());
                }
                // Sessions of the killed server take a moment to notice, and hold its memory.
                Err(_) if Instant::now() < deadline => std::thread::park_timeout(POLL_PREDECESSOR),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the server runs.
    pub fn is_running(&mut self) -> bool {
        self.server.wait(Duration::ZERO).is_none()
    }

    /// The URL of one of its databases; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        let socket = percent_encode(self.layout.socket_dir());
        format!("postgres://{USER}@localhost:{SOCKET_NUMBER}/{database}?host={socket}")
    }

    /// Creates an empty database unless it exists.
    pub fn ensure_database(&self, name: &str) -> Result<(), DevDbError> {
        let program = self.binaries.program("createdb");
        let output = self
            .client_command("createdb")
            .arg(name)
            .output()
            .map_err(|source| DevDbError::Spawn { program, source })?;
        let printed = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || printed.contains("already exists") {
            return Ok(());
        }
        Err(DevDbError::CreateDatabase { name: name.to_owned(), output: printed.into_owned() })
    }

    /// A PostgreSQL client program (`psql`, `pgbench`, …), already told how to connect.
    pub fn client_command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        without_postgres_variables(&mut command);
        command
            .env("PGHOST", self.layout.socket_dir())
            .env("PGPORT", SOCKET_NUMBER.to_string())
            .env("PGUSER", USER);
        command
    }

    /// The process id of the server.
    pub fn server_pid(&self) -> i32 {
        self.server.pid()
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.layout.folder
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.server.stop();
        if matches!(self.purpose, Purpose::Tests | Purpose::Throwaway) {
            self.layout.remove();
        }
    }
}

/// An existing cluster can only be run by the release that made it.
fn matching_binaries(found: Binaries, layout: &Layout) -> Result<Binaries, DevDbError> {
    let Ok(text) = std::fs::read_to_string(layout.data.join("PG_VERSION")) else {
        return Ok(found);
    };
    match text.trim().parse::<u32>() {
        Ok(major) if major != found.major() => Binaries::of_major(major)
            .ok_or_else(|| DevDbError::OtherMajor { folder: layout.folder.clone(), major }),
        _ => Ok(found),
    }
}

fn init(
    binaries: &Binaries,
    layout: &Layout,
    identity: Identity,
    purpose: Purpose,
) -> Result<(), DevDbError> {
    empty_dir(&layout.data)?;
    let program = binaries.program("initdb");
    let mut command = Command::new(&program);
    without_postgres_variables(&mut command);
    identity.apply(&mut command);
    command
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username", USER, "--pgdata"])
        .arg(&layout.data)
        .current_dir(&layout.data)
        .stdin(Stdio::null());
    if purpose != Purpose::Keep {
        command.arg("--no-sync");
    }
    let output = command.output().map_err(|source| DevDbError::Spawn { program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(DevDbError::Init { folder: layout.folder.clone(), output: printed })
}

/// Removes the remains of an `initdb` that was interrupted (it writes `PG_VERSION` late).
fn empty_dir(dir: &Path) -> Result<(), DevDbError> {
    for entry in std::fs::read_dir(dir).map_err(DevDbError::files("read", dir))? {
        let path = entry.map_err(DevDbError::files("read", dir))?.path();
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(DevDbError::files("remove", path))?;
    }
    Ok(())
}

/// Starts the server and waits until it accepts connections.
fn serve(
    binaries: &Binaries,
    layout: &Layout,
    identity: Identity,
    purpose: Purpose,
) -> Result<Companion, DevDbError> {
    let mut server = server::spawn(
        server_command(binaries, layout, identity, purpose)?,
        purpose != Purpose::SharedTests,
    )?;
    if let Err(reason) = server::wait_ready(&mut server, &layout.data, START_LIMIT) {
        server.stop();
        return Err(DevDbError::Start {
            folder: layout.folder.clone(),
            reason,
            log: layout.log_tail(),
        });
    }
    Ok(server)
}

fn server_command(
    binaries: &Binaries,
    layout: &Layout,
    identity: Identity,
    purpose: Purpose,
) -> Result<Command, DevDbError> {
    let mut command = Command::new(binaries.program("postgres"));
    without_postgres_variables(&mut command);
    identity.apply(&mut command);
    let log = layout.open_log()?;
    let log_too = log.try_clone().map_err(DevDbError::files("open", &layout.log))?;
    command
        .arg("-D")
        .arg(&layout.data)
        .arg("-k")
        .arg(layout.socket_dir())
        .args(["-p", &SOCKET_NUMBER.to_string()])
        .args(["-c", "listen_addresses="])
        .args(["-c", "max_connections=300"])
        .current_dir(&layout.data)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too);
    if matches!(purpose, Purpose::Tests | Purpose::SharedTests) {
        for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
            command.args(["-c", setting]);
        }
    }
    Ok(command)
}

/// Deals with the `postmaster.pid` of an earlier server.
///
/// PostgreSQL refuses to start while the process id in it exists, even if that id now belongs to
/// some other program, which is likely in containers where ids are small.
fn clear_stale_pid_file(layout: &Layout) -> Result<(), DevDbError> {
    let pid_file = layout.data.join("postmaster.pid");
    let deadline = Instant::now() + PREDECESSOR_LIMIT;
    while let Ok(text) = std::fs::read_to_string(&pid_file) {
        let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
        match pid.filter(|pid| serves(*pid, &layout.data)) {
            None => {
                return std::fs::remove_file(&pid_file)
                    .or_else(|error| match error.kind() {
                        std::io::ErrorKind::NotFound => Ok(()),
                        _ => Err(error),
                    })
                    .map_err(DevDbError::files("remove", pid_file));
            }
            // It may be on its way out: its owner has just died.
            Some(_) if Instant::now() < deadline => std::thread::park_timeout(POLL_PREDECESSOR),
            Some(pid) => {
                return Err(DevDbError::AlreadyRunning { folder: layout.folder.clone(), pid });
            }
        }
    }
    Ok(())
}

/// How often a dying predecessor is looked at.
const POLL_PREDECESSOR: Duration = Duration::from_millis(20);

/// Whether the process is a PostgreSQL server of this data folder (its working directory).
fn serves(pid: i32, data: &Path) -> bool {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    if Path::new("/proc/self").exists() {
        return std::fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == data);
    }
    // Without /proc only the process's existence can be seen; be careful and believe the file.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
}

/// Variables such as `PGHOST` of the caller must not steer a private server or its clients.
fn without_postgres_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
}

fn percent_encode(path: &Path) -> String {
    let text: &OsStr = path.as_os_str();
    text.as_encoded_bytes()
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(*byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
