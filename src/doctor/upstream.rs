//! A tool of the doctor's own on the loopback, which keeps what came.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// Listens until the process ends.
pub(super) struct ProbeUpstream {
    addr: SocketAddr,
    came: Arc<Mutex<Vec<SeenRequest>>>,
}

/// One request.
#[derive(Debug, Clone)]
struct SeenRequest {
    path: String,
    /// It has our `Via`, so it came by the proxy.
    through: bool,
}

impl ProbeUpstream {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let came = Arc::<Mutex<Vec<SeenRequest>>>::default();
        let kept = Arc::clone(&came);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || answer(stream, &kept));
            }
        });
        Ok(Self { addr, came })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// How many requests for paths that begin so came by the proxy, and how many around it.
    pub(super) fn hits(&self, path: &str) -> (usize, usize) {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        let here = came.iter().filter(|came| came.path.starts_with(path));
        let (through, around): (Vec<_>, Vec<_>) = here.partition(|came| came.through);
        (through.len(), around.len())
    }
}

/// One request a connection: the doctor's calls are few.
fn answer(mut stream: TcpStream, kept: &Mutex<Vec<SeenRequest>>) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
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
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(SeenRequest { path, through });
        kept.len().to_string()
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n{count}", count.len()).ok()
}
