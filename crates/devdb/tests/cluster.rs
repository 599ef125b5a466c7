//! A private PostgreSQL really starts, answers, keeps or forgets its data, and ends.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kici_devdb::{Cluster, DevDbError, Purpose};

fn query(cluster: &Cluster, sql: &str) -> String {
    let output = cluster
        .client_command("psql")
        .args(["--no-psqlrc", "-At", "-d", "work", "-c", sql])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn server_pid(folder: &Path) -> i32 {
    let text = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "waited 20 s for: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn alive(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_kept_cluster_has_its_data_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("db");

    let first = Cluster::start(&folder, Purpose::Keep).unwrap();
    first.ensure_database("work").unwrap();
    first.ensure_database("work").unwrap();
    query(&first, "CREATE TABLE t AS SELECT 42 AS n");
    assert_eq!(query(&first, "SHOW fsync"), "on");
    let pid = server_pid(&folder);
    drop(first);
    assert!(!alive(pid), "the server outlived its cluster");

    let second = Cluster::start(&folder, Purpose::Keep).unwrap();
    assert_eq!(query(&second, "SELECT n FROM t"), "42");
}

#[test]
fn a_test_cluster_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("db");
    let cluster = Cluster::start(&folder, Purpose::Tests).unwrap();
    cluster.ensure_database("work").unwrap();
    assert_eq!(query(&cluster, "SHOW fsync"), "off");
    drop(cluster);
    assert!(!folder.exists(), "the folder is still there");
}

#[test]
fn a_second_server_on_one_folder_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("db");
    let cluster = Cluster::start(&folder, Purpose::Keep).unwrap();
    let pid = server_pid(cluster.folder());
    let error = Cluster::start(&folder, Purpose::Keep).unwrap_err();
    assert!(matches!(error, DevDbError::AlreadyRunning { pid: other, .. } if other == pid));
}

#[test]
fn a_stale_pid_file_does_not_stop_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("db");
    drop(Cluster::start(&folder, Purpose::Keep).unwrap());
    // Our own process id: it exists, but it is no PostgreSQL.
    let claim = format!("{}\n{}\n", std::process::id(), folder.join("data").display());
    std::fs::write(folder.join("data/postmaster.pid"), claim).unwrap();
    let again = Cluster::start(&folder, Purpose::Keep).unwrap();
    again.ensure_database("work").unwrap();
}

#[test]
fn a_deep_folder_works_despite_the_socket_path_limit() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a-rather-long-name-of-a-project".repeat(3)).join("db");
    let cluster = Cluster::start(&folder, Purpose::Tests).unwrap();
    cluster.ensure_database("work").unwrap();
    assert_eq!(query(&cluster, "SELECT 1"), "1");
}

#[test]
fn a_folder_closed_to_other_users_works_for_root() {
    let dir = tempfile::tempdir().unwrap();
    // As /root is: the server's user cannot enter it.
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let cluster = Cluster::start(&dir.path().join("db"), Purpose::Tests).unwrap();
    cluster.ensure_database("work").unwrap();
    assert_eq!(query(&cluster, "SELECT 1"), "1");
    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(!folder.exists(), "{} is still there", folder.display());
}

/// Runs only as the child of the next test: starts a cluster, tells its process id, and waits to
/// be killed.
#[test]
#[ignore = "the other half of the_server_ends_when_its_starter_is_killed"]
fn starter_that_is_killed() {
    let Ok(folder) = std::env::var("DEVDB_TEST_FOLDER") else { return };
    let _cluster = Cluster::start(Path::new(&folder), Purpose::Keep).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_server_ends_when_its_starter_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("db");
    let mut starter = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "starter_that_is_killed"])
        .env("DEVDB_TEST_FOLDER", &folder)
        .spawn()
        .unwrap();
    let pid_file = folder.join("data/postmaster.pid");
    wait_until("the server to be ready", || {
        std::fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready"))
    });
    let pid = server_pid(&folder);
    starter.kill().unwrap();
    starter.wait().unwrap();
    wait_until("the server to end", || !alive(pid));
}

#[test]
fn what_was_committed_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(&dir.path().join("db"), Purpose::Throwaway).unwrap();
    cluster.ensure_database("work").unwrap();
    query(&cluster, "CREATE TABLE t AS SELECT 42 AS n");
    let pid = cluster.server_pid();
    cluster.crash();
    assert!(!alive(pid), "the server survived its crash");
    cluster.restart().unwrap();
    assert_ne!(cluster.server_pid(), pid);
    assert_eq!(query(&cluster, "SELECT n FROM t"), "42");
}
