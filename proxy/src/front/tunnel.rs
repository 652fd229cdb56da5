//! CONNECT: a tunnel is what its first bytes make it.
//!
//! The upstream is dialled at once, so that a refusal is a real 502. Then whoever speaks first
//! decides: a client that begins with an HTTP request gets each of its requests guarded, in the
//! tunnel's scope; anything else (TLS above all), and a server that speaks first, is carried
//! blindly and audited by host. No timer decides: it would leave a slow agent unguarded.
//!
//! A tunnel to a host that is to be intercepted is answered without dialling, and TLS that begins
//! in it is ours: its requests are guarded like those in clear.
//!
//! A tunnel to the proxy itself is a connection to it that has credentials from its beginning: what
//! comes in it, CONNECT too, needs none of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use proxy_core::error::Error;
use proxy_core::http::target::{Authority, Scheme};
use proxy_core::identity::metadata::asked;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::context::ProxyContext;
use crate::front::connection::{self, Protocol};
use crate::front::link::{Inside, Link, Slot};
use crate::front::rewind::Rewind;
use crate::steps::reply::Reply;
use crate::steps::respond::own;
use crate::tls::HTTP2;
use crate::upstream::dial;

/// For how long a tunnel that may be opened waits for its client, before the upstream is dialled to
/// hear whether it speaks first. What the client says after that still decides.
const SILENCE: Duration = Duration::from_secs(2);

/// Opens a tunnel to `authority`.
pub(crate) async fn open(
    context: &Arc<ProxyContext>,
    link: &Link,
    mut request: Request<Incoming>,
    authority: Authority,
) -> Result<Reply, Error> {
    let outer = link.inside.as_deref();
    let asked = asked(
        request.headers(),
        outer.and_then(|outer| outer.credentials.as_ref()),
        context.config.require_token,
        &context.check_token(),
    )?;
    let own = context.is_own(&authority);
    // Each would lie in the one before, without an end.
    if own && outer.is_some() {
        let why = "a tunnel to this proxy carries no other one to it";
        return Err(Error::Unsupported(why.to_owned()));
    }
    if !own {
        // A proxy of the user's would connect wherever it is told to.
        context.guard.check_literal(&authority)?;
        check_port(context, &authority)?;
    }
    let (ours, upstream) = if own {
        (Ours::Own, None)
    } else if context.interceptor.as_ref().is_some_and(|one| one.covers(&authority)) {
        // Duplicates need no upstream: it is dialled when a request is to be sent there.
        (Ours::Intercepted, None)
    } else {
        let limit = context.config.timeouts.connect;
        (Ours::No, Some(dial::dial(&context.guard, &authority, limit).await?))
    };
    let client = hyper::upgrade::on(&mut request);
    let credentials = asked.credentials;
    let inside = Inside { own, scheme: Scheme::Http, authority, credentials };
    link.turn.upgrade();
    let slot = Arc::clone(&link.slot);
    let work = carry(Arc::clone(context), client, ours, upstream, inside, slot);
    let closing = context.closing.clone();
    context.tunnels.spawn(async move {
        let _ = closing.run_until_cancelled(work).await;
    });
    Ok(own::connected())
}

fn check_port(context: &ProxyContext, authority: &Authority) -> Result<(), Error> {
    let allowed = &context.config.connect_ports;
    if allowed.is_empty() || allowed.contains(&authority.port) {
        return Ok(());
    }
    let named: Vec<String> = allowed.iter().map(u16::to_string).collect();
    Err(Error::Refused(format!(
        "tunnels lead to the ports {} alone (connect_ports), and not to {authority}",
        named.join(", ")
    )))
}

/// What of a tunnel is the engine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    No,
    /// Its TLS.
    Intercepted,
    /// It leads to the proxy itself.
    Own,
}

async fn carry(
    context: Arc<ProxyContext>,
    client: OnUpgrade,
    ours: Ours,
    mut upstream: Option<TcpStream>,
    inside: Inside,
    slot: Slot,
) {
    let Ok(client) = client.await else { return };
    let mut client = TokioIo::new(client);
    if ours == Ours::Own {
        let _counted = context.connections.token();
        let inside = Some(inside.into());
        return connection::serve(context.clone(), client, inside, Protocol::Http1, slot, drop)
            .await;
    }
    let mut begun = Vec::new();
    let speech = first_word(&context, &mut client, &mut upstream, &inside, &mut begun).await;
    let Ok(speech) = speech else { return };
    let client = Rewind::new(begun.into(), client);
    match speech {
        Speech::Http => {
            if let Some(upstream) = upstream {
                context.pool.keep(&inside.authority, upstream).await;
            }
            let _counted = context.connections.token();
            let inside = Some(inside.into());
            connection::serve(context.clone(), client, inside, Protocol::Http1, slot, drop).await;
        }
        Speech::Tls if ours == Ours::Intercepted => {
            intercepted(context, client, inside, slot).await;
        }
        Speech::Tls | Speech::Blind => blind(&context, client, upstream, &inside.authority).await,
        Speech::Undecided => {}
    }
}

