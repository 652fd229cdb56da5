//! What an upstream's answer means (docs/SEMANTICS.md, the table of outcomes), row by row.

use testkit::{
    Client, Exchange, Gate, Request, Response, Upstream, engine, engine_with_failpoints, wait_until,
};

/// Which row of the table an answer is in.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Row {
    Executed,
    NotExecuted,
    Unknown,
}

/// Sends a call twice, and checks its outcome and what the repeat gets.
fn check(
    name: &str,
    row: Row,
    first_status: u16,
    script: impl Fn(&mut Exchange) + Send + Sync + 'static,
) {
    let upstream = Upstream::start(move |_, exchange| script(exchange));
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/act"), name);
    let first = engine.send(&request);
    assert_eq!(first.status, first_status, "{name}: {first:?}");
    let execution = engine.proxied().remove(0);
    let second = engine.send(&request);
    let (status, word, hits) = match row {
        Row::Executed => ("completed", "executed", 1),
        Row::NotExecuted => ("failed", "not-executed", 2),
        Row::Unknown => ("in_doubt", "in-doubt", 1),
    };
    assert_eq!(execution["status"], status, "{name}: {execution}");
    assert_eq!(first.word(), word, "{name}: {first:?}");
    assert_eq!(upstream.hits(), hits, "{name}");
    match row {
        Row::Executed => second.assert_is(first.status, "replayed"),
        Row::NotExecuted => {
            second.assert_is(first.status, "not-executed");
            assert_eq!(second.parameter("attempt"), Some("2"), "{name}: {second:?}");
            assert_eq!(engine.proxied().len(), 1, "{name}: the same execution");
        }
        Row::Unknown => {
            second.assert_problem(424, "in-doubt");
            for answer in [&first, &second] {
                assert_no_automatic_retry(answer);
            }
        }
    }
}

/// These fields keep SDKs from retrying on their own.
fn assert_no_automatic_retry(answer: &Response) {
    assert_eq!(answer.header("x-should-retry"), Some("false"), "{answer:?}");
    assert_eq!(answer.header("stripe-should-retry"), Some("false"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), None, "{answer:?}");
}

#[test]
fn complete_successes_are_executed() {
    for status in [200, 201, 202, 204, 206, 300, 301, 302, 303] {
        check(&status.to_string(), Row::Executed, status, move |exchange| {
            let body: &[u8] = if status == 204 { b"" } else { b"done" };
            exchange.answer(status, &[("Location", "/elsewhere")], body);
        });
    }
}

#[test]
fn redirects_that_repeat_the_call_elsewhere_are_not_executed() {
    for status in [307, 308] {
        check(&status.to_string(), Row::NotExecuted, status, move |exchange| {
            exchange.answer(status, &[("Location", "/elsewhere")], b"");
        });
    }
}

#[test]
fn refusals_are_not_executed() {
    for status in [400, 401, 402, 403, 404, 405, 409, 410, 415, 422, 425, 428, 429, 451, 501, 505] {
        check(&status.to_string(), Row::NotExecuted, status, move |exchange| {
            exchange.answer(status, &[], b"no");
        });
    }
    check("503 with Retry-After", Row::NotExecuted, 503, |exchange| {
        exchange.answer(503, &[("Retry-After", "1")], b"later");
    });
}

#[test]
fn server_errors_are_unknown_and_reach_the_caller_unchanged() {
    for status in [408, 500, 502, 503, 504, 507, 520, 599] {
        check(&status.to_string(), Row::Unknown, status, move |exchange| {
            exchange.answer(status, &[("X-Tool", "mail")], b"who knows");
        });
    }
    let upstream =
        Upstream::start(|_, exchange| exchange.answer(500, &[("X-Tool", "mail")], b"oh"));
    let engine = engine!().start();
    let first = engine.post(&upstream.url("/"), "x");
    assert_eq!((first.text().as_str(), first.header("x-tool")), ("oh", Some("mail")));
    let token = first.header("idempotency-retry-token");
    assert!(token.is_some_and(|token| !token.is_empty()), "{first:?}");
}

#[test]
fn answers_that_break_off_are_unknown() {
    check("a reset before the head", Row::Unknown, 502, Exchange::reset);
    check("closed before the head", Row::Unknown, 502, Exchange::close);
    check("half a head", Row::Unknown, 502, |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Le");
        exchange.close();
    });
    check("no HTTP", Row::Unknown, 502, |exchange| {
        exchange.write("220 mail.example ESMTP\r\n");
        exchange.close();
    });
    check("a truncated body", Row::Unknown, 502, |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        exchange.close();
    });
    check("a truncated chunked body", Row::Unknown, 502, |exchange| {
        exchange.begin_chunked(200, &[]);
        exchange.chunk("a part");
        exchange.close();
    });
    check("a reset close-delimited body", Row::Unknown, 502, |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\n\r\na part");
        exchange.reset();
    });
}

