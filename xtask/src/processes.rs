//! What the kernel says about processes.

use std::path::Path;

/// The children of a process.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let tasks = format!("/proc/{pid}/task");
    let Ok(tasks) = std::fs::read_dir(Path::new(&tasks)) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

/// Whether one of a process's arguments is this one.
pub(crate) fn has_argument(pid: i32, argument: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
}
