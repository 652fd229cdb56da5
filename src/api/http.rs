//! Handles one HTTP request: refuses it, or routes it to methods, health, metrics or pages.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Frame;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use jsonrpsee::types::Id;

use super::dispatch::{bytes, refusal};
use super::error::{Code, Error};
use super::memory::{hold, shrink};
use super::response::{JSON, ResponseBody, TEXT, respond};
use super::{Api, guard, health, pages};

/// The largest body of a request, in bytes.
pub(crate) const MAX_BODY: usize = 10 * 1024 * 1024;

/// How many bytes of a body that is too large are read beyond [`MAX_BODY`].
const MAX_DISCARD: usize = 64 * 1024 * 1024;

/// Read timeout of a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// RFC 8555, 9.1.
const PEM: &str = "application/pem-certificate-chain";

const NO_CA: &str = "no CA: add hosts with --intercept\n";

const WELCOME: &str = "openclaw-state-engine: JSON-RPC 2.0 by POST (rpc.discover lists the methods), \
                       GET /healthz, /readyz, /metrics, \
                       /events; a browser gets the dashboard\n";

impl Api {
    /// Answers one request. A call that changes something runs to its end even if the caller hangs
    /// up and this future is dropped.
    pub(crate) async fn handle<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        let allowed_origin = match self
            .guard
            .check_host(headers, parts.uri.authority())
            .and_then(|()| self.guard.check_origin(headers))
        {
            Ok(allowed_origin) => allowed_origin,
            Err(error) => return self.refuse(error),
        };
        let mut response = match (&parts.method, parts.uri.path()) {
            (&Method::POST, _) => match self.rpc(headers, body).await {
                Ok(answer) => respond(StatusCode::OK, JSON, answer),
                Err(error) => self.refuse(error),
            },
            (&Method::GET | &Method::HEAD, path) => match self.get_page(path, headers) {
                Ok(response) => response,
                Err(error) => self.refuse(error),
            },
            (&Method::OPTIONS, _) => preflight(allowed_origin.is_some()),
            _ => not_allowed(),
        };
        if let Some(origin) = allowed_origin {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        response
    }

