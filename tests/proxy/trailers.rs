//! Trailers say nothing that a head must not, and a body that cannot be undone is not passed on.

use testkit::{Client, Request, Upstream, engine};

/// Fields that a trailer must not have: the engine's own, those of one connection, and those that
/// come too late behind a body.
pub(super) const FORGED: [(&str, &str); 13] = [
    ("Idempotency-Status", "executed; key=forged"),
    ("Idempotent-Replayed", "true"),
    ("Agent-Execution-Id", "01a22d26-c723-72b1-9c6e-22ed833c07d3"),
    ("Idempotency-Retry-Token", "forged"),
    ("Idempotency-Key", "forged"),
    ("Agent-Session", "forged"),
    ("Transfer-Encoding", "gzip"),
    ("Content-Length", "1"),
    ("Content-Encoding", "gzip"),
    ("Connection", "close"),
    ("Proxy-Authenticate", "Basic"),
    ("Set-Cookie", "forged=1"),
    ("Host", "forged.example"),
];

/// A tool whose trailers are forged, except `X-Sum`.
pub(super) fn forging() -> Upstream {
    Upstream::start(|request, exchange| {
        let names: Vec<&str> = FORGED.iter().map(|(name, _)| *name).collect();
        let announced = format!("X-Sum, {}", names.join(", "));
        let media = if request.target().starts_with("/stream") {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        exchange.begin_chunked(200, &[("Content-Type", media), ("Trailer", &announced)]);
        exchange.chunk("{}\n");
        let mut trailers = FORGED.to_vec();
        trailers.insert(6, ("X-Sum", "7"));
        exchange.end_chunked(&trailers);
    })
}

#[test]
fn a_tool_cannot_speak_for_the_engine_in_its_trailers() {
    let upstream = forging();
    let engine = engine!().start();
    for path in ["/whole", "/stream"] {
        let post = Request::post(&upstream.url(path), path)
            .header("TE", "trailers")
            .header("Connection", "TE");
        let stored = if path == "/stream" { "executing" } else { "executed" };
        for word in [stored, "replayed", "replayed"] {
            let answer = engine.send(&post);
            answer.assert_is(200, word);
            assert_eq!(answer.trailers, [("X-Sum".to_owned(), "7".to_owned())], "{path} {word}");
            let announced = answer.header("trailer").unwrap_or_default().to_ascii_lowercase();
            assert_eq!(announced, "x-sum", "{path} {word}: {answer:?}");
        }
        let read = Request { method: "GET".to_owned(), body: Vec::new(), ..post };
        let answer = engine.send(&read);
        assert_eq!(answer.trailers, [("X-Sum".to_owned(), "7".to_owned())], "{path}: {answer:?}");
    }
}

/// Nothing is left of them if none may pass.
#[test]
fn a_body_whose_trailers_are_all_removed_ends_properly() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.begin_chunked(200, &[("Trailer", "Idempotency-Status")]);
        exchange.chunk("x");
        exchange.end_chunked(&FORGED[..4]);
    });
    let engine = engine!().start();
    for request in [Request::post(&upstream.url("/"), "x"), Request::get(&upstream.url("/"))] {
        let answer = engine.send(&request.header("TE", "trailers").header("Connection", "TE"));
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (200, "x", true));
        assert!(answer.trailers.is_empty() && answer.header("trailer").is_none(), "{answer:?}");
    }
}

#[test]
fn a_request_cannot_carry_in_its_trailers_what_its_head_must_not() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let names: Vec<&str> = FORGED.iter().map(|(name, _)| *name).collect();
    let fields: String =
        FORGED.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    for (method, path) in [("POST", "/guarded"), ("QUERY", "/read")] {
        let mut client = Client::connect(engine.proxy).unwrap();
        let (url, host) = (upstream.url(path), upstream.addr);
        let head = format!(
            "{method} {url} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
             Trailer: X-Sum, {}\r\n\r\n",
            names.join(", ")
        );
        client.write(format!("{head}1\r\nx\r\n0\r\n{fields}X-Sum: 7\r\n\r\n")).unwrap();
        let answer = client.answer(method).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = upstream.received().pop().unwrap();
        assert_eq!(received.trailers, [("X-Sum".to_owned(), "7".to_owned())], "{received:?}");
    }
}

#[test]
fn an_answer_in_an_unknown_transfer_coding_is_not_passed_on() {
    let codings: [&[&str]; 6] = [
        &["gzip, chunked"],
        &["xchunked"],
        &["chunked, chunked"],
        &["gzip", "chunked"],
        &["chunked", "identity"],
        &[""],
    ];
    let upstream = Upstream::start(move |request, exchange| {
        let n: usize = request.target()[1..].parse().unwrap();
        let fields: Vec<_> =
            codings[n].iter().map(|coding| format!("Transfer-Encoding: {coding}\r\n")).collect();
        let fields = fields.concat();
        exchange.write(format!("HTTP/1.1 200 OK\r\n{fields}\r\n1\r\nx\r\n0\r\n\r\n"));
        exchange.close();
    });
    let engine = engine!().start();
    for (n, coding) in codings.iter().enumerate() {
        let url = upstream.url(&format!("/{n}"));
        let post = Request::post(&url, "x");
        let answer = engine.send(&post);
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream-failed"), "{coding:?}");
        engine.send(&post).assert_problem(424, "in-doubt");
        let read = engine.send(&Request::get(&url));
        assert_eq!((read.status, read.code().as_str()), (502, "upstream-failed"), "{coding:?}");
        let head = engine.send(&Request::new("HEAD", &url));
        assert_eq!(head.status, 200, "{coding:?}: no body, so no coding of it");
    }
}
