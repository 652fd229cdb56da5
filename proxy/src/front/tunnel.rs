//! CONNECT: the first bytes of a tunnel decide what it is.
//!
//! The upstream is dialled at once, so that a refusal is a real 502. Then the side that speaks
//! first decides: if a client begins with an HTTP request, each of its requests is guarded, in the
//! tunnel's scope. Anything else (TLS above all), and a server that speaks first, is passed on
//! unread and audited by host. No timer decides: it would leave a slow agent unguarded.
//!
//! A tunnel to a host that is to be intercepted is answered without dialling. TLS that begins in it
//! ends here, and its requests are guarded like those in clear.
//!
//! A tunnel to the proxy itself is a connection to it that has credentials from its beginning:
//! requests inside, CONNECT too, need no further ones.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use proxy_core::error::Error;
use proxy_core::http::first_bytes::{FirstBytes, first_bytes};
use proxy_core::http::target::{Authority, Scheme};
use proxy_core::identity::credentials::ProxyCredentials;
use proxy_core::identity::metadata::read_metadata;
use store::decision::Decision;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::{self, Client, Protocol};
use super::copy::copy_both_ways;
use super::link::{ClientLink, ConnectionSlot, Tunnel, TunnelTarget};
use super::rewind::Rewind;
use super::tunnel_places::TunnelPlace;
use crate::context::ProxyContext;
use crate::quick_ack::QuickAck;
use crate::steps::reply::Reply;
use crate::steps::respond::own;
use crate::tls::HTTP2;

/// How long a tunnel that may be intercepted waits for its client before the upstream is dialled,
/// to find out whether it speaks first. What the client sends after that still decides.
const SILENCE: Duration = Duration::from_secs(2);

/// Opens a tunnel to `authority`.
pub(crate) async fn open(
    context: &Arc<ProxyContext>,
    link: &ClientLink,
    mut request: Request<Incoming>,
    authority: Authority,
) -> Result<Reply, Error> {
    let outer = link.credentials();
    let metadata = context.with_tokens(|tokens| read_metadata(request.headers(), outer, tokens))?;
    if context.own.is(&authority) {
        // A tunnel to the proxy inside a tunnel to the proxy: the nesting would have no end.
        if link.tunnel.is_some() {
            let why = "a tunnel to this proxy cannot contain another one";
            return Err(Error::Unsupported(why.to_owned()));
        }
        let client = hyper::upgrade::on(&mut request);
        let slot = Arc::clone(&link.slot);
        spawn(context, link, to_proxy(Arc::clone(context), client, metadata.credentials, slot));
        return Ok(own::connected());
    }
    if !context.leads_to_api(link, metadata.credentials.as_ref(), &authority) {
        // The user's own proxy would connect to any address.
        context.upstreams.dialer.check(Scheme::Https, &authority)?;
        context.tunnels.check_port(&authority)?;
    }
    let place = context.tunnels.places.take()?;
    let intercepted =
        context.tunnels.interceptor.as_ref().is_some_and(|one| one.covers(&authority));
    // Duplicates need no upstream: it is dialled when a request is to be sent there.
    let upstream =
        if intercepted { None } else { Some(context.upstreams.dialer.tunnel(&authority).await?) };
    let tunnel = UpstreamTunnel {
        target: TunnelTarget { scheme: Scheme::Http, authority, credentials: metadata.credentials },
        intercepted,
        upstream,
        place,
        slot: Arc::clone(&link.slot),
    };
    let client = hyper::upgrade::on(&mut request);
    spawn(context, link, tunnel.carry(Arc::clone(context), client));
    Ok(own::connected())
}

/// Carries a tunnel until it ends or the proxy closes.
fn spawn(
    context: &ProxyContext,
    link: &ClientLink,
    work: impl Future<Output = ()> + Send + 'static,
) {
    link.turn.upgrade();
    let closing = context.lifecycle.closing.clone();
    context.lifecycle.tunnels.spawn(async move {
        let _ = closing.run_until_cancelled(work).await;
    });
}

async fn to_proxy(
    context: Arc<ProxyContext>,
    client: OnUpgrade,
    credentials: Option<ProxyCredentials>,
    slot: Arc<ConnectionSlot>,
) {
    let Ok(client) = client.await else { return };
    let tunnel = Tunnel::ToProxy(credentials);
    serve(context, TokioIo::new(client), tunnel, Protocol::Http1, slot).await;
}

/// Serves HTTP inside a tunnel.
async fn serve<I>(
    context: Arc<ProxyContext>,
    io: I,
    tunnel: Tunnel,
    protocol: Protocol,
    slot: Arc<ConnectionSlot>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _counted = context.lifecycle.connections.token();
    let client = Client { tunnel: Some(Arc::new(tunnel)), protocol, slot, abort: drop };
    connection::serve(context, io, client).await;
}

