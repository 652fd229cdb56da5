//! The costs of a process, as the kernel counts them.

use std::fs;

use anyhow::Context as _;

/// Counters of a process since its start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// User and system time, in seconds.
    pub(super) cpu: f64,
    /// Bytes that it wrote to disks.
    pub(super) written: u64,
    /// Bytes that it read from disks, without those that the system had in memory.
    pub(super) read: u64,
}

impl Cost {
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("/proc")?;
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // proc_pid_stat(5): utime and stime are fields 14 and 15, and field 3 is the first here.
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let ticks = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let bytes =
            |name| io.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or(0);
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            cpu: ticks.context("/proc/PID/stat")? / per_second,
            written: bytes("write_bytes: "),
            read: bytes("read_bytes: "),
        })
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu - before.cpu,
            written: self.written - before.written,
            read: self.read - before.read,
        }
    }
}
