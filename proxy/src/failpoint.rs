//! Places where a crash test stops the process. Without the feature `failpoints` they do nothing.
//!
//! `STATE_ENGINE_FAILPOINT=name` (or `name:N`, the N-th passage) kills the process with SIGKILL at
//! that place, after appending the name to the file in `STATE_ENGINE_FAILPOINT_LOG`. With
//! `STATE_ENGINE_FAILPOINT_PANICS` it panics there instead. Names: `after-claim`, `after-send`,
//! `before-commit`, `before-reply`.

/// Stops the process here if the environment says so.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) const fn hit(_name: &str) {}

#[cfg(feature = "failpoints")]
pub(crate) use armed::hit;

#[cfg(feature = "failpoints")]
mod armed {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Point {
        name: String,
        passage: u64,
        passed: AtomicU64,
        panics: bool,
    }

    /// Stops the process here if the environment says so.
    pub(crate) fn hit(name: &str) {
        static POINT: OnceLock<Option<Point>> = OnceLock::new();
        let Some(point) = POINT.get_or_init(from_environment) else { return };
        if point.name != name || point.passed.fetch_add(1, Ordering::SeqCst) + 1 != point.passage {
            return;
        }
        log(name);
        assert!(!point.panics, "the failpoint {name} was to panic");
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    fn from_environment() -> Option<Point> {
        let value = std::env::var("STATE_ENGINE_FAILPOINT").ok()?;
        let (name, passage) = match value.split_once(':') {
            Some((name, passage)) => (name, passage.parse().ok()?),
            None => (value.as_str(), 1),
        };
        let panics = std::env::var_os("STATE_ENGINE_FAILPOINT_PANICS").is_some();
        Some(Point { name: name.to_owned(), passage, passed: AtomicU64::new(0), panics })
    }

    fn log(name: &str) {
        let Some(path) = std::env::var_os("STATE_ENGINE_FAILPOINT_LOG") else { return };
        if let Ok(mut log) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            let _ = writeln!(log, "{name}");
        }
    }
}
