//! Calls the state API of a running server, one call at a time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonrpsee::types::error::OVERSIZED_RESPONSE_CODE;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::Code;
use crate::config::{Token, settings};

/// Timeout of one call.
const CALL_TIMEOUT: Duration = Duration::from_mins(1);

/// A JSON-RPC client that blocks its thread.
pub(crate) struct ApiClient {
    runtime: tokio::runtime::Runtime,
    http: Http<HttpConnector, Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing answers at the address.
    #[error("the server at {url} cannot be reached: {cause}")]
    Unreachable {
        /// The address.
        url: String,
        /// The cause.
        cause: String,
    },
    /// The server requires a token, or a different one.
    #[error("the server requires a token: use --token or {}", settings::TOKEN.variable())]
    Token,
    /// The server understood the call and refused it.
    #[error("{message}")]
    Refused {
        /// The JSON-RPC error number.
        number: i32,
        /// The engine's code, if it is one that this version knows.
        code: Option<Code>,
        /// The message.
        message: String,
    },
    /// The answer is not what this version expects.
    #[error("unexpected answer from the server: {0}")]
    Answer(String),
}

impl Error {
    /// The engine's code, if the server refused the call.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => *code,
            _ => None,
        }
    }

    /// The result exists and does not fit into one answer.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Refused { number: OVERSIZED_RESPONSE_CODE, .. })
    }
}

impl From<ErrorObject> for Error {
    fn from(error: ErrorObject) -> Self {
        let data = error.data.and_then(|data| serde_json::from_str::<ErrorData>(data.get()).ok());
        match data.and_then(|data| Code::from_word(&data.code)) {
            Some(Code::Unauthorized) => Self::Token,
            code => Self::Refused { number: error.code, code, message: error.message },
        }
    }
}

#[derive(Serialize)]
struct RpcRequest<'a, P> {
    jsonrpc: &'static str,
    id: u32,
    method: &'a str,
    params: &'a P,
}

/// A JSON-RPC response. The server also sends one when it refuses a request before its method is
/// known.
#[derive(Deserialize)]
struct RpcResponse {
    result: Option<Box<RawValue>>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct ErrorObject {
    code: i32,
    message: String,
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct ErrorData {
    code: String,
}

/// What a running engine reports at `/readyz`.
#[derive(Deserialize)]
pub(crate) struct EngineReadiness {
    pub(crate) ready: bool,
    /// What is not ready, in words.
    pub(crate) problems: Vec<String>,
    /// The URL of the proxy; `None` if the engine runs without one.
    pub(crate) proxy: Option<String>,
    pub(crate) store: StoreReadiness,
}

#[derive(Deserialize)]
pub(crate) struct StoreReadiness {
    /// How many executions are in doubt.
    pub(crate) in_doubt: u64,
    pub(crate) clock_jumped: bool,
}

impl ApiClient {
    /// A client of the server at `url`; sends nothing yet.
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

    /// Calls `method` and returns its result as received (`null` included).
    pub(crate) fn call(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Box<RawValue>, Error> {
        let request = RpcRequest { jsonrpc: "2.0", id: 1, method, params };
        let body =
            serde_json::to_vec(&request).map_err(|error| Error::Answer(error.to_string()))?;
        let mut request = hyper::Request::new(Full::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (status, body) = self.exchange(request)?;
        let response: RpcResponse = serde_json::from_slice(&body).map_err(|error| {
            Error::Answer(match status {
                StatusCode::OK => format!("{method}: {error}"),
                status => format!("HTTP status {status}"),
            })
        })?;
        match response.error {
            Some(error) => Err(error.into()),
            None => Ok(response.result.unwrap_or_else(|| RawValue::NULL.to_owned())),
        }
    }

    /// The URL of the server.
    pub(crate) fn url(&self) -> String {
        self.uri.to_string().trim_end_matches('/').to_owned()
    }

    /// What `/readyz` reports, ready or not.
    pub(crate) fn readiness(&self) -> Result<EngineReadiness, Error> {
        let (_, body) = self.get_page("/readyz")?;
        serde_json::from_slice(&body).map_err(|error| Error::Answer(format!("/readyz: {error}")))
    }

    /// The body of a page; `None` if the page does not exist.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Bytes>, Error> {
        let (status, body) = self.get_page(path)?;
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(match serde_json::from_slice(&body) {
                Ok(RpcResponse { error: Some(error), .. }) => error.into(),
                _ => Error::Answer(format!("{path}: HTTP status {status}")),
            }),
        }
    }

    fn get_page(&self, path: &str) -> Result<(StatusCode, Bytes), Error> {
        let uri = format!("{}{path}", self.url());
        let uri: Uri = uri.parse().map_err(|_| Error::Answer(format!("not a URL: {uri}")))?;
        let mut request = hyper::Request::new(Full::default());
        *request.uri_mut() = uri;
        self.exchange(request)
    }

    /// Sends a request and reads the whole answer.
    fn exchange(
        &self,
        mut request: hyper::Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Error> {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        let exchange = async {
            let response = self.http.request(request).await.map_err(|e| root_cause(&e))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|e| e.to_string())?;
            Ok((status, body.to_bytes()))
        };
        self.runtime
            .block_on(async { tokio::time::timeout(CALL_TIMEOUT, exchange).await })
            .unwrap_or_else(|_| Err(format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
            .map_err(|cause: String| self.unreachable(&cause))
    }

    fn unreachable(&self, cause: &str) -> Error {
        Error::Unreachable { url: self.uri.to_string(), cause: cause.to_owned() }
    }
}

/// hyper-util's message is only "client error (Connect)".
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
        let client = ApiClient::new(&format!("http://{free}"), None).unwrap();
        let error = client.call("get_stats", &()).unwrap_err();
        assert!(
            matches!(&error, Error::Unreachable { cause, .. } if cause.contains("refused")),
            "{error}"
        );
    }
}
