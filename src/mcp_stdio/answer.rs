//! The message in an answer of the proxy: the body, or an event in it.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected};
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use proxy::mcp::id_of_response;
use proxy::mcp::sse::{self, Cutter, SsePiece};

/// Reads an answer to its end. Empty: it is a stream without a response.
pub(super) async fn message(answer: Response<Incoming>) -> Result<Bytes, hyper::Error> {
    let media_type = answer.headers().get(CONTENT_TYPE);
    let is_stream =
        media_type.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let mut body = answer.into_body();
    if !is_stream {
        return body.collect().await.map(Collected::to_bytes);
    }
    let mut events = Events::default();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => events.push(frame.data_ref().unwrap_or(&Bytes::new())),
            // What breaks off behind the response says nothing about the call.
            Err(error) => return events.response.ok_or(error),
        }
    }
    Ok(events.response.unwrap_or_default())
}

/// Looks for the response in a stream of events.
#[derive(Default)]
struct Events {
    cutter: Cutter,
    /// The parts of an event that comes in several.
    parts: Vec<u8>,
    response: Option<Bytes>,
}

impl Events {
    fn push(&mut self, data: &[u8]) {
        self.cutter.push(data);
        while let Some(piece) = self.cutter.next_piece() {
            match piece {
                SsePiece::Part(part) => self.parts.extend_from_slice(&part),
                SsePiece::Last(part) | SsePiece::Event(part) => {
                    self.parts.extend_from_slice(&part);
                    self.read_event();
                }
            }
        }
    }

    fn read_event(&mut self) {
        let mut message = sse::event(&std::mem::take(&mut self.parts)).data;
        if id_of_response(&message).is_some() {
            // A line end in JSON is mere space, and a message on stdio is one line.
            message.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
            self.response = Some(message.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_is_found_among_comments_and_other_events() {
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        let long = format!(r#"{{"jsonrpc":"2.0","id":"x","result":"{}"}}"#, "y".repeat(9 << 20));
        let note = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#;
        for (stream, found) in [
            (format!(": progress\n\n: progress\n\ndata: {response}\n\n"), Some(response)),
            (format!("data: {note}\n\ndata: {response}\n\n: end\n\n"), Some(response)),
            (format!("data: {long}\n\n"), Some(&*long)),
            (
                "data: {\"id\":1,\ndata: \"result\":{}}\n\n".to_owned(),
                Some(r#"{"id":1, "result":{}}"#),
            ),
            (format!("data: {note}\n\n"), None),
            (format!("data: {response}\n"), None),
        ] {
            for size in [stream.len() / 50 + 1, stream.len()] {
                let mut events = Events::default();
                stream.as_bytes().chunks(size).for_each(|chunk| events.push(chunk));
                assert!(events.response.as_deref() == found.map(str::as_bytes), "{found:?}");
            }
        }
    }
}
