//! Answers that sound final and are not, and what is kept from a client that would retry by itself.

use std::thread;

use testkit::{Client, Gate, Request, Upstream, engine};

/// Once the payment was settled, a 402 says nothing about the call.
#[test]
fn a_402_to_a_request_that_paid_is_unknown() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(402, &[], b"pay"));
    let engine = engine!().start();
    let mut hits = 0;
    for (n, (name, value)) in [
        ("X-PAYMENT", "e30="),
        ("PAYMENT-SIGNATURE", "e30="),
        ("X-Payment-Proof", "0x01"),
        ("Authorization", "Payment id=\"7\""),
        ("Authorization", "L402 AGIAJE:1f"),
    ]
    .into_iter()
    .enumerate()
    {
        let paid = Request::post(&upstream.url("/act"), format!("{n}")).header(name, value);
        engine.send(&paid).assert_is(402, "in-doubt");
        engine.send(&paid).assert_problem(424, "in-doubt");
        hits += 1;
        assert_eq!(upstream.hits(), hits, "{name}");
    }
    for (name, value) in
        [("X-Other", "e30="), ("Payment-Method", "card"), ("Authorization", "Bearer payment")]
    {
        let unpaid = Request::post(&upstream.url("/act"), name).header(name, value);
        engine.send(&unpaid).assert_is(402, "not-executed");
        engine.send(&unpaid).assert_is(402, "not-executed");
    }
}

const INVITATIONS: [&str; 4] =
    ["Retry-After", "retry-after-ms", "X-Ms-Retry-After-Ms", "X-Should-Retry"];

#[test]
fn no_answer_that_leaves_a_call_in_doubt_invites_to_a_retry() {
    let gate = Gate::new();
    let shut = gate.clone();
    let upstream = Upstream::start(move |request, exchange| {
        let fields = INVITATIONS.map(|name| (name, "7"));
        match request.target() {
            "/trailers" => {
                let announced = [("Trailer", "Retry-After, retry-after-ms, X-Sum")];
                exchange.begin_chunked(500, &announced);
                exchange.chunk("oh");
                exchange.end_chunked(&[
                    ("Retry-After", "7"),
                    ("retry-after-ms", "7"),
                    ("X-Sum", "1"),
                ]);
            }
            "/stream" => {
                let kind = [("Content-Type", "application/x-ndjson")];
                exchange.begin_chunked(500, &[&kind[..], &fields].concat());
                exchange.chunk("{}\n");
                exchange.end_chunked(&[]);
            }
            "/slow" => {
                shut.wait();
                exchange.answer(500, &fields, b"oh");
            }
            _ => exchange.answer(500, &fields, b"oh"),
        }
    });
    let engine = engine!().start();
    let send = |path: &str| {
        let request = Request::post(&upstream.url(path), "a").header("TE", "trailers");
        engine.send(&request)
    };
    let check = |answer: &testkit::Response| {
        for name in &INVITATIONS[..3] {
            assert_eq!(answer.header(name), None, "{answer:?}");
            let in_trailers =
                answer.trailers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            assert!(!in_trailers, "{answer:?}");
        }
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{answer:?}");
    };
    for path in ["/whole", "/trailers", "/stream"] {
        let first = send(path);
        assert_eq!(first.status, 500, "{first:?}");
        check(&first);
        let held = send(path);
        held.assert_problem(424, "in-doubt");
        check(&held);
    }
    let trailer = send_with_trailers(&engine, &upstream);
    assert_eq!(trailer, Some("1".to_owned()), "other trailers stay");
    thread::scope(|scope| {
        let first = scope.spawn(|| send("/slow"));
        upstream.wait_for_hits(5);
        let mut second = Client::connect(engine.proxy).unwrap();
        let request = Request::post(&upstream.url("/slow"), "a").header("TE", "trailers");
        second.write(request.to_proxy()).unwrap();
        gate.open();
        check(&first.join().unwrap());
        let coalesced = second.answer("POST").unwrap();
        coalesced.assert_problem(424, "in-doubt");
        check(&coalesced);
    });
}

fn send_with_trailers(engine: &testkit::Engine, upstream: &Upstream) -> Option<String> {
    let request = Request::post(&upstream.url("/trailers"), "b").header("TE", "trailers");
    let answer = engine.send(&request);
    answer.trailers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("x-sum")).map(|(_, v)| v)
}

/// A known refusal may say when to come back.
#[test]
fn a_refusal_keeps_its_retry_after() {
    let upstream = Upstream::start(|request, exchange| {
        let status = request.target()[1..].parse().unwrap();
        exchange.answer(status, &[("Retry-After", "7")], b"later");
    });
    let engine = engine!().start();
    for status in [429, 503, 409] {
        let answer = engine.post(&upstream.url(&format!("/{status}")), "a");
        answer.assert_is(status, "not-executed");
        assert_eq!(answer.header("retry-after"), Some("7"));
    }
    let put = Request::new("PUT", &upstream.url("/500")).body("a");
    let answer = engine.send(&put);
    assert_eq!((answer.word(), answer.parameter("reason")), ("in-doubt", Some("idempotent")));
    assert_eq!(answer.header("retry-after"), Some("7"), "a PUT may be sent again");
}

#[test]
fn under_an_explicit_key_agent_repeat_is_another_intent() {
    let upstream = Upstream::start(|request, exchange| match request.header("x-fails") {
        Some(_) => exchange.answer(500, &[], b"oh"),
        None => exchange.answer(200, &[], b"done"),
    });
    let engine = engine!().start();
    let request = Request::post(&upstream.url("/act"), "a").key("k");
    let with = |value: &str| request.clone().header("Agent-Repeat", value);
    engine.send(&request.clone().header("X-Fails", "1")).assert_is(500, "in-doubt");
    let held = engine.send(&request.clone().header("X-Fails", "1"));
    held.assert_problem(424, "in-doubt");
    assert!(held.json()["detail"].as_str().unwrap().contains("Agent-Repeat"), "{}", held.text());
    for value in ["2", "3"] {
        engine.send(&with(value)).assert_is(200, "executed");
        let again = engine.send(&with(value));
        again.assert_is(200, "replayed");
        assert_eq!(again.parameter("key"), Some("explicit"));
        assert_eq!(again.header("idempotency-key"), Some("k"));
    }
    // Another input under the same intent is still refused.
    let other = Request::post(&upstream.url("/act"), "b").key("k").header("Agent-Repeat", "2");
    engine.send(&other).assert_problem(422, "key-reuse");
    assert_eq!(upstream.hits(), 3);
}
