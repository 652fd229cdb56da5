//! Server-sent events (WHATWG HTML, 9.2), cut out of a stream without changing a byte of it.

use bytes::{Bytes, BytesMut};

/// The largest event that is held, in bytes. The store keeps no larger answer.
const MAX_EVENT: usize = store_core::MAX_KEPT_BODY;

/// Cuts a stream behind the blank line of each event.
#[derive(Debug)]
pub struct Cutter {
    buffer: BytesMut,
    /// How much of the buffer was scanned.
    scanned: usize,
    /// The current line is empty so far.
    at_line_start: bool,
    /// A line has ended with CR. A LF that follows belongs to it.
    after_cr: bool,
    /// The current event is too large to be held.
    overflown: bool,
}

/// A piece of a stream. All pieces together are the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum SsePiece {
    /// One event with its blank line.
    Event(Bytes),
    /// A part of an event that is too large to be held.
    Part(Bytes),
    /// The last part of such an event, with its blank line.
    Last(Bytes),
}

impl Default for Cutter {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            at_line_start: true,
            after_cr: false,
            overflown: false,
        }
    }
}

impl Cutter {
    /// Adds bytes of the stream. [`Self::next_piece`] takes the pieces out.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// How many bytes it holds.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Holds no more of the current event: it comes in parts, as one that is too large.
    pub fn overflow(&mut self) {
        self.overflown = true;
    }

    /// The next complete piece.
    pub fn next_piece(&mut self) -> Option<SsePiece> {
        while let Some(byte) = self.buffer.get(self.scanned).copied() {
            self.scanned += 1;
            let follows_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' if self.at_line_start => {
                    if byte == b'\r' {
                        if self.buffer.get(self.scanned) == Some(&b'\n') {
                            self.scanned += 1;
                        } else {
                            self.after_cr = true;
                        }
                    }
                    let event = self.take();
                    return Some(if std::mem::take(&mut self.overflown) {
                        SsePiece::Last(event)
                    } else {
                        SsePiece::Event(event)
                    });
                }
                b'\n' | b'\r' => {
                    self.at_line_start = true;
                    self.after_cr = byte == b'\r';
                }
                _ => self.at_line_start = false,
            }
        }
        if self.overflown || self.scanned > MAX_EVENT {
            self.overflown = true;
            return (!self.buffer.is_empty()).then(|| SsePiece::Part(self.take()));
        }
        None
    }

    fn take(&mut self) -> Bytes {
        self.buffer.split_to(std::mem::take(&mut self.scanned)).freeze()
    }

    /// What came after the last event. A stream that ends within an event has not sent that event.
    pub fn rest(self) -> Bytes {
        self.buffer.freeze()
    }
}

/// What one event says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The data of its lines, joined by LF.
    pub data: Vec<u8>,
    /// It has an id: the stream may be resumed behind it.
    pub resumable: bool,
}

/// Reads an event's text.
pub fn event(text: &[u8]) -> Event {
    let mut event = Event::default();
    let mut first = true;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if !std::mem::take(&mut first) {
                    event.data.push(b'\n');
                }
                event.data.extend_from_slice(value);
            }
            b"id" => event.resumable = !value.is_empty(),
            _ => {}
        }
    }
    event
}

/// `message` as one event.
pub fn written(message: &[u8]) -> Vec<u8> {
    let mut text = b"event: message\n".to_vec();
    for line in message.split(|byte| matches!(byte, b'\n' | b'\r')) {
        text.extend_from_slice(b"data: ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]]) -> (Vec<Bytes>, Bytes) {
        let mut cutter = Cutter::default();
        let mut events = Vec::new();
        for chunk in chunks {
            cutter.push(chunk);
            while let Some(piece) = cutter.next_piece() {
                match piece {
                    SsePiece::Event(event) => events.push(event),
                    SsePiece::Part(_) | SsePiece::Last(_) => panic!("too large"),
                }
            }
        }
        (events, cutter.rest())
    }

    #[test]
    fn every_kind_of_line_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!(": hello{end}{end}id: 7{end}data: a{end}data:b{end}{end}data: cut");
            for chunks in [vec![text.as_bytes()], text.as_bytes().chunks(1).collect()] {
                let (events, rest) = cut(&chunks);
                assert_eq!(events.len(), 2, "{end:?} {events:?}");
                assert_eq!(event(&events[1]), Event { data: b"a\nb".into(), resumable: true });
                assert_eq!(event(&events[0]), Event::default());
                assert!(rest.ends_with(b"data: cut"), "{rest:?}");
            }
        }
    }

    #[test]
    fn an_event_is_not_waited_for_longer_than_needed() {
        let (events, _) = cut(&[b"data: x\r\n\r"]);
        assert_eq!(events.len(), 1, "a LF may follow, and nothing more of the event");
    }

    #[test]
    fn an_event_that_is_too_large_flows() {
        let mut cutter = Cutter::default();
        cutter.push(b"data: ");
        assert!(cutter.next_piece().is_none());
        cutter.push(&vec![b'x'; MAX_EVENT]);
        let first = cutter.next_piece();
        assert!(matches!(&first, Some(SsePiece::Part(part)) if part.len() == MAX_EVENT + 6));
        cutter.push(b"y\n\ndata: z\n\n");
        assert_eq!(cutter.next_piece(), Some(SsePiece::Last(Bytes::from_static(b"y\n\n"))));
        assert_eq!(cutter.next_piece(), Some(SsePiece::Event(Bytes::from_static(b"data: z\n\n"))));
        assert_eq!(cutter.next_piece(), None);
    }

    #[test]
    fn a_written_event_reads_as_its_message() {
        for message in ["{}", "{\n \"a\": 1\n}", ""] {
            assert_eq!(event(&written(message.as_bytes())).data, message.as_bytes());
        }
    }

    proptest! {
        /// Cutting loses and adds nothing, however the stream is split.
        #[test]
        fn the_pieces_are_the_stream(
            parts in prop::collection::vec("(data: ?|id:|:|x|\n|\r|\r\n){0,6}", 0..12)
        ) {
            let chunks: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
            let (events, rest) = cut(&chunks);
            let mut all: Vec<u8> = events.concat();
            all.extend_from_slice(&rest);
            prop_assert_eq!(all, chunks.concat());
        }

        /// Where the stream is split decides nothing about what its events say.
        #[test]
        fn splits_do_not_matter(text in "(data: ?|id: |:|x|\n|\r\n|\r){0,40}", at in 0usize..60) {
            let at = at.min(text.len());
            let says = |chunks: &[&[u8]]| -> Vec<Event> {
                let (events, _) = cut(chunks);
                events.iter().map(|one| event(one)).filter(|one| *one != Event::default()).collect()
            };
            let (a, b) = text.as_bytes().split_at(at);
            prop_assert_eq!(says(&[text.as_bytes()]), says(&[a, b]));
        }
    }
}
