//! CPU time and memory of other processes, from `/proc` (Linux only).

use std::str::FromStr;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::clock::SECOND;

/// A watched process, with its name in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Default: the pid as text.
    pub name: String,
    /// Its process id.
    pub pid: u32,
}

impl FromStr for Watched {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, pid) = text.split_once('=').unwrap_or((text, text));
        let pid = pid
            .parse()
            .map_err(|_| format!("{pid:?} is no process id: write PID or NAME=PID"))?;
        Ok(Self {
            name: name.to_owned(),
            pid,
        })
    }
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all its threads, user and system, in ns; as exact as the kernel's clock tick, 10 ms.
    pub cpu_ns: u64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
}

impl Usage {
    /// Reads it from the kernel.
    ///
    /// # Errors
    /// When there is no such process, or this is not Linux.
    pub fn of(watched: &Watched) -> anyhow::Result<Self> {
        Self::of_pid(&watched.pid.to_string())
            .with_context(|| format!("the process {} (pid {}) cannot be watched", watched.name, watched.pid))
    }

    /// Of this process.
    ///
    /// # Errors
    /// When this is not Linux.
    pub fn of_myself() -> anyhow::Result<Self> {
        Self::of_pid("self")
    }

    fn of_pid(pid: &str) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read: is it running?"))
        };
        let (stat, statm) = (read("stat")?, read("statm")?);
        // The second field is the command in parentheses and may hold anything; user and system time are the 12th and
        // 13th after it.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields: Vec<&str> = after.split_whitespace().collect();
        let [user, system] = [fields.get(11), fields.get(12)];
        let ticks = |field: Option<&&str>| field.and_then(|field| field.parse::<u64>().ok());
        let (Some(user), Some(system)) = (ticks(user), ticks(system)) else {
            bail!("/proc/{pid}/stat has no CPU times: {stat:?}");
        };
        let pages = statm
            .split_whitespace()
            .nth(1)
            .and_then(|pages| pages.parse::<u64>().ok());
        let pages = pages.with_context(|| format!("/proc/{pid}/statm has no resident size: {statm:?}"))?;
        Ok(Self {
            cpu_ns: (user + system) * (SECOND / rustix::param::clock_ticks_per_second().max(1)),
            resident_bytes: pages * rustix::param::page_size() as u64,
        })
    }
}

/// What one process used during a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessReport {
    /// As given with `--pid`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// CPU time in s, while measured.
    pub cpu_s: f64,
    /// Share of one core, while measured.
    pub cpu_share: f64,
    /// CPU time per delivery or reply, in µs.
    pub cpu_us_per_delivery: Option<f64>,
    /// Resident memory before anything was connected, in bytes.
    pub resident_before: u64,
    /// Resident memory at the end of the measurement, in bytes.
    pub resident_after: u64,
    /// Growth per connection, in bytes.
    pub bytes_per_connection: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_or_known_by_its_number() {
        let parsed = |text: &str| text.parse::<Watched>().map(|watched| (watched.name, watched.pid));
        assert_eq!(parsed("redis=12"), Ok(("redis".to_owned(), 12)));
        assert_eq!(parsed("12"), Ok(("12".to_owned(), 12)));
        assert!(parsed("redis").is_err());
    }

    #[test]
    fn this_process_uses_memory_and_time() {
        let before = Usage::of_myself().expect("Linux");
        assert!(before.resident_bytes > 100_000);
        let mut work = 1_u64;
        let mut usage = before;
        while usage.cpu_ns == before.cpu_ns {
            (0..100_000).for_each(|n| work = std::hint::black_box(work.wrapping_mul(31).wrapping_add(n)));
            usage = Usage::of_myself().expect("Linux");
        }
        assert!(usage.cpu_ns > before.cpu_ns);
    }
}
