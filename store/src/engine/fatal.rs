//! Ends a process whose database can no longer be trusted.

/// Ends the process at once with status 70 (`EX_SOFTWARE` of sysexits.h), without answering anybody. After a
/// failed fsync the kernel may mark pages as clean that never reached the disk, so a successful retry would
/// prove nothing. The next start recovers from what is on disk.
#[expect(clippy::exit, reason = "nobody may be answered any more, and no destructor may commit")]
pub(crate) fn die(reason: &str) -> ! {
    tracing::error!(reason, "the store cannot continue; the process ends");
    std::process::exit(70)
}

/// Panics in a build for crash tests if the environment names this point.
#[cfg(feature = "failpoints")]
pub(crate) fn panic_point(name: &str) {
    let requested = std::env::var("STATE_ENGINE_TEST_PANIC");
    assert!(!requested.is_ok_and(|requested| requested == name), "requested by a test");
}

#[cfg(not(feature = "failpoints"))]
pub(crate) const fn panic_point(_name: &str) {}

/// Runs a thread of the store. If it panics, the process ends.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let label = name.to_owned();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
            die(&format!("the thread {label} panicked"));
        }
    })
}