#[test]
fn a_gateway_problem_says_whether_bytes_were_sent() {
    let upstream = Upstream::start(|_, exchange| exchange.reset());
    let engine = engine!().start();
    let broken = engine.post(&upstream.url("/"), "x");
    broken.assert_problem(502, "upstream-failed");
    assert_eq!(broken.json()["sent"], "maybe");
    assert!(broken.json()["execution_id"].is_string());

    let closed_port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let url = format!("http://{closed_port}/");
    for attempt in ["1", "2"] {
        let refused = engine.post(&url, "x");
        refused.assert_problem(502, "upstream-failed");
        assert_eq!(refused.json()["sent"], "never", "{}", refused.text());
        assert_eq!(refused.word(), "not-executed");
        assert_eq!(refused.parameter("attempt"), Some(attempt));
    }
    let unknown_host = engine.post("http://no-such-host.invalid/", "x");
    unknown_host.assert_problem(502, "upstream-failed");
    assert_eq!(unknown_host.json()["sent"], "never", "{}", unknown_host.text());
    let statuses: Vec<_> = engine.proxied().iter().map(|one| one["status"].to_string()).collect();
    assert_eq!(statuses, ["\"in_doubt\"", "\"failed\"", "\"failed\""]);
}

#[test]
fn a_refused_connection_that_later_opens_runs() {
    let addr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let engine = engine!().start();
    let request = Request::post(&format!("http://{addr}/act"), "x").key("k");
    engine.send(&request).assert_problem(502, "upstream-failed");
    let upstream =
        Upstream::start_at(&addr.to_string(), |_, exchange| exchange.answer(200, &[], b"ran"));
    let second = engine.send(&request);
    second.assert_is(200, "executed");
    assert_eq!(second.parameter("attempt"), Some("2"));
    engine.send(&request).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 1);
}

#[test]
fn a_refusal_is_passed_on_again_under_an_explicit_key_too() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let upstream = Upstream::start(move |_, exchange| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        exchange.answer(if first { 429 } else { 200 }, &[], b"now");
    });
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/"), "x").key("k");
    engine.send(&request).assert_is(429, "not-executed");
    engine.send(&request).assert_is(200, "executed");
    engine.send(&request).assert_is(200, "replayed");
    assert_eq!(upstream.hits(), 2);
}

#[test]
fn a_close_delimited_body_is_whole_if_a_fin_ends_it() {
    check("close-delimited", Row::Executed, 200, |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it");
        exchange.close();
    });
    check("HTTP/1.0", Row::Executed, 200, |exchange| {
        exchange.write("HTTP/1.0 200 OK\r\n\r\nall of it");
        exchange.close();
    });
}

#[test]
fn an_interim_answer_is_not_the_answer() {
    check("103 before 200", Row::Executed, 200, |exchange| {
        exchange.write("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n");
        exchange.answer(200, &[], b"the answer");
    });
}

#[test]
fn no_redirect_is_followed_and_nothing_is_decompressed() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(
            302,
            &[("Location", "/other"), ("Content-Encoding", "gzip")],
            b"\x1f\x8bnot really",
        );
    });
    let engine = engine!().start();
    let answer = engine.post(&upstream.url("/"), "x");
    assert_eq!(answer.body, b"\x1f\x8bnot really");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let sent = upstream.only();
    assert_eq!(sent.header("accept-encoding"), None);
}

#[test]
fn duplicates_get_the_running_calls_outcome_whatever_it_is() {
    type Script = fn(&mut Exchange);
    let cases: [(u16, Script, u16); 4] = [
        (404, |exchange| exchange.answer(404, &[], b"gone"), 404),
        (429, |exchange| exchange.answer(429, &[("Retry-After", "9")], b"slow"), 429),
        (500, |exchange| exchange.answer(500, &[], b"oh"), 424),
        (502, Exchange::reset, 424),
    ];
    for (leader, script, follower) in cases {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Upstream::start(move |_, exchange| {
            held.wait();
            script(exchange);
        });
        let engine = engine!().start();
        let request = Request::post(&upstream.url("/act"), "x");
        let mut clients: Vec<Client> = Vec::new();
        for i in 0..5 {
            let mut client = Client::connect(engine.proxy).unwrap();
            client.write(request.to_proxy()).unwrap();
            clients.push(client);
            if i == 0 {
                upstream.wait_for_hits(1);
            }
        }
        wait_until("four duplicates wait", || {
            (engine.metric("state_engine_duplicates_waiting", &[]) >= 4.0).then_some(())
        });
        gate.open();
        let answers: Vec<Response> =
            clients.iter_mut().map(|client| client.answer("POST").unwrap()).collect();
        assert_eq!(answers[0].status, leader, "{:?}", answers[0]);
        for answer in &answers[1..] {
            assert_eq!(answer.status, follower, "leader {leader}: {answer:?} {}", answer.text());
        }
        assert_eq!(upstream.hits(), 1, "leader {leader}");
    }
}

/// A bug of the engine in one call leaves that call in doubt, and nothing else: it may have been sent.
#[test]
fn a_panic_after_the_claim_leaves_the_call_in_doubt_and_the_engine_alive() {
    let upstream = Upstream::echo();
    let builder = engine_with_failpoints!().env("STATE_ENGINE_FAILPOINT", "after-claim");
    let engine = builder.env("STATE_ENGINE_FAILPOINT_PANICS", "1").start();
    let url = upstream.url("/act");
    engine.post(&url, "first").assert_problem(500, "internal");
    engine.post(&url, "first").assert_problem(424, "in-doubt");
    engine.post(&url, "second").assert_is(200, "executed");
    assert_eq!(upstream.hits(), 1);
    let status = engine.proxied().remove(0)["status"].clone();
    assert_eq!(status, "in_doubt");
}
