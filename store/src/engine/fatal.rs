//! The end of a process whose database can no longer be trusted.

/// Ends the process at once, with status 70 (`EX_SOFTWARE` of sysexits.h), without answering
/// anybody: after a failed fsync the kernel may call pages clean that never reached the disk, so
/// nothing that is retried on them proves anything. The next start recovers from what is there.
#[expect(
    clippy::exit,
    reason = "nothing may be answered any more, and no destructor may run a commit"
)]
pub(crate) fn die(reason: &str) -> ! {
    tracing::error!(reason, "the store cannot go on; the process ends");
    std::process::exit(70)
}

/// Panics in a build for crash tests whose environment names this place.
#[cfg(feature = "failpoints")]
pub(crate) fn panic_point(name: &str) {
    let asked = std::env::var("STATE_ENGINE_TEST_PANIC");
    assert!(!asked.is_ok_and(|asked| asked == name), "a test asked for it");
}

#[cfg(not(feature = "failpoints"))]
pub(crate) const fn panic_point(_name: &str) {}

/// Runs a thread of the store; its panic is the end of the process.
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