    async fn rpc<B>(&self, headers: &hyper::HeaderMap, body: B) -> Result<Bytes, Error>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.authorize(headers)?;
        guard::media_type(headers)?;
        let waits_for_100 = headers.contains_key(header::EXPECT);
        let announced = body.size_hint().exact().map_or(MAX_BODY, |size| size as usize);
        let mut room = self.memory.admit(announced.min(MAX_BODY)).await?;
        let body = read_body(body, waits_for_100).await?;
        shrink(&mut room, body.len());
        let answer = self.dispatcher.answer(body).await;
        drop(room);
        Ok(hold(answer))
    }

    fn get_page(
        &self,
        path: &str,
        headers: &hyper::HeaderMap,
    ) -> Result<Response<ResponseBody>, Error> {
        Ok(match path {
            "/healthz" => respond(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => {
                let proxy = self.proxy.get().map(String::as_str);
                health::ready(&self.store.health(), self.is_draining(), proxy)
            }
            "/" if !pages::wants_html(headers) => respond(StatusCode::OK, TEXT, WELCOME),
            // Public: it is the certificate that clients must trust.
            "/ca.pem" => match self.ca.get() {
                Some(pem) => respond(StatusCode::OK, PEM, pem.clone()),
                None => respond(StatusCode::NOT_FOUND, TEXT, NO_CA),
            },
            "/metrics" => {
                self.authorize(headers)?;
                health::metrics(&self.registry)
            }
            "/events" => {
                self.authorize(headers)?;
                self.feed.open(headers)?
            }
            "/sign-in" => {
                self.guard.check_token(headers)?;
                self.sign_ins.sign_in_with_token()
            }
            _ => match (path.strip_prefix("/sign-in/"), pages::get(path, headers)) {
                (Some(ticket), _) => self.sign_ins.sign_in_with_ticket(ticket),
                (None, Some(page)) => page,
                (None, None) => respond(StatusCode::NOT_FOUND, TEXT, WELCOME),
            },
        })
    }

    /// Requires the token, or the cookie and key of a sign-in with it.
    fn authorize(&self, headers: &hyper::HeaderMap) -> Result<(), Error> {
        self.guard
            .check_token(headers)
            .or_else(|error| if self.sign_ins.admits(headers) { Ok(()) } else { Err(error) })
    }

    /// Answers a request that was refused before it was read as JSON-RPC.
    fn refuse(&self, error: Error) -> Response<ResponseBody> {
        self.dispatcher.metrics.record_api_refusal(error.code);
        let code = error.code;
        let mut response = respond(code.status(), JSON, bytes(refusal(Id::Null, error)));
        if code == Code::Unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"openclaw-state-engine\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Reads a whole body. Reads and discards the rest of one that is too large, because many clients
/// would see a reset connection and never the answer; not if the client waits for a 100 first.
async fn read_body<B>(mut body: B, waits_for_100: bool) -> Result<Bytes, Error>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let message = format!("the body is larger than {MAX_BODY} bytes: send less");
        Err(Error::new(Code::Limit, message))
    };
    let announced = body.size_hint().lower();
    if announced > (MAX_BODY + MAX_DISCARD) as u64 || (waits_for_100 && announced > MAX_BODY as u64)
    {
        return too_large();
    }
    let reading = async {
        match Limited::new(&mut body, MAX_BODY).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                let _ = Limited::new(&mut body, MAX_DISCARD).map_frame(drop_data).collect().await;
                too_large()
            }
            Err(_) => Err(Error::new(Code::ParseError, "the body is incomplete")),
        }
    };
    tokio::time::timeout(BODY_TIMEOUT, reading).await.unwrap_or_else(|_| {
        let message = format!("the body took longer than {BODY_TIMEOUT:?}: send it again");
        Err(Error::new(Code::BodyStalled, message))
    })
}

/// Discards the data of a frame.
fn drop_data(frame: Frame<Bytes>) -> Frame<Bytes> {
    frame.map_data(|_| Bytes::new())
}

/// Answers a preflight: a page of a different origin may send JSON only if `--allow-origin` allows
/// it. Without the headers the browser reads the answer as a no.
fn preflight(allowed: bool) -> Response<ResponseBody> {
    let mut response = not_allowed();
    if allowed {
        *response.status_mut() = StatusCode::NO_CONTENT;
        *response.body_mut() = Empty::new().boxed_unsync();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD, POST"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("content-type, authorization, last-event-id"),
        );
    }
    response
}

fn not_allowed() -> Response<ResponseBody> {
    let mut response =
        respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "use POST with a JSON-RPC 2.0 request\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn bodies_are_bounded() {
        let whole = vec![b' '; MAX_BODY];
        let most = read_body(Full::new(Bytes::from(whole.clone())), true).await.unwrap();
        assert_eq!(most.len(), MAX_BODY);
        let mut over = whole;
        over.push(b' ');
        let error = read_body(Full::new(Bytes::from(over.clone())), true).await.unwrap_err();
        assert_eq!(error.code, Code::Limit);

        let (first, rest) = over.split_at(MAX_BODY / 2);
        let frames = [first, rest]
            .map(|part| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(part))));
        let chunked = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        assert_eq!(read_body(chunked, false).await.unwrap_err().code, Code::Limit);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let stalled = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, std::io::Error>,
        >());
        assert_eq!(read_body(stalled, false).await.unwrap_err().code, Code::BodyStalled);
    }

    #[test]
    fn preflights() {
        assert_eq!(preflight(false).status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(!preflight(false).headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS));
        assert_eq!(preflight(true).status(), StatusCode::NO_CONTENT);
    }
}
