//! The CPU time this process has used, all threads that still run together.

/// Nanoseconds of CPU time; `None` where the system does not tell it per thread.
pub fn nanos() -> Option<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let mut sum = 0;
    for task in tasks.flatten() {
        // A thread that has just ended tells nothing any more.
        let Ok(told) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
        sum += told.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(sum)
}