/// The client's TLS ends here, and its requests are guarded.
async fn intercepted<I>(context: Arc<ProxyContext>, client: I, inside: Inside, slot: Slot)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(interceptor) = &context.interceptor else { return };
    let limit = context.config.timeouts.request_head;
    let Some(client) = interceptor.accept(client, &inside.authority, limit).await else { return };
    let protocol = match client.get_ref().1.alpn_protocol() {
        Some(HTTP2) => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let inside = Inside { scheme: Scheme::Https, ..inside };
    let _counted = context.connections.token();
    connection::serve(context.clone(), client, Some(inside.into()), protocol, slot, drop).await;
}

/// Bytes as they come, both ways.
async fn blind(
    context: &ProxyContext,
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: Option<TcpStream>,
    authority: &Authority,
) {
    context.config.store.count("tunnel", &authority.host);
    let upstream = match upstream {
        Some(upstream) => Ok(upstream),
        None => dial::dial(&context.guard, authority, context.config.timeouts.connect).await,
    };
    if let Ok(mut upstream) = upstream {
        let _ = copy_bidirectional(&mut client, &mut upstream).await;
    }
}

/// What a tunnel's first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http,
    Tls,
    Blind,
    /// More bytes are needed; as a result: nobody spoke to the end.
    Undecided,
}

/// Waits until it is clear what the tunnel carries; `begun` gets what the client has sent so far.
/// An upstream that was not dialled yet is, if the client stays silent.
async fn first_word(
    context: &ProxyContext,
    client: &mut (impl AsyncRead + Unpin),
    upstream: &mut Option<TcpStream>,
    inside: &Inside,
    begun: &mut Vec<u8>,
) -> io::Result<Speech> {
    if upstream.is_none() {
        match timeout(SILENCE, client.read_buf(begun)).await {
            Ok(Ok(0)) => return Ok(Speech::Undecided),
            Ok(read) => drop(read?),
            Err(_) => {
                let limit = context.config.timeouts.connect;
                let dialled = dial::dial(&context.guard, &inside.authority, limit).await;
                *upstream = Some(dialled.map_err(io::Error::other)?);
            }
        }
    }
    if let (true, Some(upstream)) = (begun.is_empty(), upstream) {
        let mut peeked = [0];
        tokio::select! {
            biased;
            read = client.read_buf(begun) => if read? == 0 { return Ok(Speech::Undecided) },
            spoken = upstream.peek(&mut peeked) => {
                return Ok(if spoken? == 0 { Speech::Undecided } else { Speech::Blind });
            }
        }
    }
    let rest = async {
        loop {
            match first_bytes(begun) {
                Speech::Undecided if client.read_buf(begun).await? > 0 => {}
                decided => return Ok(decided),
            }
        }
    };
    // Begun like a request: from here on a request's own deadline holds, and nothing unguards it.
    timeout(context.config.timeouts.request_head, rest).await?
}

/// The longest method that is taken for one, and the longest request line, in bytes.
const LONGEST_METHOD: usize = 64;
const LONGEST_LINE: usize = 80 * 1024;
/// The most bytes of empty lines before it.
const MOST_BLANK: usize = 8;

/// The first byte of a TLS connection: a record of the handshake (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// A request line (`METHOD target HTTP/1.x`) is HTTP; a line that only might be one is left to
/// the parser, which refuses it; everything else is none of our business.
fn first_bytes(begun: &[u8]) -> Speech {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    // Empty lines before a request line are allowed (RFC 9112, 2.2).
    let blank = begun.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let line = &begun[blank..];
    if begun.first() == Some(&HANDSHAKE) {
        return Speech::Tls;
    }
    if line.is_empty() {
        return if blank <= MOST_BLANK { Speech::Undecided } else { Speech::Blind };
    }
    let method = line.iter().take_while(|byte| is_token(byte)).count();
    match line.get(method) {
        _ if method == 0 || method > LONGEST_METHOD => Speech::Blind,
        None => Speech::Undecided,
        Some(b' ') => match line.iter().position(|byte| *byte == b'\n') {
            None if line.len() > LONGEST_LINE => Speech::Http,
            None => Speech::Undecided,
            Some(end) if line.starts_with(b"PRI * HTTP/2.0") && end < 20 => Speech::Blind,
            Some(end) if line[..end].windows(6).any(|part| part == b" HTTP/") => Speech::Http,
            Some(_) => Speech::Blind,
        },
        Some(_) => Speech::Blind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_what_its_first_bytes_are() {
        for http in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"POST /pay HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\nPURGE /x HTTP/1.0\n",
            b"POST /a b HTTP/1.1 \r\n",
        ] {
            assert_eq!(first_bytes(http), Speech::Http, "{http:?}");
        }
        for blind in [
            &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
            b"SSH-2.0-OpenSSH_9\r\n",
            b"SET key value\r\n",
            b"\x00\x00",
            b" x",
        ] {
            assert_eq!(first_bytes(blind), Speech::Blind, "{blind:?}");
        }
        assert_eq!(first_bytes(b"\x16\x03\x01\x02\x00"), Speech::Tls);
        for undecided in [&b""[..], b"PO", b"POST /pay HT", b"\r\n"] {
            assert_eq!(first_bytes(undecided), Speech::Undecided, "{undecided:?}");
        }
    }
}
