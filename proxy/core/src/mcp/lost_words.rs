//! Texts of errors which say that the one who reports them does not know how the call ended, in
//! English, by word.

use crate::words::words;

/// A longer text, in bytes, is output rather than a message: only its first and its last line
/// count.
const LONGEST_MESSAGE: usize = 1_024;

/// Words that say it alone.
const ALONE: &[&str] = &[
    "timedout",
    "etimedout",
    "esockettimedout",
    "econnreset",
    "econnaborted",
    "epipe",
    "aborterror",
    "disconnected",
    "unresponsive",
];

/// Two groups of words, of which one of each says it: in any order, at most so many words apart.
const PAIRS: &[(usize, &[&str], &[&str])] = &[
    (4, &["deadline"], &["exceeded", "expired", "elapsed", "passed", "reached"]),
    (4, CARRIERS, BROKEN),
    (4, WORK, &["cancelled", "canceled", "interrupted", "aborted", "terminated", "abandoned"]),
    (3, &["unexpected", "premature", "prematurely"], &["eof", "end", "close", "closed"]),
    (3, &["without"], &["response", "answer", "reply"]),
    (3, &["service"], &["unavailable"]),
    (1, &["no"], &["response", "answer", "reply"]),
    (1, &["not", "never", "stopped"], &["respond", "responded", "responding", "answered"]),
    (1, &["gateway"], &["bad", "timeout"]),
    (1, &["internal"], &["server"]),
    (1, &["time", "timed", "times", "timing"], &["out"]),
];

/// What carries a call and its answer.
const CARRIERS: &[&str] = &[
    "connection",
    "connections",
    "socket",
    "stream",
    "transport",
    "channel",
    "pipe",
    "peer",
    "link",
    "websocket",
    "server",
    "upstream",
    "remote",
    "response",
];
const BROKEN: &[&str] = &[
    "lost",
    "reset",
    "closed",
    "dropped",
    "aborted",
    "terminated",
    "interrupted",
    "broken",
    "broke",
    "hang",
    "hung",
    "died",
    "crashed",
    "truncated",
    "incomplete",
];
const WORK: &[&str] = &["request", "operation", "task", "call", "context", "execution", "command"];

/// Words beside `timeout` which show that an argument of this name is meant.
const ARGUMENT_BEFORE: &[&str] = &[
    "invalid",
    "unknown",
    "unsupported",
    "unexpected",
    "parameter",
    "argument",
    "option",
    "missing",
];
const ARGUMENT_AFTER: &[&str] =
    &["must", "should", "cannot", "may", "parameter", "argument", "option", "value", "field"];

/// Whether an error's text says that the outcome is unknown.
pub(super) fn says_lost(text: &str) -> bool {
    if text.len() <= LONGEST_MESSAGE {
        return words_say(text);
    }
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (first, last) = (lines.next(), lines.next_back());
    [first, last].into_iter().flatten().any(words_say)
}

fn words_say(text: &str) -> bool {
    let words = words(text);
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    words.iter().enumerate().any(|(at, one)| {
        let beside = |far: usize, group: &[&str]| {
            let near = &words[at + 1..words.len().min(at + far + 1)];
            near.iter().any(|other| group.contains(&other.as_str()))
        };
        let named = || {
            at > 0 && ARGUMENT_BEFORE.contains(&word(at - 1))
                || ARGUMENT_AFTER.contains(&word(at + 1))
        };
        match one.as_str() {
            "timeout" | "timeouts" => !named(),
            "abort" | "aborted" | "aborting" => true,
            one if ALONE.contains(&one) => true,
            one => PAIRS.iter().any(|(far, left, right)| {
                left.contains(&one) && beside(*far, right)
                    || right.contains(&one) && beside(*far, left)
            }),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_does_not_know_the_end_says_so() {
        for text in [
            "timed out",
            "The read operation timed out",
            "MCP error -32001: Request timed out",
            "httpx.ReadTimeout",
            "HTTPTimeoutError: 30000ms",
            "Timeout 30000ms exceeded.",
            "timeout of 5000ms exceeded",
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            "AbortError: This operation was aborted",
            "connect ETIMEDOUT 10.0.0.7:443",
            "read ECONNRESET",
            "Connection reset by peer",
            "the server closed the connection unexpectedly",
            "Server disconnected without sending a response.",
            "socket hang up",
            "[Errno 32] Broken pipe",
            "unexpected EOF",
            "context canceled",
            "502 Bad Gateway",
            "The service did not respond in time",
            "lost connection to MySQL server during query",
            "Internal Server Error",
        ] {
            assert!(says_lost(text), "{text}");
        }
    }

    #[test]
    fn another_error_does_not() {
        for text in [
            "",
            "no such user",
            "timeout must be a positive number",
            "invalid timeout: -1",
            "Unknown option timeout",
            "permission denied",
            "connection refused",
            "the order was cancelled",
            "insufficient funds",
            "the account is closed",
            "file not found: response.json",
            "not enough time",
            "rate limit reached, retry in 5 s",
        ] {
            assert!(!says_lost(text), "{text}");
        }
    }

    #[test]
    fn of_a_long_text_the_first_and_the_last_line_count() {
        let filler = "a line of output about a timeout\n".repeat(100);
        assert!(!says_lost(&format!("3 tests failed\n{filler}done\n")));
        assert!(says_lost(&format!("Traceback\n{filler}requests.exceptions.ReadTimeout\n\n")));
        assert!(says_lost(&format!("timed out\n{filler}done")));
    }
}
