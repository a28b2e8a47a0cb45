//! Times, as benches show them.

use std::{fs, time::Duration};

/// Time that a process has had on the processor: all its threads together, or those of this name.
pub fn cpu_time(pid: u32, name: Option<&str>) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let threads = threads.filter(|thread| name.is_none_or(|name| read(thread.join("comm")).trim() == name));
    let nanoseconds = threads.map(|thread| {
        let statistics = read(thread.join("schedstat"));
        statistics.split(' ').next().unwrap_or_default().parse().unwrap_or(0)
    });
    Duration::from_nanos(nanoseconds.sum())
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

pub fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
