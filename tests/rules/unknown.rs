//! `unknown_if` and `failed_if`: answers of which only the body says what they mean, in every form that a
//! body comes in.

use testkit::codings::{brotli, gzip, raw_deflate, zlib, zstd};
use testkit::{Request, Upstream};

use super::configured;

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn a_rule_says_which_answers_leave_the_outcome_open() {
    let upstream = Upstream::start(|request, exchange| {
        let (status, body): (u16, &[u8]) = match request.target() {
            "/member" => (200, b"{\"state\":{\"code\":\"pend\\u0069ng\"}}"),
            "/number" => (200, b"{\"left\": 3}"),
            "/text" => (200, b"{\"note\":\"We Lost Track of it\"}"),
            "/html" => (400, b"<p>we lost track of it</p>"),
            "/escaped" => (422, b"{\"note\":\"lost tr\\u0061ck\"}"),
            "/status" => (409, b"{}"),
            "/listed" => (418, b"{}"),
            _ => (200, b"{\"state\":{\"code\":\"done\"},\"left\":30}"),
        };
        exchange.answer(status, &[JSON], body);
    });
    let rules = "[[rule]]\nunknown_if = { \"/state/code\" = \"pending\", \"/left\" = 3, \
                 status = [409, 418], text = \"lost track\" }\n";
    let engine = configured(&upstream, rules).start();
    let open = ["/member", "/number", "/text", "/escaped", "/status", "/listed"];
    for path in open {
        let first = engine.post(&upstream.url(path), "a");
        assert_eq!(first.word(), "in-doubt", "{path} {first:?}");
        engine.post(&upstream.url(path), "a").assert_problem(424, "in-doubt");
    }
    engine.post(&upstream.url("/fine"), "a").assert_is(200, "executed");
    engine.post(&upstream.url("/fine"), "a").assert_is(200, "replayed");
    assert_eq!(upstream.hits(), open.len() + 1);
    // JSON by its type, and not JSON: it may say anything.
    engine.post(&upstream.url("/html"), "a").assert_is(400, "in-doubt");
}

/// Forms of one JSON text, and the content type and coding of each.
fn forms(text: &str) -> Vec<(&'static str, &'static str, &'static str, Vec<u8>)> {
    const KIND: &str = "application/json";
    let plain = text.as_bytes();
    let utf16 = |mark: &[u8]| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    let (first, second) = plain.split_at(4);
    vec![
        ("plain", KIND, "", plain.to_vec()),
        ("no type", "", "", plain.to_vec()),
        ("gzip", KIND, "gzip", gzip(plain)),
        ("members", KIND, "gzip", [gzip(first), gzip(second)].concat()),
        ("br", KIND, "br", brotli(plain)),
        ("zstd", KIND, "zstd", zstd(plain)),
        ("zlib", KIND, "deflate", zlib(plain)),
        ("deflate", KIND, "deflate", raw_deflate(plain)),
        ("two codings", KIND, "br, gzip", gzip(&brotli(plain))),
        ("mark", KIND, "", [&b"\xef\xbb\xbf"[..], plain].concat()),
        ("UTF-16", "application/json; charset=utf-16le", "", utf16(b"")),
        ("UTF-16 with a mark", KIND, "", utf16(b"\xff\xfe")),
        ("UTF-16 in br", KIND, "br", brotli(&utf16(b"\xff\xfe"))),
    ]
}

/// Forms that cannot be read.
fn unreadable() -> Vec<(&'static str, &'static str, &'static str, Vec<u8>)> {
    const KIND: &str = "application/json";
    let large = format!("{{\"ok\":true,\"filler\":\"{}\"}}", "x".repeat(9 << 20));
    vec![
        ("unknown coding", KIND, "compress", b"{\"ok\":true}".to_vec()),
        ("no gzip", KIND, "gzip", b"{\"ok\":true}".to_vec()),
        ("half a gzip", KIND, "gzip", gzip(b"{\"ok\":true}")[..18].to_vec()),
        ("too large when decoded", KIND, "gzip", gzip(large.as_bytes())),
        ("too large", KIND, "", large.into_bytes()),
        ("twice the member", KIND, "", b"{\"ok\":true,\"ok\":false}".to_vec()),
        ("half a document", KIND, "", b"{\"ok\":true".to_vec()),
        ("half of UTF-16", KIND, "", b"\xff\xfe{\0\"".to_vec()),
        ("JSON without a type", "", "", b"{\"ok\":true,}".to_vec()),
    ]
}

