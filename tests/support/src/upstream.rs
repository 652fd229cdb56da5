//! A tool's server, in raw sockets: it does what the test says, and keeps all it received.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::gate::DEADLINE;
use crate::wire::{Framing, Head, Wire};

/// A request as it reached the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub head: Head,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Received {
    pub fn method(&self) -> &str {
        self.head.line.split(' ').next().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        self.head.line.split(' ').nth(1).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }
}

#[derive(Default)]
struct Ledger {
    received: Mutex<Vec<Received>>,
    arrived: Condvar,
    connections: AtomicUsize,
}

/// Listens until the test's process ends.
#[derive(Clone)]
pub struct Upstream {
    pub addr: SocketAddr,
    ledger: Arc<Ledger>,
}

impl Upstream {
    /// Runs `script` for each request, once it was received whole and counted.
    pub fn start(script: impl Fn(&Received, &mut Exchange) + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    pub fn start_at(
        addr: &str,
        script: impl Fn(&Received, &mut Exchange) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).unwrap();
        let addr = listener.local_addr().unwrap();
        let ledger = Arc::new(Ledger::default());
        let upstream = Self { addr, ledger };
        let (script, ledger) = (Arc::new(script), Arc::clone(&upstream.ledger));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, ledger) = (Arc::clone(&script), Arc::clone(&ledger));
                ledger.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || serve(stream, &ledger, &*script));
            }
        });
        upstream
    }

    /// Answers each request with 200, its number, method, target and body.
    pub fn echo() -> Self {
        let count = Mutex::new(0_u64);
        Self::start(move |request, exchange| {
            let number = {
                let mut count = count.lock().unwrap();
                *count += 1;
                *count
            };
            let text = String::from_utf8_lossy(&request.body);
            let body = format!("{number} {} {} {text}", request.method(), request.target());
            exchange.answer(200, &[("X-Tool", "Echo")], body.as_bytes());
        })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn hits(&self) -> usize {
        self.ledger.received.lock().unwrap().len()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.ledger.connections.load(Ordering::SeqCst)
    }

    /// How many requests with this body arrived.
    pub fn hits_with(&self, body: &[u8]) -> usize {
        self.ledger.received.lock().unwrap().iter().filter(|one| one.body == body).count()
    }

    pub fn received(&self) -> Vec<Received> {
        self.ledger.received.lock().unwrap().clone()
    }

    /// The only request that arrived.
    pub fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.into_iter().next().unwrap()
    }

    /// Waits until `n` requests have arrived in all.
    pub fn wait_for_hits(&self, n: usize) {
        let received = self.ledger.received.lock().unwrap();
        let (received, _) = self
            .ledger
            .arrived
            .wait_timeout_while(received, DEADLINE, |received| received.len() < n)
            .unwrap();
        assert!(received.len() >= n, "{} of {n} requests arrived: {received:#?}", received.len());
    }
}

fn serve(stream: TcpStream, ledger: &Ledger, script: &dyn Fn(&Received, &mut Exchange)) {
    let mut wire = Wire::new(stream);
    // A pooled connection may idle for longer than any one step of a test takes.
    wire.stream.set_read_timeout(None).unwrap();
    let mut number = 0;
    while let Ok(Some(head)) = wire.read_head() {
        number += 1;
        if head.get("expect").is_some() {
            let _ = wire.write("HTTP/1.1 100 Continue\r\n\r\n");
        }
        let framing = Framing::of(&head, Framing::Done);
        let (body, whole) = wire.read_rest(framing);
        if !whole {
            return;
        }
        let received = Received { head, body, trailers: std::mem::take(&mut wire.trailers) };
        let mut kept = ledger.received.lock().unwrap();
        kept.push(received.clone());
        ledger.arrived.notify_all();
        drop(kept);
        let mut exchange = Exchange { wire, number, open: true };
        script(&received, &mut exchange);
        if !exchange.open {
            return;
        }
        wire = exchange.wire;
    }
}

fn lines(fields: &[(&str, &str)]) -> String {
    fields.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect()
}

/// The upstream's side of one request. Unless it is closed or reset, the connection is kept.
pub struct Exchange {
    pub wire: Wire,
    /// Of this request on its connection, from 1.
    pub number: usize,
    open: bool,
}

impl Exchange {
    /// A whole answer with its length.
    pub fn answer(&mut self, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let fields = lines(fields);
        let length = match status {
            204 | 304 => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let mut answer = format!("HTTP/1.1 {status} Scripted\r\n{fields}{length}\r\n").into_bytes();
        answer.extend_from_slice(body);
        self.write(answer);
    }

    /// The head of a chunked answer.
    pub fn begin_chunked(&mut self, status: u16, fields: &[(&str, &str)]) {
        let fields = lines(fields);
        self.write(format!(
            "HTTP/1.1 {status} Scripted\r\n{fields}Transfer-Encoding: chunked\r\n\r\n"
        ));
    }

    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.write(chunk);
    }

    /// The last chunk, with trailer fields.
    pub fn end_chunked(&mut self, trailers: &[(&str, &str)]) {
        let fields = lines(trailers);
        self.write(format!("0\r\n{fields}\r\n"));
    }

    /// Bytes as they are. A peer that has left is not an error of the upstream.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        if self.wire.write(bytes).is_err() {
            self.open = false;
        }
    }

    /// Ends with a FIN.
    pub fn close(&mut self) {
        let _ = self.wire.stream.shutdown(Shutdown::Both);
        self.open = false;
    }

    /// Ends with a RST.
    pub fn reset(&mut self) {
        rustix::net::sockopt::set_socket_linger(&self.wire.stream, Some(Duration::ZERO)).unwrap();
        self.open = false;
    }

    /// Says nothing more and keeps the connection until the peer closes it.
    pub fn stall(&mut self) {
        let mut rest = Framing::Close;
        while matches!(self.wire.read_piece(&mut rest), Ok(Some(_))) {}
        self.open = false;
    }

    /// Whether the peer still reads: false once it has closed its side.
    pub fn peer_is_there(&mut self) -> io::Result<bool> {
        self.wire.stream.set_nonblocking(true)?;
        let peeked = self.wire.stream.peek(&mut [0]);
        self.wire.stream.set_nonblocking(false)?;
        match peeked {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }
}
