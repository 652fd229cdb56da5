//! Kept connections that a tool closes without a word: no call is in doubt that it has not read.

use std::sync::atomic::{AtomicUsize, Ordering};

use testkit::{
    Client, Ending, Exchange, Request, Response, TestCa, Trusting, Upstream, all_at_once, engine,
};

const CALLERS: usize = 16;
const CALLS: usize = 100;

/// Sends calls on kept connections, all callers at once.
fn ask_all(
    proxy: std::net::SocketAddr,
    request: impl Fn(usize, usize) -> Request + Sync,
) -> Vec<Response> {
    let answers = all_at_once(CALLERS, |caller| {
        let mut client = Client::connect(proxy).unwrap();
        let mut ask = |call| {
            let request = request(caller, call);
            client.write(request.to_proxy()).unwrap();
            client.answer(&request.method).unwrap()
        };
        (0..CALLS).map(&mut ask).collect::<Vec<_>>()
    });
    answers.into_iter().flatten().collect()
}

/// Answers 200, and ends the connection by `end` right behind the answer.
fn closing(end: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |request, exchange| {
        exchange.answer(200, &[], &request.body);
        end(exchange);
    })
}

#[test]
fn a_tool_that_closes_behind_each_answer_leaves_no_call_in_doubt() {
    let upstream = closing(Exchange::close);
    let engine = engine!().start();
    let post = |caller, call| {
        Request::post(&upstream.url("/act"), format!("{caller}-{call}").into_bytes())
    };
    for answer in ask_all(engine.proxy, post) {
        answer.assert_is(200, "executed");
    }
    assert_eq!(upstream.hits(), CALLERS * CALLS);
    let get = |caller, call| Request::get(&upstream.url(&format!("/{caller}/{call}")));
    for answer in ask_all(engine.proxy, get) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn neither_does_one_that_is_read_between_its_calls() {
    let upstream = closing(Exchange::close);
    let engine = engine!().start();
    let mixed = |caller: usize, call: usize| match (caller + call) % 3 {
        0 => Request::get(&upstream.url(&format!("/{caller}/{call}"))),
        1 => Request::new("DELETE", &upstream.url(&format!("/{caller}/{call}"))),
        _ => Request::post(&upstream.url("/act"), format!("{caller}-{call}").into_bytes()),
    };
    for answer in ask_all(engine.proxy, mixed) {
        assert_eq!(answer.status, 200, "{answer:?} {}", answer.text());
    }
    assert!(engine.proxied().iter().all(|call| call["status"] == "completed"));
}

#[test]
fn a_connection_that_was_closed_while_idle_is_not_used() {
    type End = fn(&mut Exchange);
    let ends: [(&str, End); 4] = [
        ("closed", Exchange::close),
        ("reset", Exchange::reset),
        ("only its own side closed", |exchange| {
            let _ = exchange.wire.stream.shutdown(std::net::Shutdown::Write);
            exchange.stall();
        }),
        ("an answer that nobody asked for", |exchange| {
            exchange.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
            exchange.close();
        }),
    ];
    for (name, end) in ends {
        let upstream = closing(end);
        let engine = engine!().start();
        for call in 0..20 {
            let answer = engine.post(&upstream.url("/act"), &format!("{name} {call}"));
            answer.assert_is(200, "executed");
        }
        assert_eq!(upstream.hits(), 20, "{name}");
    }
}

/// The proof that a host keeps connections may be wrong once, and not again soon.
#[test]
fn a_tool_that_loses_a_request_gets_fresh_connections_from_then_on() {
    let lost = AtomicUsize::new(0);
    let upstream = Upstream::start(move |request, exchange| {
        let loses = request.body == b"lose" && lost.fetch_add(1, Ordering::SeqCst) == 0;
        if loses {
            exchange.close();
        } else {
            exchange.answer(200, &[], b"kept");
        }
    });
    let engine = engine!().start();
    // Reads prove that connections are kept.
    for n in 0..3 {
        assert_eq!(engine.send(&Request::get(&upstream.url(&format!("/{n}")))).status, 200);
    }
    let first = engine.post(&upstream.url("/act"), "lose");
    first.assert_problem(502, "upstream-failed");
    assert_eq!(first.json()["sent"], "maybe");
    let before = upstream.connections();
    for n in 0..5 {
        engine.post(&upstream.url("/act"), &format!("{n}")).assert_is(200, "executed");
    }
    assert_eq!(upstream.connections() - before, 5, "each call on its own connection");
}

#[test]
fn a_read_that_a_kept_connection_loses_is_repeated_once() {
    let upstream = Upstream::start(|request, exchange| {
        if request.target() == "/lose" && exchange.number > 1 {
            exchange.close();
        } else {
            exchange.answer(200, &[], b"read");
        }
    });
    let engine = engine!().start();
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(engine.send(&Request::get(&upstream.url("/keep"))).status, 200);
        let answer = engine.send(&Request::new(method, &upstream.url("/lose")));
        assert_eq!(answer.status, 200, "{method} {}", answer.text());
    }
    let always = Upstream::start(|_, exchange| exchange.close());
    let answer = engine.send(&Request::get(&always.url("/")));
    answer.assert_problem(502, "upstream-failed");
    assert_eq!(always.hits(), 1, "a fresh connection proves nothing about the next one");
}

#[test]
fn a_tool_behind_tls_may_close_behind_its_answers_too() {
    for ending in [Ending::Clean, Ending::Cut] {
        let ca = TestCa::new();
        let upstream = closing(Exchange::close);
        let secured = ca.sign(&["localhost"]).before(upstream.addr, ending);
        let builder = engine!().arg("--intercept").arg("localhost");
        let engine = builder.arg("--upstream-ca").arg(ca.file()).start();
        let authority = format!("localhost:{}", secured.port());
        let trusting = Trusting::new(&engine.ca_pem(), &["http/1.1"]);
        let (mut tunnel, _) = trusting.tunnel(engine.proxy, &authority, "localhost", "").unwrap();
        for call in 0..40 {
            let url = format!("https://{authority}/act");
            let answer = tunnel.ask(&Request::post(&url, format!("{call}").into_bytes()));
            answer.assert_is(200, "executed");
        }
        assert_eq!(upstream.hits(), 40, "{ending:?}");
    }
}
