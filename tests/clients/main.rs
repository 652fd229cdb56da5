//! Unchanged clients through the real engine: curl, Python's requests and httpx, Node 24's fetch and
//! undici, against httpbin and an upstream in raw sockets. Each test fails if no call went through
//! the engine.
#![expect(clippy::unwrap_used, reason = "a test stops at the first wrong thing")]

mod http_suite;
mod intercepted;
mod java;
mod matrix;
mod program;

use std::io::Read as _;
use std::process::Child;

use program::{CLIENTS, Httpbin, Printed, command, send};
use testkit::{Engine, Gate, Request, Upstream, engine, wait_until};

const JSON: &str = r#"{"to": "ada", "n": 12345678901234567890}"#;

/// Checks that this many executions went through the proxy, and that it is not none.
fn went_through(engine: &Engine, executions: usize) {
    let proxied = engine.proxied();
    assert_eq!(proxied.len(), executions, "{proxied:#?}");
    assert!(executions > 0);
}

#[test]
fn httpbin_gets_each_call_once() {
    let httpbin = Httpbin::start();
    for client in CLIENTS {
        let engine = engine!().start();
        let before = httpbin.hits();
        let first = send(client, &engine, "POST", &httpbin.url("/post"), JSON);
        first.assert_is(client, 200, "executed");
        let echoed: serde_json::Value = serde_json::from_str(&first.body).unwrap();
        assert_eq!(echoed["data"], JSON, "{client}");
        let second = send(client, &engine, "POST", &httpbin.url("/post"), JSON);
        second.assert_is(client, 200, "replayed");
        assert_eq!(second.body, first.body, "{client}: replayed byte for byte");
        let engine = engine.kill_and_restart();
        send(client, &engine, "POST", &httpbin.url("/post"), JSON)
            .assert_is(client, 200, "replayed");
        assert_eq!(httpbin.hits() - before, 1, "{client}");
        went_through(&engine, 1);
    }
}

#[test]
fn httpbin_statuses_have_the_outcomes_of_the_table() {
    let httpbin = Httpbin::start();
    for client in CLIENTS {
        let engine = engine!().start();
        let before = httpbin.hits();
        let post = |path: &str| send(client, &engine, "POST", &httpbin.url(path), JSON);
        post("/status/201").assert_is(client, 201, "executed");
        post("/status/201").assert_is(client, 201, "replayed");
        post("/status/404").assert_is(client, 404, "not-executed");
        post("/status/404").assert_is(client, 404, "not-executed");
        post("/status/500").assert_is(client, 500, "in-doubt");
        post("/status/500").assert_is(client, 424, "in-doubt");
        assert_eq!(httpbin.hits() - before, 4, "{client}");
        went_through(&engine, 3);
    }
}

#[test]
fn httpbin_reads_pass_with_redirects_compression_and_chunks() {
    let httpbin = Httpbin::start();
    for client in CLIENTS {
        let engine = engine!().start();
        let before = httpbin.hits();
        let read = |path: &str| send(client, &engine, "GET", &httpbin.url(path), "");
        assert!(read("/get?x=%2F").body.contains("\"x\": \"/\""), "{client}");
        assert_eq!(read("/redirect/2").status, 200, "{client}");
        assert_eq!(read("/stream/3").body.lines().count(), 3, "{client}");
        assert_eq!(read("/status/404").status, 404, "{client}");
        if client != "curl" {
            assert!(read("/gzip").body.contains("\"gzipped\": true"), "{client}");
        }
        assert!(httpbin.hits() - before >= 6, "{client}");
        let metrics = engine.metrics();
        assert!(metrics.contains("passed"), "{client}: {metrics}");
        assert!(engine.proxied().is_empty(), "{client}: reads are not stored");
    }
}

/// The client is killed while the tool works. Its retry gets the tool's answer.
#[test]
fn a_killed_client_gets_the_stored_answer_when_it_retries() {
    for client in CLIENTS {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Upstream::start(move |_, exchange| {
            held.wait();
            exchange.answer(201, &[("Content-Type", "application/json")], b"{\"sent\":1}");
        });
        let engine = engine!().start();
        let mut killed =
            command(client, &engine, "POST", &upstream.url("/send"), JSON).spawn().unwrap();
        upstream.wait_for_hits(1);
        killed.kill().unwrap();
        killed.wait().unwrap();
        gate.open();
        wait_until("the answer is stored", || {
            (engine.proxied().first()?["status"] == "completed").then_some(())
        });
        let retry = send(client, &engine, "POST", &upstream.url("/send"), JSON);
        retry.assert_is(client, 201, "replayed");
        assert_eq!(retry.body, "{\"sent\":1}", "{client}");
        assert_eq!(upstream.hits(), 1, "{client}");
        assert!(upstream.only().header("via").is_some(), "{client}");
        went_through(&engine, 1);
    }
}

