//! A tool on the loopback that records the doctor's requests.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Read timeout of a connection.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// Listens until the process ends.
pub(super) struct ProbeUpstream {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<SeenRequest>>>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
struct SeenRequest {
    path: String,
    /// It has our `Via`, so it went through the proxy.
    through: bool,
}

impl ProbeUpstream {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let seen = Arc::<Mutex<Vec<SeenRequest>>>::default();
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                thread::spawn(move || answer(stream, &log));
            }
        });
        Ok(Self { addr, seen })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// How many requests for paths that start with `path` went through the proxy, and how many did
    /// not.
    pub(super) fn hits(&self, path: &str) -> (usize, usize) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let here = seen.iter().filter(|seen| seen.path.starts_with(path));
        let (through, around): (Vec<_>, Vec<_>) = here.partition(|seen| seen.through);
        (through.len(), around.len())
    }
}

/// Answers one request per connection: the doctor makes few calls.
fn answer(mut stream: TcpStream, log: &Mutex<Vec<SeenRequest>>) -> Option<()> {
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let (mut head, mut piece) = (Vec::new(), [0; 4096]);
    let end = loop {
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut piece) {
            Ok(n) if n > 0 && head.len() < LONGEST_HEAD => head.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut got = head.len() - end;
    while got < length.min(LONGEST_HEAD) {
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => got += n,
            _ => return None,
        }
    }
    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let through = text.lines().any(|line| line.starts_with("via:") && line.contains(" ose-"));
    let count = {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(SeenRequest { path, through });
        log.len().to_string()
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{count}", count.len()).ok()
}
