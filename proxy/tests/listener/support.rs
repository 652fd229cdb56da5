<<<<<<< ours
//! A store, and a proxy before it.
=======
//! A store, a proxy before it, and an upstream that does what a test tells it to.
>>>>>>> theirs

use std::net::SocketAddr;

use proxy::{Config, Proxy};
use store::{Options, Store};
use tempfile::TempDir;
pub(crate) use testkit::on_tokio::{Answer, Upstream, ask, get, post, read_head};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running proxy with its store.
pub(crate) struct Engine {
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
    pub(crate) shutdown: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

impl Engine {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Options::new(folder.path().join("state.db"))).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = SocketAddr::from(([127, 0, 0, 1], 3030));
        let mut config = Config::new(store.clone(), address, api, folder.path().to_owned());
        change(&mut config);
        let proxy = Proxy::new(config).unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move { proxy.serve(listener, stop).await });
        Self { address, store, folder, shutdown, serving }
    }

    /// Sends `raw` on a connection of its own and reads the answer.
    pub(crate) async fn ask(&self, raw: impl AsRef<[u8]>) -> Answer {
        ask(self.address, raw).await
    }

    /// POSTs `body` through the proxy in absolute form.
    pub(crate) async fn post(&self, upstream: &Upstream, headers: &str, body: &str) -> Answer {
        self.ask(post(upstream.address, "/act", headers, body)).await
    }
}
<<<<<<< ours
=======

pub(crate) fn post(to: SocketAddr, path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST http://{to}{path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: text/plain\r\n{headers}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn get(to: SocketAddr, path: &str, headers: &str) -> String {
    format!("GET http://{to}{path} HTTP/1.1\r\nHost: {to}\r\n{headers}\r\n")
}

/// An answer as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// It came to its proper end.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) async fn read(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Self {
        let head = read_head(stream).await;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut answer = Self { status, head, body: Vec::new(), whole: false };
        if matches!(status, 0 | 100 | 101 | 204 | 304) {
            answer.whole = status != 0;
            return answer;
        }
        if answer.header("transfer-encoding").is_some() {
            answer.read_chunks(stream).await;
        } else if let Some(length) = answer.header("content-length") {
            let mut left = length.parse::<usize>().unwrap();
            let mut buf = vec![0; 64 * 1024];
            while left > 0 {
                let most = left.min(buf.len());
                match stream.read(&mut buf[..most]).await {
                    Ok(0) | Err(_) => return answer,
                    Ok(read) => {
                        answer.body.extend_from_slice(&buf[..read]);
                        left -= read;
                    }
                }
            }
            answer.whole = true;
        } else {
            answer.whole = stream.read_to_end(&mut answer.body).await.is_ok();
        }
        answer
    }

    async fn read_chunks(&mut self, stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            if size == 0 {
                let mut trailer = String::new();
                while stream.read_line(&mut trailer).await.unwrap_or(0) > 2 {
                    self.head.push_str(&trailer);
                    trailer.clear();
                }
                self.whole = true;
                return;
            }
            if stream.read_exact(&mut chunk).await.is_err() {
                return;
            }
            self.body.extend_from_slice(&chunk[..size]);
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The word of `Idempotency-Status`.
    pub(crate) fn told(&self) -> &str {
        self.header("idempotency-status").unwrap_or("").split(';').next().unwrap_or("")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) async fn read_head(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> String {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return head;
        }
        if line == "\r\n" {
            return head;
        }
        head.push_str(&line);
    }
}

/// A request as the upstream got it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// From 1.
    pub(crate) number: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What a tool does with a request; the connection closes when it gives the stream up.
type Script = Arc<dyn Fn(Seen, Stream) -> Turn + Send + Sync>;
pub(crate) type Stream = BufReader<TcpStream>;
pub(crate) type Turn = Pin<Box<dyn Future<Output = Option<Stream>> + Send>>;

/// A tool: counts its requests and answers each as the test says.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    hits: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn start(
        script: impl Fn(Seen, Stream) -> Turn + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hits = Arc::new(AtomicUsize::new(0));
        let (count, script) = (Arc::clone(&hits), Arc::new(script) as Script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(speak(stream, Arc::clone(&script), Arc::clone(&count)));
            }
        });
        Self { address, hits }
    }

    /// Answers every request with `raw`.
    pub(crate) async fn saying(raw: &'static str) -> Self {
        Self::start(move |_, mut stream| {
            Box::pin(async move {
                stream.write_all(raw.as_bytes()).await.ok()?;
                Some(stream)
            })
        })
        .await
    }

    /// Answers with its own request: head, empty line, body; `X-Number` counts.
    pub(crate) async fn echo() -> Self {
        Self::start(move |seen, mut stream| {
            Box::pin(async move {
                let body = [seen.head.as_bytes(), b"\r\n", &seen.body].concat();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nX-Number: {}\r\nSet-Cookie: a=b\r\nContent-Length: {}\r\n\r\n",
                    seen.number,
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.ok()?;
                stream.write_all(&body).await.ok()?;
                Some(stream)
            })
        })
        .await
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn speak(stream: TcpStream, script: Script, hits: Arc<AtomicUsize>) {
    let mut stream = BufReader::new(stream);
    loop {
        let head = read_head(&mut stream).await;
        if head.is_empty() {
            return;
        }
        let mut seen = Seen { head, body: Vec::new(), number: 0 };
        let mut body =
            Answer { status: 200, head: seen.head.clone(), body: Vec::new(), whole: true };
        if seen.header("transfer-encoding").is_some() {
            body.read_chunks(&mut stream).await;
        } else if let Some(length) = seen.header("content-length") {
            body.body = vec![0; length.parse().unwrap()];
            if stream.read_exact(&mut body.body).await.is_err() {
                return;
            }
        }
        seen.head = body.head;
        seen.body = body.body;
        seen.number = hits.fetch_add(1, Ordering::SeqCst) + 1;
        match script(seen, stream).await {
            Some(next) => stream = next,
            None => return,
        }
    }
}
>>>>>>> theirs
