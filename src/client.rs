//! Asks the running server over its own state API, one call at a time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::config::{Token, settings};

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// jsonrpsee's code for an answer over its limit.
const TOO_LARGE: i32 = -32_008;

/// A JSON-RPC client that blocks its thread.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    http: Http<HttpConnector, Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nobody answers there.
    #[error("the server at {url} cannot be reached: {cause}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What happened.
        cause: String,
    },
    /// The server asks for a token.
    #[error("the server wants a token: give it by --token or {}", settings::TOKEN.variable())]
    Token,
    /// The server understood, and refused.
    #[error("{message}")]
    Refused {
        /// JSON-RPC's number.
        number: i32,
        /// The engine's code (`NOT_FOUND`, …), where it is one of its own.
        code: Option<String>,
        /// In words.
        message: String,
    },
    /// What came back is not what this version speaks.
    #[error("the server gave an answer that is not understood: {0}")]
    Answer(String),
}

impl Error {
    /// The engine's own code.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// The result is there and does not fit into one answer.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused { number: TOO_LARGE, .. })
    }
}

#[derive(Serialize)]
struct Ask<'a, P> {
    jsonrpc: &'static str,
    id: u32,
    method: &'a str,
    params: &'a P,
}

#[derive(Deserialize)]
struct Told {
    result: Option<Box<RawValue>>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i32,
    message: String,
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RefusalData {
    code: String,
}

impl Client {
    /// A client of the server at `url`; nothing is sent yet.
    pub(crate) fn new(url: &str, token: Option<&Token>) -> anyhow::Result<Self> {
        let authorization = token
            .map(|token| HeaderValue::from_str(&format!("Bearer {}", token.reveal())))
            .transpose()?
            .map(|mut value| {
                value.set_sensitive(true);
                value
            });
        Ok(Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            http: Http::builder(TokioExecutor::new()).build(HttpConnector::new()),
            uri: url.parse()?,
            authorization,
        })
    }

    /// Calls `method` and returns its result as the text that came (`null` included).
    pub(crate) fn call(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Box<RawValue>, Error> {
        let ask = Ask { jsonrpc: "2.0", id: 1, method, params };
        let body = serde_json::to_vec(&ask).map_err(|error| Error::Answer(error.to_string()))?;
        let body = self.runtime.block_on(async {
            let timeout = tokio::time::timeout(CALL_TIMEOUT, self.exchange(body));
            timeout.await.unwrap_or_else(|_| {
                let cause = format!("no answer within {} s", CALL_TIMEOUT.as_secs());
                Err(self.unreachable(&cause))
            })
        })?;
        let told: Told = serde_json::from_slice(&body)
            .map_err(|error| Error::Answer(format!("{method}: {error}")))?;
        let Some(refusal) = told.error else {
            return Ok(told.result.unwrap_or_else(|| RawValue::NULL.to_owned()));
        };
        let code =
            refusal.data.and_then(|data| serde_json::from_str::<RefusalData>(data.get()).ok());
        Err(Error::Refused {
            number: refusal.code,
            code: code.map(|data| data.code),
            message: refusal.message,
        })
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> String {
        self.uri.to_string().trim_end_matches('/').to_owned()
    }

    /// The body of a page, whatever its status.
    pub(crate) fn get_any(&self, path: &str) -> Result<Bytes, Error> {
        self.get_page(path).map(|(_, body)| body)
    }

    /// The body of a page; `None` where there is no such page.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Bytes>, Error> {
        match self.get_page(path)? {
            (StatusCode::OK, body) => Ok(Some(body)),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (StatusCode::UNAUTHORIZED, _) => Err(Error::Token),
            (status, _) => Err(Error::Answer(format!("{path}: HTTP status {status}"))),
        }
    }

    fn get_page(&self, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let uri = format!("{}{path}", self.url());
        let uri: Uri = uri.parse().map_err(|_| Error::Answer(format!("{uri} is no URL")))?;
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let page = async {
            let response = self.http.request(request).await.map_err(|e| root_cause(&e))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|e| e.to_string())?;
            Ok((status, body.to_bytes()))
        };
        self.runtime
            .block_on(async { tokio::time::timeout(CALL_TIMEOUT, page).await })
            .unwrap_or_else(|_| Err(format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
            .map_err(|cause: String| self.unreachable(&cause))
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<Bytes, Error> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = self
            .http
            .request(request)
            .await
            .map_err(|error| self.unreachable(&root_cause(&error)))?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(Error::Token);
        }
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| self.unreachable(&error.to_string()))?.to_bytes();
        // A request that is refused before its method is known is told why in JSON-RPC too.
        if status == StatusCode::OK || serde_json::from_slice::<Told>(&body).is_ok() {
            return Ok(body);
        }
        Err(Error::Answer(format!("HTTP status {status}")))
    }

    fn unreachable(&self, cause: &str) -> Error {
        Error::Unreachable { url: self.uri.to_string(), cause: cause.to_owned() }
    }
}

/// hyper-util's own message says no more than "client error (Connect)".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_is_unreachable() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let client = Client::new(&format!("http://{free}"), None).unwrap();
        let error = client.call("get_stats", &()).unwrap_err();
        assert!(
            matches!(&error, Error::Unreachable { cause, .. } if cause.contains("refused")),
            "{error}"
        );
    }
}
