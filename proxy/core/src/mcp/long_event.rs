//! An event that is too large to be held. Only what shows whether it is the response to a call is
//! kept, and what duplicates get of it. Its id is not read: the stream that answers a call holds no
//! other response.

use sha2::{Digest as _, Sha256};

/// Reads an event as it passes.
#[derive(Debug, Default)]
pub struct LongEvent {
    line: Line,
    /// A line with data came before.
    has_data: bool,
    message: OuterMembers,
    hash: Sha256,
    size: u64,
}

/// The position in a line of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// In the field's name, of which so many bytes are those of `data`.
    Name(usize),
    /// Behind the colon, where one space may follow.
    Colon,
    Data,
    /// In another field, or a comment.
    Other,
}

impl Default for Line {
    fn default() -> Self {
        Self::Name(0)
    }
}

/// The response that an event held.
#[derive(Debug, PartialEq, Eq)]
pub struct LongResponse {
    /// SHA-256 of the message.
    pub sha256: [u8; 32],
    /// The length of the message, in bytes.
    pub size: u64,
}

impl LongEvent {
    /// The next part of the event.
    pub fn push(&mut self, part: &[u8]) {
        let mut rest = part;
        while let Some(byte) = rest.first() {
            if self.line == Line::Data {
                let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                self.data(&rest[..end]);
                rest = &rest[end..];
                if !rest.is_empty() {
                    self.line = Line::default();
                    rest = &rest[1..];
                }
                continue;
            }
            self.step(*byte);
            // The first byte of the data is not consumed yet.
            if self.line != Line::Data || *byte == b' ' {
                rest = &rest[1..];
            }
        }
    }

    fn step(&mut self, byte: u8) {
        if self.line == Line::Name(4) && matches!(byte, b':' | b'\n' | b'\r') {
            self.begin_data();
        }
        self.line = match (self.line, byte) {
            (_, b'\n' | b'\r') => Line::default(),
            (Line::Name(4), b':') => Line::Colon,
            (Line::Name(n), byte) if b"data".get(n) == Some(&byte) => Line::Name(n + 1),
            (Line::Colon, _) => Line::Data,
            _ => Line::Other,
        };
    }

    /// Begins one more line of data.
    fn begin_data(&mut self) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data(b"\n");
        }
    }

    fn data(&mut self, data: &[u8]) {
        self.hash.update(data);
        self.size += data.len() as u64;
        self.message.push(data);
    }

    /// The response, if the event held one and not a request or a notification.
    pub fn finish(self) -> Option<LongResponse> {
        let is_one = self.message.is_response();
        is_one.then(|| LongResponse { sha256: self.hash.finalize().into(), size: self.size })
    }
}

/// Which of the members that matter here the outermost object of a JSON text has.
#[derive(Debug, Default)]
struct OuterMembers {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last string at the top level: a name, if a colon follows.
    last: Vec<u8>,
    kind: MessageKind,
}

/// What a message is, by its members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum MessageKind {
    #[default]
    Nothing,
    /// It has a result or an error.
    Response,
    /// It has a method, whatever else it has.
    Request,
}

/// The longest name that matters.
const LONGEST: usize = "result".len();

impl OuterMembers {
    fn push(&mut self, text: &[u8]) {
        for &byte in text {
            if self.in_string {
                self.within_string(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.in_string = true;
                    self.last.clear();
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                b':' if self.depth == 1 => match &self.last[..] {
                    b"result" | b"error" if self.kind == MessageKind::Nothing => {
                        self.kind = MessageKind::Response;
                    }
                    b"method" => self.kind = MessageKind::Request,
                    _ => {}
                },
                _ => {}
            }
        }
    }

    fn within_string(&mut self, byte: u8) {
        if std::mem::take(&mut self.escaped) {
            return;
        }
        match byte {
            b'"' => self.in_string = false,
            b'\\' => {
                self.escaped = true;
                // None of the names is written with an escape.
                self.last.resize(LONGEST + 1, byte);
            }
            _ if self.depth == 1 && self.last.len() <= LONGEST => self.last.push(byte),
            _ => {}
        }
    }

    /// Whether it is whole, and a response.
    fn is_response(&self) -> bool {
        self.depth == 0 && !self.in_string && self.kind == MessageKind::Response
    }
}

#[cfg(test)]
mod tests {
    use super::super::sse;
    use super::*;

    fn read(text: &str, piece: usize) -> Option<LongResponse> {
        let mut long = LongEvent::default();
        for part in text.as_bytes().chunks(piece) {
            long.push(part);
        }
        long.finish()
    }

    #[test]
    fn a_response_is_known_by_its_members_and_kept_by_its_digest() {
        for (response, json) in [
            (true, r#"{"jsonrpc":"2.0","id":1,"result":{"content":"a \"method\": b"}}"#),
            (true, r#"{"result":{"method":"x"},"id":1}"#),
            (true, "{\"id\":1,\n \"error\" : {\"code\":1}}"),
            (true, r#"{"id":"method","result":[{}]}"#),
            (false, r#"{"id":1,"method":"sampling/createMessage","params":{"result":1}}"#),
            (false, r#"{"method":"notifications/message","params":{}}"#),
            (false, r#"{"id":1,"params":{"result":1},"resultat":2,"x":"\result"}"#),
            (false, r#"{"id":1,"result":{"#),
            (false, ""),
        ] {
            let written = String::from_utf8(sse::written(json.as_bytes())).unwrap();
            let event = format!("id: 7\r\nevent: message\n{written}");
            let data = sse::event(event.as_bytes()).data;
            assert_eq!(data, json.as_bytes());
            let want = response.then(|| LongResponse {
                sha256: Sha256::digest(&data).into(),
                size: data.len() as u64,
            });
            for piece in [1, 2, 7, 1_000] {
                assert_eq!(read(&event, piece), want, "{event:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn other_fields_are_not_data() {
        assert!(read("datas: {\"result\":1}\n\n", 3).is_none());
        assert!(read(": data: {\"result\":1}\n\n", 3).is_none());
        let spread = "data\ndata:{\r\ndata:  \"result\":1}\ndata:\n\n";
        let data = sse::event(spread.as_bytes()).data;
        assert_eq!(read(spread, 3).unwrap().size, data.len() as u64);
        assert_eq!(read(spread, 3).unwrap().sha256, <[u8; 32]>::from(Sha256::digest(&data)));
    }
}
