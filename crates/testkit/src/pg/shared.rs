//! One PostgreSQL for all test processes of a run, without anybody in charge.
//!
//! Each user holds a shared lock on a file until its process ends, however it ends. The first user
//! starts the server and a small shell script, which waits until nobody has held the lock for some
//! seconds, then stops the server and removes its folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kici_devdb::{Cluster, Purpose};
use tokio::sync::OnceCell;

/// Names a PostgreSQL to use instead of starting one.
const URL_VARIABLE: &str = "TESTKIT_DATABASE_URL";

/// Waits for the last user, then ends the server. `$1` lock file, `$2` process id, `$3` folder.
const KEEPER: &str = r#"
while :; do
  flock --exclusive "$1" true
  sleep 5
  flock --exclusive --nonblock "$1" sh -c '
    kill -INT "$1"
    for _ in $(seq 200); do [ -e "$2/data/postmaster.pid" ] || break; sleep 0.1; done
    rm -rf "$2"' stop "$2" "$3" && exit
done"#;

/// The URL of the server's `postgres` database.
pub(super) async fn server_url() -> String {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(async || match std::env::var(URL_VARIABLE) {
        Ok(url) => url,
        Err(_) => tokio::task::spawn_blocking(join_or_start)
            .await
            .expect("starting the test PostgreSQL does not panic"),
    })
    .await
    .clone()
}

fn join_or_start() -> String {
    let root = root();
    std::fs::create_dir_all(&root).expect("the target folder is writable");
    let starting = open(&root.join("starting.lock"));
    starting.lock().expect("the target folder's file system has locks");
    let users_file = root.join("users.lock");
    let users = open(&users_file);
    // Waits while the keeper of an earlier run removes its server.
    users.lock_shared().expect("the target folder's file system has locks");

    let url_file = root.join("url");
    let folder = root.join("cluster");
    let url = match std::fs::read_to_string(&url_file) {
        Ok(url) if is_served(&folder) => url,
        _ => {
            let _left_by_a_crash = std::fs::remove_dir_all(&folder);
            let cluster = Cluster::start(&folder, Purpose::SharedTests)
                .unwrap_or_else(|error| panic!("could not start the test PostgreSQL: {error}"));
            let url = cluster.url("postgres");
            start_keeper(&users_file, cluster.server_pid(), cluster.folder());
            // Last, so that a start that failed half-way is not taken for a server.
            std::fs::write(&url_file, &url).expect("the target folder is writable");
            url
        }
    };
    // The lock must last as long as the process.
    std::mem::forget(users);
    url
}

/// Whether the server of an earlier test process still runs.
fn is_served(folder: &Path) -> bool {
    let pid_file = folder.join("data/postmaster.pid");
    let pid = std::fs::read_to_string(pid_file)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse().ok());
    pid.is_some_and(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok())
}

#[expect(clippy::zombie_processes, reason = "it outlives this process on purpose")]
fn start_keeper(users: &Path, server: i32, folder: &Path) {
    use std::os::unix::process::CommandExt;
    Command::new("sh")
        .args(["-c", KEEPER, "kici-test-postgres-keeper"])
        .arg(users)
        .arg(server.to_string())
        .arg(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("could not start the keeper of the PostgreSQL: {error}"));
}

/// A folder that all test programs of one target folder share.
fn root() -> PathBuf {
    let program = std::env::current_exe().expect("a test program knows its path");
    // <target>/debug/deps/<program>
    let target = program.ancestors().nth(3).map_or_else(std::env::temp_dir, Path::to_owned);
    target.join("test-postgres")
}

fn open(path: &Path) -> File {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap_or_else(|error| panic!("could not open {}: {error}", path.display()))
}
