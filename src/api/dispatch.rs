//! Runs the requests of a body through the method registry of jsonrpsee, and returns the text of
//! the answer.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use jsonrpsee::types::{ErrorObjectOwned, Id, Params, Request};
use jsonrpsee::{ConnectionId, Extensions, MethodCallback, MethodResponse, Methods};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::envelope;
use super::error::{Code, Error};
use super::metrics::{MethodResult, Metrics};

/// The largest answer to one call, in bytes: a complete list.
const MAX_RESPONSE: usize = 1 << 30;

/// The methods, and how to run them.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) methods: Methods,
    /// The methods that change something: they run to their end even if the caller hangs up.
    pub(crate) writes: HashSet<&'static str>,
    /// Running calls; the server waits for them when it stops.
    pub(crate) tasks: TaskTracker,
    pub(crate) metrics: Metrics,
}

impl Dispatcher {
    /// Answers a body. A batch runs in order, to its end even if the caller hangs up.
    pub(crate) async fn answer(self: &Arc<Self>, body: Bytes) -> Bytes {
        let Ok(text) = std::str::from_utf8(&body) else {
            let error = Error::new(Code::ParseError, "the body is not valid UTF-8");
            return bytes(refusal(Id::Null, error));
        };
        if !envelope::is_batch(text) {
            return bytes(self.single(text).await);
        }
        let this = self.clone();
        let batch = self.tasks.spawn(async move { this.batch(&body).await });
        batch.await.unwrap_or_else(|_| bytes(refusal(Id::Null, Error::internal())))
    }

    async fn single(&self, text: &str) -> MethodResponse {
        match envelope::request(text) {
            Ok(request) => self.call(request).await,
            Err((id, error)) => refusal(id, error),
        }
    }

    async fn batch(&self, body: &Bytes) -> Bytes {
        let entries = match envelope::entries(std::str::from_utf8(body).unwrap_or_default()) {
            Ok(entries) => entries,
            Err(error) => return bytes(refusal(Id::Null, error)),
        };
        let mut answer = String::from("[");
        for entry in entries {
            if answer.len() > 1 {
                answer.push(',');
            }
            answer.push_str(self.single(entry.get()).await.as_ref());
        }
        answer.push(']');
        answer.into()
    }

    async fn call(&self, request: Request<'_>) -> MethodResponse {
        let Some((name, MethodCallback::Async(callback))) =
            self.methods.method_with_name(&request.method)
        else {
            self.metrics.record_api_request("unknown", MethodResult::Error);
            let message = "unknown method: rpc.discover lists the methods";
            return refusal(request.id, Error::new(Code::MethodNotFound, message));
        };
        let id = request.id.into_owned();
        let params = Params::new(request.params.as_ref().map(|params| params.get())).into_owned();
        let running =
            callback(id.clone(), params, ConnectionId(0), MAX_RESPONSE, Extensions::new());
        // A separate task turns a panic into an answer; jsonrpsee would drop the connection.
        let ended = if self.writes.contains(name) {
            self.tasks.spawn(running).await
        } else {
            AbortOnDropHandle::new(tokio::spawn(running)).await
        };
        let response = ended.unwrap_or_else(|error| {
            tracing::error!(method = name, %error, "api method panicked");
            refusal(id, Error::internal())
        });
        let result = if response.is_success() { MethodResult::Ok } else { MethodResult::Error };
        self.metrics.record_api_request(name, result);
        response
    }
}

/// The answer to a request that does not run.
pub(crate) fn refusal(id: Id<'_>, error: Error) -> MethodResponse {
    MethodResponse::error(id, ErrorObjectOwned::from(error))
}

/// The text of an answer, without a copy.
pub(crate) fn bytes(response: MethodResponse) -> Bytes {
    String::from(Box::<str>::from(response.into_json())).into()
}

#[cfg(test)]
mod tests {
    use jsonrpsee::RpcModule;
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    /// `echo` answers its params; `break` panics; `write` reports when it begins and ends.
    fn dispatcher(module: RpcModule<()>) -> Arc<Dispatcher> {
        let mut module = module;
        module
            .register_async_method("echo", |params, _, _| async move {
                Ok::<_, ErrorObjectOwned>(params.as_str().unwrap_or_default().to_owned())
            })
            .unwrap();
        module
            .register_async_method::<Result<(), ErrorObjectOwned>, _, _>("break", |_, _, _| async {
                panic!("on purpose")
            })
            .unwrap();
        Arc::new(Dispatcher {
            methods: module.into(),
            writes: HashSet::from(["write"]),
            tasks: TaskTracker::new(),
            metrics: Metrics::new(None).0,
        })
    }

    async fn answer(body: &'static str) -> String {
        let answer =
            dispatcher(RpcModule::new(())).answer(Bytes::from_static(body.as_bytes())).await;
        String::from_utf8(answer.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let got = answer(r#"{"jsonrpc":"2.0","method":"break","id":"x"}"#).await;
        assert_eq!(
            got,
            r#"{"jsonrpc":"2.0","id":"x","error":{"code":-32603,"message":"internal error; the log has the details","data":{"code":"INTERNAL"}}}"#
        );
    }

    #[tokio::test]
    async fn each_entry_of_a_batch_has_its_own_answer() {
        let got = answer(
            r#"[{"jsonrpc":"2.0","method":"echo","params":{"a":1.0},"id":1},
                {"jsonrpc":"2.0","method":"echo"},
                {"jsonrpc":"2.0","method":"break","id":2},
                {"jsonrpc":"2.0","method":"nothing","id":3},
                7]"#,
        )
        .await;
        let got: Vec<serde_json::Value> = serde_json::from_str(&got).unwrap();
        let codes: Vec<_> = got.iter().map(|one| one["error"]["code"].as_i64()).collect();
        assert_eq!(got[0]["result"], r#"{"a":1.0}"#);
        assert_eq!(codes, [None, Some(-32600), Some(-32603), Some(-32601), Some(-32600)]);
        assert_eq!(got[3]["id"], 3);
    }

    #[tokio::test]
    async fn a_body_must_be_utf8() {
        let dispatcher = dispatcher(RpcModule::new(()));
        let got = dispatcher.answer(Bytes::from_static(b"{\"a\":\"\xff\"}")).await;
        assert!(got.starts_with(br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700"#));
    }

    #[tokio::test]
    async fn a_write_outlives_its_caller() {
        let (began, mut has_begun) = mpsc::unbounded_channel();
        let (go, going) = oneshot::channel::<()>();
        let (ended, mut has_ended) = mpsc::unbounded_channel();
        let going = Arc::new(std::sync::Mutex::new(Some(going)));
        let mut module = RpcModule::new(());
        module
            .register_async_method("write", move |_, _, _| {
                let (began, ended, going) = (began.clone(), ended.clone(), going.clone());
                async move {
                    began.send(()).unwrap();
                    let going = going.lock().unwrap().take().unwrap();
                    going.await.unwrap();
                    ended.send(()).unwrap();
                    Ok::<_, ErrorObjectOwned>(())
                }
            })
            .unwrap();
        let dispatcher = dispatcher(module);
        let caller = tokio::spawn({
            let dispatcher = dispatcher.clone();
            let body = br#"{"jsonrpc":"2.0","method":"write","id":1}"#;
            async move { dispatcher.answer(Bytes::from_static(body)).await }
        });
        has_begun.recv().await.unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        has_ended.recv().await.unwrap();
        dispatcher.tasks.close();
        dispatcher.tasks.wait().await;
    }
}