#[test]
fn a_rule_reads_every_form_of_an_answer() {
    let all = |text: &str| forms(text);
    let answers: Vec<_> = all("{\"ok\":false,\"é\":1}")
        .into_iter()
        .chain(all("{\"ok\":true,\"é\":1}"))
        .chain(unreadable())
        .collect();
    let count = forms("{\"a\":1}").len();
    let served = answers.clone();
    let upstream = Upstream::start(move |request, exchange| {
        let number: usize = request.target().rsplit('/').next().unwrap().parse().unwrap();
        let (_, kind, coding, body) = &served[number];
        let fields = [("Content-Type", *kind), ("Content-Encoding", *coding)];
        let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        exchange.answer(200, &fields, body);
    });
    let rules = "[[rule]]\npath = \"/failed/*\"\nfailed_if = { \"/ok\" = false }\n\
                 [[rule]]\npath = \"/unknown/*\"\nunknown_if = { \"/ok\" = false }\n";
    let engine = configured(&upstream, rules).start();
    for (rule, no) in [("failed", "not-executed"), ("unknown", "in-doubt")] {
        for (number, (name, ..)) in answers.iter().enumerate() {
            let path = format!("/{rule}/{number}");
            let word = match number {
                number if number < count => no,
                number if number < 2 * count => "executed",
                _ => "in-doubt",
            };
            let answer = engine.send(&Request::post(&upstream.url(&path), "a"));
            let again = engine.send(&Request::post(&upstream.url(&path), "a"));
            // A large answer streams: its head comes before its outcome.
            if answer.word() != "executing" {
                assert_eq!((answer.status, answer.word()), (200, word), "{rule} {name}");
            }
            match word {
                "in-doubt" => again.assert_problem(424, "in-doubt"),
                "executed" => again.assert_is(200, "replayed"),
                word => again.assert_is(200, word),
            }
        }
    }
    // Where no rule and no row has to look, the status decides.
    engine.post(&upstream.url(&format!("/other/{}", 2 * count)), "a").assert_is(200, "executed");
}

#[test]
fn the_table_of_refusals_reads_every_form_too() {
    let refusal = forms("{\"errors\":[{\"message\":\"no\"}]}");
    let served: Vec<_> = refusal.iter().cloned().chain(unreadable()).collect();
    let answers = served.clone();
    let upstream = Upstream::start(move |request, exchange| {
        let number: usize = request.header("x-number").unwrap().parse().unwrap();
        let (_, kind, coding, body) = &served[number];
        let fields = [("Content-Type", *kind), ("Content-Encoding", *coding)];
        let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        exchange.answer(200, &fields, body);
    });
    let engine = configured(&upstream, "").start();
    for (number, (name, ..)) in answers.iter().enumerate() {
        let mutation = format!("{{\"query\":\"mutation {{ pay(n: {number}) }}\"}}");
        let request = Request::post_json(&upstream.url("/graphql"), mutation);
        let answer = engine.send(&request.header("X-Number", &number.to_string()));
        let word = if number < refusal.len() { "not-executed" } else { "in-doubt" };
        if answer.word() != "executing" {
            assert_eq!((answer.status, answer.word()), (200, word), "{name}");
        }
    }
}

#[test]
fn a_request_is_read_in_every_coding_too() {
    let upstream = super::fine();
    let rules = "[[rule]]\nkey = \"/order\"\n";
    let engine = configured(&upstream, rules).start();
    for (number, (name, kind, coding, body)) in
        forms("{\"order\":\"o-7\",\"n\":1}").into_iter().enumerate()
    {
        // Charsets other than UTF-8 are compared byte by byte.
        if kind.is_empty() || name.contains("UTF-16") || name == "mark" {
            continue;
        }
        let mut request = Request::new("POST", &upstream.url(&format!("/{number}"))).body(body);
        request = request.header("Content-Type", kind);
        if !coding.is_empty() {
            request = request.header("Content-Encoding", coding);
        }
        let answer = engine.send(&request);
        answer.assert_is(200, "executed");
        assert_eq!(answer.header("idempotency-key"), Some("o-7"), "{name}");
    }
}

#[test]
fn a_sign_that_cannot_be_meant_is_refused() {
    for (signs, complaint) in [
        ("{ state = 1 }", "must be `status`, `text`, or a pointer"),
        ("{ status = 20 }", "is not a status"),
        ("{ status = \"409\" }", "a status from 100 to 999"),
        ("{ text = \" \" }", "an empty text"),
        ("{ \"/a\" = [1] }", "a whole number or a text"),
        ("\"x\"", "a table of"),
    ] {
        let builder = configured(&super::fine(), &format!("[[rule]]\nunknown_if = {signs}\n"));
        let Err((_, log)) = builder.try_start() else { panic!("accepted: {signs}") };
        assert!(log.contains(complaint), "{signs}: {log}");
    }
}

/// A retry whose request names another time is the same call, in whatever form its body comes.
#[test]
fn a_rule_ignores_members_in_every_form_of_a_request() {
    let upstream = Upstream::echo();
    let rules = "[[rule]]\nignore = \"/sent_at\"\n";
    let engine = configured(&upstream, rules).start();
    let send = |(name, kind, coding, body): (&str, &str, &str, Vec<u8>)| {
        let mut request =
            Request::new("POST", &upstream.url(&format!("/{}", name.replace(' ', "-"))));
        for (field, value) in [("Content-Type", kind), ("Content-Encoding", coding)] {
            if !value.is_empty() {
                request = request.header(field, value);
            }
        }
        engine.send(&request.body(body))
    };
    let mut calls = 0;
    for ((first, again), other) in forms("{\"pay\":5,\"sent_at\":1}")
        .into_iter()
        .zip(forms("{\"pay\":5,\"sent_at\":22}"))
        .zip(forms("{\"pay\":6,\"sent_at\":1}"))
        .filter(|((first, _), _)| first.0 != "no type")
    {
        let name = first.0;
        assert_eq!(send(first).word(), "executed", "{name}");
        assert_eq!(send(again).word(), "replayed", "{name}");
        assert_eq!(send(other).word(), "executed", "{name}");
        calls += 2;
    }
    assert_eq!(upstream.hits(), calls);
}
