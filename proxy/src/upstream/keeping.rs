//! Which hosts keep their connections open, and so which kept connections a call may take.
//!
//! A tool may close a connection right behind its answer. A request that is written at that very
//! moment ends without an answer, and it is not known whether it ran. A read is repeated then. A
//! call that acts cannot be, so it takes a kept connection only if its host is known to keep them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proxy_core::http::target::Authority;

/// A connection that its host has left open for so long after an answer was not closed behind it.
const PROOF: Duration = Duration::from_millis(100);

/// A connection that its host has closed sooner than this after an answer was closed behind it.
const EARLY: Duration = Duration::from_secs(1);

/// How long a host is remembered as one that closes connections, or speaks HTTP/1.1 only.
const REMEMBERED: Duration = Duration::from_mins(10);

/// How many hosts are remembered. Past it all are forgotten: a call takes a fresh connection then.
const HOSTS: usize = 4_096;

/// Which connections a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// A kept one, however long it was idle.
    Any,
    /// A kept one of a host that keeps connections, which was idle for at most so long.
    Proven(Duration),
    /// A fresh one only.
    Fresh,
}

/// What is known about the hosts.
#[derive(Debug, Default)]
pub(super) struct Habits {
    connections: HashMap<Authority, Habit>,
    /// The hosts that have refused HTTP/2, and until when that holds.
    http1: HashMap<Authority, Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Habit {
    /// A kept connection has carried a second request.
    Keeps,
    /// A connection was closed behind an answer.
    ClosesUntil(Instant),
}

impl Habits {
    /// How long a kept connection must have been open after its last answer, so that it may be
    /// taken. `None`: none may.
    pub(super) fn least_idle(&self, authority: &Authority, reuse: Reuse) -> Option<Duration> {
        match (reuse, self.connections.get(authority)) {
            (Reuse::Fresh, _) => None,
            (Reuse::Any, _) | (_, Some(Habit::Keeps)) => Some(Duration::ZERO),
            (_, Some(Habit::ClosesUntil(end))) if *end > Instant::now() => None,
            _ => Some(PROOF),
        }
    }

    /// A kept connection has carried another request.
    pub(super) fn note_kept(&mut self, authority: &Authority) {
        let closes =
            |habit: &Habit| matches!(habit, Habit::ClosesUntil(end) if *end > Instant::now());
        if !self.connections.get(authority).is_some_and(closes) {
            remember(&mut self.connections, authority, Habit::Keeps);
        }
    }

    /// A kept connection was found closed, `idle` after its last answer.
    pub(super) fn note_closed(&mut self, authority: &Authority, idle: Duration) {
        if idle < EARLY {
            self.note_lost(authority);
        }
    }

    /// A request on a kept connection got no answer.
    pub(super) fn note_lost(&mut self, authority: &Authority) {
        let closes = Habit::ClosesUntil(Instant::now() + REMEMBERED);
        remember(&mut self.connections, authority, closes);
    }

    /// Whether the host has refused HTTP/2.
    pub(super) fn needs_http1(&self, authority: &Authority) -> bool {
        self.http1.get(authority).is_some_and(|end| *end > Instant::now())
    }

    pub(super) fn note_http1(&mut self, authority: &Authority) {
        remember(&mut self.http1, authority, Instant::now() + REMEMBERED);
    }
}

fn remember<T>(hosts: &mut HashMap<Authority, T>, authority: &Authority, what: T) {
    if let Some(known) = hosts.get_mut(authority) {
        *known = what;
        return;
    }
    if hosts.len() >= HOSTS {
        hosts.clear();
    }
    hosts.insert(authority.clone(), what);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTING: Reuse = Reuse::Proven(EARLY);

    fn host(number: usize) -> Authority {
        Authority::new(format!("h{number}.example"), 80)
    }

    #[test]
    fn a_host_must_have_kept_a_connection() {
        let mut habits = Habits::default();
        assert_eq!(habits.least_idle(&host(1), ACTING), Some(PROOF));
        habits.note_kept(&host(1));
        assert_eq!(habits.least_idle(&host(1), ACTING), Some(Duration::ZERO));
        assert_eq!(habits.least_idle(&host(2), ACTING), Some(PROOF), "another host");
        habits.note_closed(&host(1), EARLY * 5);
        assert_eq!(habits.least_idle(&host(1), ACTING), Some(Duration::ZERO), "an idle limit");
        habits.note_closed(&host(1), PROOF);
        habits.note_kept(&host(1));
        assert_eq!(habits.least_idle(&host(1), ACTING), None, "one that closes, for a while");
        assert_eq!(habits.least_idle(&host(1), Reuse::Any), Some(Duration::ZERO));
    }

    #[test]
    fn the_memory_of_hosts_is_bounded() {
        let mut habits = Habits::default();
        for number in 0..HOSTS + 10 {
            habits.note_kept(&host(number));
            habits.note_http1(&host(number));
        }
        assert!(habits.connections.len() <= HOSTS && habits.http1.len() <= HOSTS);
        assert!(habits.needs_http1(&host(HOSTS + 9)) && !habits.needs_http1(&host(HOSTS + 10)));
    }
}
