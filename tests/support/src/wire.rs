//! HTTP/1.1 as bytes on a socket, for both ends of a test.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::gate::DEADLINE;

/// A start line and the header fields behind it, in wire order and case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub line: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// The first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Self { line, fields }
    }
}

/// What of a body is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    /// Until the peer shuts its side.
    Close,
    Done,
}

impl Framing {
    /// Of a message with a body; `otherwise` if the head has no length.
    pub fn of(head: &Head, otherwise: Self) -> Self {
        if head.get("transfer-encoding").is_some_and(|value| value.ends_with("chunked")) {
            return Self::Chunked;
        }
        match head.get("content-length") {
            Some("0") => Self::Done,
            Some(length) => Self::Length(length.parse().unwrap()),
            None => otherwise,
        }
    }
}

/// One end of a connection.
pub struct Wire {
    pub stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
    /// Fields behind the last chunk of the newest chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { stream, buffer: Vec::new(), trailers: Vec::new() }
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads up to and including the empty line; `None`: the peer closed before a first byte.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Ok(Some(Head::parse(&String::from_utf8_lossy(&head))));
            }
            if self.fill()? == 0 {
                let nothing = self.buffer.is_empty();
                return if nothing { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next piece of a body as it comes; `None` at its proper end, an error if it breaks off.
    pub fn read_piece(&mut self, framing: &mut Framing) -> io::Result<Option<Vec<u8>>> {
        match framing {
            Framing::Done => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill()? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let take = self.buffer.len().min(usize::try_from(*left).unwrap());
                *left -= take as u64;
                if *left == 0 {
                    *framing = Framing::Done;
                }
                Ok(Some(self.buffer.drain(..take).collect()))
            }
            Framing::Close => {
                if self.buffer.is_empty() && self.fill()? == 0 {
                    *framing = Framing::Done;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut self.buffer)))
            }
            Framing::Chunked => {
                let size = self.read_line()?;
                let size = size.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16)
                    .map_err(|_| io::Error::other(format!("chunk size {size:?}")))?;
                if size == 0 {
                    self.trailers.clear();
                    loop {
                        let line = self.read_line()?;
                        if line.is_empty() {
                            *framing = Framing::Done;
                            return Ok(None);
                        }
                        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
                        self.trailers.push((name.to_owned(), value.trim().to_owned()));
                    }
                }
                while self.buffer.len() < size + 2 {
                    if self.fill()? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                let piece = self.buffer.drain(..size).collect();
                self.buffer.drain(..2);
                Ok(Some(piece))
            }
        }
    }

    /// The rest of a body, and whether it ended properly.
    pub fn read_rest(&mut self, mut framing: Framing) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            match self.read_piece(&mut framing) {
                Ok(Some(piece)) => body.extend(piece),
                Ok(None) => return (body, true),
                Err(_) => return (body, false),
            }
        }
    }

    /// Exactly the next `n` bytes, whatever they are.
    pub fn read_bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < n {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let n = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(&bytes[..n]);
        Ok(n)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
