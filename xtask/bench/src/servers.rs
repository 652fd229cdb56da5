//! The upstream that all rows share, and the bare hop that they are compared with. Both only use hyper.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::TestCa;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Answers a POST with its body and a GET with its path in 512 bytes, and counts both.
pub(super) struct Upstream {
    pub(super) addr: SocketAddr,
    /// The address of the same server behind TLS, for `localhost`, with a certificate that `ca` has signed.
    pub(super) secured: SocketAddr,
    pub(super) ca: TestCa,
    hits: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl Upstream {
    pub(super) fn start() -> anyhow::Result<Self> {
        let hits = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&hits);
        let answer = move |request: Request<Incoming>| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                let get = *request.method() == Method::GET;
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await?.to_bytes();
                Ok(Response::new(Full::new(if get {
                    Bytes::from(format!("{path:512}"))
                } else {
                    body
                })))
            }
        };
        let ca = TestCa::new();
        let acceptor = TlsAcceptor::from(ca.sign(&["localhost"]).server(&["http/1.1"]));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let addr = serve(&runtime, answer.clone(), None)?;
        let secured = serve(&runtime, answer, Some(acceptor))?;
        Ok(Self { addr, secured, ca, hits, _runtime: runtime })
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}

/// A proxy that only forwards: the minimum cost of a hop.
pub(super) struct Hop {
    pub(super) addr: SocketAddr,
    _runtime: Runtime,
}

impl Hop {
    pub(super) fn start() -> anyhow::Result<Self> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let answer = move |request: Request<Incoming>| {
            let client = client.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let answer = client.request(Request::from_parts(head, Full::new(body))).await;
                let Ok(answer) = answer else {
                    let mut bad = Response::new(Full::new(Bytes::new()));
                    *bad.status_mut() = StatusCode::BAD_GATEWAY;
                    return Ok(bad);
                };
                let (head, body) = answer.into_parts();
                Ok(Response::from_parts(head, Full::new(body.collect().await?.to_bytes())))
            }
        };
        let addr = serve(&runtime, answer, None)?;
        Ok(Self { addr, _runtime: runtime })
    }
}

fn serve<F>(
    runtime: &Runtime,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    acceptor: Option<TlsAcceptor>,
) -> anyhow::Result<SocketAddr>
where
    F: Future<Output = Result<Response<Full<Bytes>>, hyper::Error>> + Send,
{
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let addr = listener.local_addr()?;
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (answer, acceptor) = (answer.clone(), acceptor.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async move {
                        Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| {
                            let mut bad = Response::new(Full::new(Bytes::new()));
                            *bad.status_mut() = StatusCode::BAD_GATEWAY;
                            bad
                        }))
                    }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let Some(acceptor) = acceptor else {
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    return;
                };
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                }
            });
        }
    });
    Ok(addr)
}