#[test]
fn an_upstream_that_resets_truncates_or_closes_is_hit_once() {
    for client in CLIENTS {
        let upstream = Upstream::start(|request, exchange| match request.target() {
            "/reset" => exchange.reset(),
            "/close" => exchange.close(),
            _ => {
                exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
                exchange.close();
            }
        });
        let engine = engine!().start();
        for path in ["/reset", "/close", "/truncate"] {
            let post = || send(client, &engine, "POST", &upstream.url(path), JSON);
            post().assert_is(client, 502, "in-doubt");
            post().assert_is(client, 424, "in-doubt");
        }
        assert_eq!(upstream.hits(), 3, "{client}");
        went_through(&engine, 3);
    }
}

#[test]
fn a_client_that_gives_up_on_a_stalled_upstream_finds_the_answer_later() {
    for client in CLIENTS {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Upstream::start(move |_, exchange| {
            exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla");
            held.wait();
            exchange.write("te");
        });
        let engine = engine!().start();
        let mut impatient = command(client, &engine, "POST", &upstream.url("/"), JSON);
        impatient.env("CLIENT_TIMEOUT", "1");
        if client == "curl" {
            impatient.args(["--max-time", "1"]);
        }
        let gave_up = impatient.output().unwrap();
        assert!(!gave_up.status.success(), "{client}: {gave_up:?}");
        upstream.wait_for_hits(1);
        gate.open();
        let retry = send(client, &engine, "POST", &upstream.url("/"), JSON);
        assert_eq!((retry.status, retry.body.as_str()), (200, "late"), "{client}: {retry:?}");
        assert_eq!(upstream.hits(), 1, "{client}");
        went_through(&engine, 1);
    }
}

#[test]
fn events_reach_the_client_before_the_stream_ends() {
    for client in CLIENTS {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = Upstream::start(move |_, exchange| {
            exchange.begin_chunked(200, &[("Content-Type", "text/event-stream")]);
            exchange.chunk("data: one\n\n");
            held.wait();
            exchange.chunk("data: two\n\n");
            exchange.end_chunked(&[]);
        });
        let engine = engine!().start();
        let mut child =
            command(client, &engine, "POST", &upstream.url("/agent"), JSON).spawn().unwrap();
        let first = read_some(&mut child, "data: one\n\n".len());
        assert_eq!(first, b"data: one\n\n", "{client}");
        gate.open();
        let rest = child.wait_with_output().unwrap();
        let printed = Printed::of(&rest.stdout);
        assert_eq!(
            (printed.status, printed.word.as_str()),
            (200, "executing"),
            "{client}: {printed:?}"
        );
        assert_eq!(printed.body, "data: two\n\n", "{client}");
        let again = send(client, &engine, "POST", &upstream.url("/agent"), JSON);
        again.assert_is(client, 200, "replayed");
        assert_eq!(again.body, "data: one\n\ndata: two\n\n", "{client}");
        assert_eq!(upstream.hits(), 1, "{client}");
        went_through(&engine, 1);
    }
}

fn read_some(child: &mut Child, length: usize) -> Vec<u8> {
    let mut first = vec![0; length];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    first
}

#[test]
fn a_client_that_retries_server_errors_itself_has_one_effect() {
    let upstream = Upstream::start(|_, exchange| exchange.answer(500, &[], b"oh"));
    let engine = engine!().start();
    let printed = send("requests-retrying", &engine, "POST", &upstream.url("/pay"), JSON);
    printed.assert_is("requests-retrying", 424, "in-doubt");
    assert_eq!(upstream.hits(), 1);
    went_through(&engine, 1);
}

/// Node's fetch and undici open a tunnel for clear HTTP too.
#[test]
fn posts_in_one_tunnel_are_guarded_and_the_same_in_absolute_form_is_a_duplicate() {
    for client in ["fetch", "undici"] {
        let upstream = Upstream::echo();
        let engine = engine!().start();
        let output =
            command(client, &engine, "POST", &upstream.url("/act"), "1|2|1").output().unwrap();
        assert!(output.status.success(), "{client}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("200 ")).collect();
        assert_eq!(words, ["executed", "executed", "replayed"], "{client}: {text}");
        assert_eq!(upstream.hits(), 2, "{client}");
        let sent = upstream.received().remove(0);
        let mut absolute = Request::new("POST", &upstream.url("/act")).body(sent.body);
        for (name, value) in &sent.head.fields {
            if !["host", "via", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
                absolute = absolute.header(name, value);
            }
        }
        let duplicate = engine.send(&absolute);
        duplicate.assert_is(200, "replayed");
        assert!(text.starts_with(&duplicate.text()), "{client}: {text} {duplicate:?}");
        assert_eq!(upstream.hits(), 2, "{client}");
        went_through(&engine, 2);
    }
}
