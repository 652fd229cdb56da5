//! Answers that come before the request was read: they decide, and the rest of the request does not.

use testkit::{Request, Upstream, engine};

/// A tool that answers `answer` to each request once it has read the head, and closes: what it has
/// not read makes the system reset the connection.
fn hasty(answer: &'static str) -> std::net::SocketAddr {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let mut some = [0; 1024];
                match stream.read(&mut some) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => head.extend_from_slice(&some[..read]),
                }
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    addr
}

/// More than the sockets' buffers hold.
const LARGE: usize = 16 * 1024 * 1024;

#[test]
fn an_answer_to_half_a_request_decides() {
    let engine = engine!().start();
    for (status, word, answer) in [
        (413, "not-executed", "HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"),
        (413, "not-executed", "HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\nlarge"),
        (401, "not-executed", "HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n"),
        (200, "executed", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nenough"),
        (507, "in-doubt", "HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull"),
    ] {
        let tool = hasty(answer);
        for try_number in 0..10 {
            let body = format!("{answer}{try_number}{}", "x".repeat(LARGE));
            let got = engine.send(&Request::post(&format!("http://{tool}/"), body.into_bytes()));
            assert_eq!((got.status, got.word()), (status, word), "{answer:?} {}", got.text());
        }
    }
}

#[test]
fn a_passed_upload_gets_its_early_answer_too() {
    let engine = engine!().arg("--pass").arg("127.0.0.1").start();
    let tool = hasty("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge");
    for _ in 0..10 {
        let request = Request::new("PUT", &format!("http://{tool}/")).body(vec![b'x'; LARGE]);
        let mut client = testkit::Client::connect(engine.proxy).unwrap();
        // The engine may close before it has read everything.
        let _ = client.write(request.to_proxy());
        assert_eq!(client.answer("PUT").unwrap().status, 413);
    }
}

/// An upload that breaks off without an answer is what it was: nobody knows.
#[test]
fn without_an_answer_half_a_request_is_in_doubt() {
    let upstream = hasty("");
    let engine = engine!().start();
    let request = Request::post(&format!("http://{upstream}/"), vec![b'x'; LARGE]);
    let answer = engine.send(&request);
    answer.assert_problem(502, "upstream-failed");
    assert_eq!(answer.json()["sent"], "maybe");
    engine.send(&request).assert_problem(424, "in-doubt");
    let whole = Upstream::echo();
    engine.post(&whole.url("/"), "x").assert_is(200, "executed");
}
