//! The proxy through the real binary: what a request, a key and a connection get, byte by byte.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it must be"
)]

mod canaries;
mod codings;
mod doubt;
mod duplicates;
mod framing;
mod fresh;
mod headers;
mod http2;
mod keys;
mod last_words;
mod limits;
mod once;
mod outcomes;
mod passing;
mod repeat;
mod scope;
mod signatures;
mod signed_in;
mod signing_schemes;
mod silence;
mod streams;
mod tls;
mod traces;
mod trailers;
mod tries;
mod tunnel;
mod undelivered;
mod upstream_proxy;
mod wire;
