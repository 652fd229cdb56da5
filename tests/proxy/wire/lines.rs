//! Request lines and heads that a parser refuses: what has one meaning arrives as it was written, and what
//! has none gets a problem.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use testkit::{Client, Engine, Request, Response, Upstream, engine};

/// A tool that keeps the targets of its requests as bytes, and answers 200.
fn tool() -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let targets = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&targets);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || answer(stream, &kept));
        }
    });
    (addr, targets)
}

fn answer(mut stream: TcpStream, targets: &Mutex<Vec<Vec<u8>>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default().to_vec();
    targets.lock().unwrap().push(target);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let _ = stream.write_all(answer.as_bytes());
}

/// The bytes of a request whose target has these bytes behind the authority.
fn request(method: &str, to: SocketAddr, path: &[u8]) -> Vec<u8> {
    let start = format!("{method} http://{to}");
    let rest = format!(" HTTP/1.1\r\nHost: {to}\r\nContent-Length: 0\r\n\r\n");
    [start.as_bytes(), path, rest.as_bytes()].concat()
}

fn ask(engine: &Engine, bytes: impl AsRef<[u8]>) -> Response {
    let mut client = Client::connect(engine.proxy).unwrap();
    // The engine may refuse before it has read everything.
    let _ = client.write(bytes);
    client.answer("POST").unwrap()
}

const PATHS: [&[u8]; 14] = [
    b"/\"quoted\"?q=\"a\"",
    b"/<a>/b?c=<d>",
    b"/`tick`?`",
    b"/{id}|x^y\\z?{a}|b^c\\d",
    b"/caf\xc3\xa9?n=\xe4\xbd\xa0",
    b"/latin-\xe9?\xff\xfe",
    b"/half-\xc3",
    b"/\xf4\x8f\xbc\xa2",
    b"/del-\x7f",
    b"/%22%zz\"",
    b"/a?b?c=\"",
    b"?\"",
    b"/[brackets]?[]",
    b"/'single'?'",
];

#[test]
fn a_target_arrives_as_it_was_written_and_is_its_own_key() {
    let (to, targets) = tool();
    let engine = engine!().start();
    for path in PATHS {
        let shown = String::from_utf8_lossy(path).into_owned();
        for word in ["executed", "replayed"] {
            let answer = ask(&engine, request("POST", to, path));
            assert_eq!((answer.status, answer.word()), (200, word), "{shown}: {}", answer.text());
        }
        let sent = if path.starts_with(b"?") { [b"/", path].concat() } else { path.to_vec() };
        assert_eq!(targets.lock().unwrap().last().unwrap(), &sent, "{shown}");
        assert_eq!(ask(&engine, request("GET", to, path)).status, 200, "{shown}");
        assert_eq!(targets.lock().unwrap().last().unwrap(), &sent, "{shown}");
    }
    // Encoded, it is another URL, and so another call.
    ask(&engine, request("POST", to, b"/%22quoted%22?q=%22a%22")).assert_is(200, "executed");
    assert_eq!(engine.proxied().len(), PATHS.len() + 1);
}

#[test]
fn so_does_one_in_a_tunnel_by_a_route_and_in_pieces() {
    let (to, targets) = tool();
    let mut builder = engine!();
    let file = builder.home().join("engine.toml");
    std::fs::write(&file, format!("[[route]]\nname = \"tool\"\nto = \"http://{to}\"\n")).unwrap();
    builder = builder.arg("--config").arg(&file);
    let engine = builder.start();
    let path = b"/\"a\"?<\xe9>";
    let origin = |path: &[u8], host: SocketAddr| {
        let rest = format!(" HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        [b"POST ", path, rest.as_bytes()].concat()
    };
    let last = || targets.lock().unwrap().last().cloned().unwrap();
    let (mut tunnel, _) = Client::tunnel(engine.proxy, &to.to_string(), "").unwrap();
    tunnel.write(origin(path, to)).unwrap();
    tunnel.answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(last(), path);
    let routed = [b"/to/tool", path.as_slice()].concat();
    ask(&engine, origin(&routed, engine.proxy)).assert_is(200, "replayed");
    let mut client = Client::connect(engine.proxy).unwrap();
    for piece in request("POST", to, b"/in-\"pieces\"-\xc3\xa9").chunks(7) {
        client.write(piece).unwrap();
    }
    client.answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(last(), b"/in-\"pieces\"-\xc3\xa9");
    // The next request on the same connection.
    client.write(request("POST", to, b"/next`")).unwrap();
    client.answer("POST").unwrap().assert_is(200, "executed");
    assert_eq!(last(), b"/next`");
}

#[test]
fn whatever_cannot_be_read_gets_a_problem() {
    let engine = engine!().start();
    let head =
        |fields: &str| format!("GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    for (name, status, bytes) in [
        ("no HTTP", 400, "hello\r\n\r\n".to_owned()),
        ("no version", 400, "GET /\r\n\r\n".to_owned()),
        ("HTTP/3", 400, "GET http://127.0.0.1:9/ HTTP/3.0\r\n\r\n".to_owned()),
        ("a space in the target", 400, "GET http://127.0.0.1:9/a b HTTP/1.1\r\n\r\n".to_owned()),
        ("a method that is none", 400, "G@T http://127.0.0.1:9/ HTTP/1.1\r\n\r\n".to_owned()),
        ("a space before the colon", 400, head("X-A : 1\r\n")),
        ("a folded field", 400, head("X-A: 1\r\n 2\r\n")),
        ("a NUL", 400, head("X-A: a\0b\r\n")),
        ("no colon", 400, head("hello\r\n")),
        ("two lengths", 400, head("Content-Length: 1\r\nContent-Length: 2\r\n")),
        ("an odd host", 400, "GET http://a\"b/ HTTP/1.1\r\n\r\n".to_owned()),
        (
            "a long target",
            414,
            format!("GET http://127.0.0.1:9/{} HTTP/1.1\r\n\r\n", "a".repeat(70_000)),
        ),
        ("many fields", 431, head(&"X-A: 1\r\n".repeat(300))),
        ("a large head", 431, head(&format!("X-A: {}\r\n", "a".repeat(900_000)))),
    ] {
        let answer = ask(&engine, bytes);
        assert_eq!((answer.status, &*answer.code()), (status, "malformed"), "{name}: {answer:?}");
        assert!(answer.whole && answer.header("date").is_some(), "{name}: {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{name}: {answer:?}");
    }
    // A tool's own bare 400 is its own.
    let tool = Upstream::start(|_, exchange| {
        exchange
            .write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        exchange.close();
    });
    let answer = engine.send(&Request::get(&tool.url("/")));
    assert_eq!((answer.status, answer.header("content-type")), (400, None), "{answer:?}");
}