/// A tunnel to an upstream.
struct UpstreamTunnel {
    target: TunnelTarget,
    intercepted: bool,
    /// `None`: not dialled yet.
    upstream: Option<TcpStream>,
    /// Given up once the tunnel carries guarded calls.
    place: TunnelPlace,
    slot: Arc<ConnectionSlot>,
}

impl UpstreamTunnel {
    async fn carry(mut self, context: Arc<ProxyContext>, client: OnUpgrade) {
        let Ok(client) = client.await else { return };
        let mut client = TokioIo::new(client);
        let mut received = Vec::new();
        let Ok(first) = self.first_bytes(&context, &mut client, &mut received).await else {
            return;
        };
        let client = Rewind::new(received.into(), client);
        match first {
            FirstBytes::Http => {
                let Self { target, upstream, place, slot, .. } = self;
                drop(place);
                if let Some(upstream) = upstream {
                    context.upstreams.pool.keep(&target.authority, upstream).await;
                }
                serve(context, client, Tunnel::ToUpstream(target), Protocol::Http1, slot).await;
            }
            FirstBytes::Tls if self.intercepted => self.intercept(context, client).await,
            FirstBytes::Tls | FirstBytes::Other => self.pass(&context, client).await,
            FirstBytes::Undecided => {}
        }
    }

    /// Ends the client's TLS here and guards its requests.
    async fn intercept<I>(self, context: Arc<ProxyContext>, client: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { target, place, slot, .. } = self;
        drop(place);
        let Some(interceptor) = &context.tunnels.interceptor else { return };
        let limit = context.timeouts.request_head;
        let Some(client) = interceptor.accept(client, &target.authority, limit).await else {
            return;
        };
        let protocol = match client.get_ref().1.alpn_protocol() {
            Some(HTTP2) => Protocol::Http2,
            _ => Protocol::Http1,
        };
        let tunnel = Tunnel::ToUpstream(TunnelTarget { scheme: Scheme::Https, ..target });
        serve(context, client, tunnel, protocol, slot).await;
    }

    /// Passes the bytes on unread, both ways.
    async fn pass(self, context: &ProxyContext, client: impl AsyncRead + AsyncWrite + Unpin) {
        let authority = &self.target.authority;
        let Some(_place) = context.tunnels.places.settle(self.place) else {
            tracing::warn!(host = %authority, "too many tunnels are open: closed another");
            return;
        };
        context.store.count(Decision::Tunnel, &authority.host);
        let upstream = match self.upstream {
            Some(upstream) => Ok(upstream),
            None => context.upstreams.dialer.tunnel(authority).await,
        };
        if let Ok(upstream) = upstream {
            let idle = context.timeouts.tunnel_idle;
            copy_both_ways(client, QuickAck::new(upstream), idle).await;
        }
    }

    /// Waits until it is clear what the tunnel carries. `received` gets what the client has sent so
    /// far. An upstream that was not dialled yet is dialled if the client stays silent.
    /// `Undecided`: nobody spoke before one side closed.
    async fn first_bytes(
        &mut self,
        context: &ProxyContext,
        client: &mut (impl AsyncRead + Unpin),
        received: &mut Vec<u8>,
    ) -> io::Result<FirstBytes> {
        if self.upstream.is_none() {
            match timeout(SILENCE, client.read_buf(received)).await {
                Ok(Ok(0)) => return Ok(FirstBytes::Undecided),
                Ok(read) => drop(read?),
                Err(_) => {
                    let dialled = context.upstreams.dialer.tunnel(&self.target.authority).await;
                    self.upstream = Some(dialled.map_err(io::Error::other)?);
                }
            }
        }
        if let (true, Some(upstream)) = (received.is_empty(), &self.upstream) {
            let mut peeked = [0];
            tokio::select! {
                biased;
                read = client.read_buf(received) => {
                    if read? == 0 {
                        return Ok(FirstBytes::Undecided);
                    }
                }
                spoken = upstream.peek(&mut peeked) => {
                    let closed = spoken? == 0;
                    return Ok(if closed { FirstBytes::Undecided } else { FirstBytes::Other });
                }
            }
        }
        let rest = async {
            loop {
                match first_bytes(received) {
                    FirstBytes::Undecided if client.read_buf(received).await? > 0 => {}
                    decided => return Ok(decided),
                }
            }
        };
        // It began like a request: from here on the timeout of a request's head holds, and nothing
        // makes it unguarded.
        timeout(context.timeouts.request_head, rest).await?
    }
}
