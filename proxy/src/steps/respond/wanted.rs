//! A stored answer in the form that this request wants.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use proxy_core::error::Error;
use proxy_core::mcp::caller::Caller;
use tokio::task::spawn_blocking;

use super::recode;
use crate::body::buffer::unreadable;
use crate::body::pieces::WholeBody;
use crate::body::spool::Spool;
use crate::context::ProxyContext;

/// How long an answer that was made into another form waits for room in a file.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// What a request says about the form of a stored answer.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) status: u16,
    /// Accept-Encoding.
    pub(super) codings: Vec<HeaderValue>,
    /// Who waits for the response to a tool call.
    pub(super) caller: Option<Arc<Caller>>,
}

impl Wanted {
    /// The body in this form, with header fields that match. The inner error is the body as it is: in
    /// a coding that the request excludes and that cannot be undone.
    pub(super) async fn form(
        self,
        context: &ProxyContext,
        headers: &mut HeaderMap,
        body: WholeBody,
    ) -> Result<Result<WholeBody, WholeBody>, Error> {
        let recodes = !recode::is_accepted(headers, &self.codings);
        if !recodes && !self.caller.as_ref().is_some_and(|caller| caller.converts(headers)) {
            return Ok(Ok(held(context, body).await));
        }
        if let (WholeBody::Memory(bytes), false) = (&body, recodes) {
            return Ok(self.convert(headers, bytes).map(WholeBody::Memory).ok_or(body));
        }
        let answers = &context.bodies.answers;
        let turn = answers.conversion().await.map_err(|error| unreadable(&error))?;
        let bytes = match &body {
            WholeBody::Memory(bytes) => Ok(bytes.clone()),
            WholeBody::File(file) => file.clone().load().await,
            WholeBody::Stored(stored) => {
                let size = usize::try_from(stored.size).unwrap_or(usize::MAX);
                answers.read(&context.store, *stored, 0, size).await
            }
        };
        let bytes = bytes.map_err(|error| unreadable(&error))?;
        let mut fields = headers.clone();
        let converting = spawn_blocking(move || {
            let converted = self.convert(&mut fields, &bytes);
            (fields, converted)
        });
        let (fields, converted) =
            converting.await.map_err(|panic| unreadable(&io::Error::other(panic)))?;
        *headers = fields;
        let kept = match converted {
            Some(bytes) => Ok(keep(context, bytes).await?),
            None => Err(body),
        };
        drop(turn);
        Ok(kept)
    }

    fn convert(&self, headers: &mut HeaderMap, body: &Bytes) -> Option<Bytes> {
        let response =
            self.caller.as_ref().and_then(|caller| caller.replay(self.status, headers, body));
        response.or_else(|| recode::acceptable(headers, body, &self.codings))
    }
}

/// A body as it is, in memory if there is room.
async fn held(context: &ProxyContext, body: WholeBody) -> WholeBody {
    let WholeBody::Stored(stored) = body else { return body };
    let shared = context.bodies.answers.shared(&context.store, stored).await;
    shared.map_or(body, WholeBody::Memory)
}

/// Keeps a body of this client's own until the client has taken it: in memory, or in a file.
async fn keep(context: &ProxyContext, bytes: Bytes) -> Result<WholeBody, Error> {
    if let Some(bytes) = context.bodies.answers.hold(bytes.clone()) {
        return Ok(WholeBody::Memory(bytes));
    }
    let full = || Error::QueueFull("too many answers wait for their clients".to_owned());
    let area = &context.bodies.spool;
    let mut spool = Spool::new(area);
    spool.set_most_in_memory(0);
    spool.set_room(area.room(bytes.len(), MAX_WAIT).await.ok_or_else(full)?);
    spool.push(bytes).await.map_err(|error| {
        tracing::warn!(%error, "cannot spool an answer");
        full()
    })?;
    Ok(WholeBody::File(spool.whole().await))
}
