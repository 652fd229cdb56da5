//! Header fields: which of them make a retry another call, with a key, without one, and in doubt.

use std::collections::HashSet;

use testkit::{Client, Request, Upstream, engine};

/// Answers by the first segment of the path: 504 for `/lost`, 200 for all others.
pub(super) fn by_path() -> Upstream {
    Upstream::start(|request, exchange| {
        let status = if request.target().starts_with("/lost") { 504 } else { 200 };
        exchange.answer(status, &[], b"answer");
    })
}

/// How often the tool was reached at this path.
pub(super) fn hits_at(upstream: &Upstream, path: &str) -> usize {
    let path_of = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
    upstream.received().iter().filter(|one| path_of(one.target()) == path).count()
}

/// Fields that describe one try, with the values of three of them.
const TRIES: &[(&str, [&str; 3])] = &[
    ("Retry-Attempt", ["0", "1", "2"]),
    ("X-Retry-Count", ["0", "1", "2"]),
    ("X-Retry-Attempt", ["1", "2", "3"]),
    ("X-Retry", ["false", "true", "true"]),
    ("Retry-Count", ["0", "1", "2"]),
    ("X-Attempt", ["1", "2", "3"]),
    ("X-Request-Attempt", ["1", "2", "3"]),
    ("X-Envoy-Attempt-Count", ["1", "2", "3"]),
    ("X-Is-Retry", ["0", "1", "1"]),
    ("newrelic", ["eyJ2IjpbMCwxXX0=", "eyJ2IjpbMCwyXX0=", "eyJ2IjpbMCwzXX0="]),
    ("X-Cloud-Trace-Context", ["a/1;o=1", "b/1;o=1", "c/1;o=0"]),
    ("X-Amzn-Trace-Id", ["Root=1-a", "Root=1-b", "Root=1-c"]),
    ("uber-trace-id", ["a:1:0:1", "b:1:0:1", "c:1:0:1"]),
    ("elastic-apm-traceparent", ["00-a-1-01", "00-b-1-01", "00-c-1-01"]),
    ("X-Instana-T", ["a", "b", "c"]),
    ("x-dynatrace", ["FW4;1", "FW4;2", "FW4;3"]),
    ("Pinpoint-SpanID", ["1", "2", "3"]),
    ("sw8", ["1-a", "1-b", "1-c"]),
    ("x-ms-date", ["Mon, 01", "Tue, 02", "Wed, 03"]),
    ("DPoP", ["e30.eyJqdGkiOiIxIn0.s1", "e30.eyJqdGkiOiIyIn0.s2", "e30.eyJqdGkiOiIzIn0.s3"]),
    ("X-PAYMENT", ["cGF5LTE=", "cGF5LTI=", "cGF5LTM="]),
    ("PAYMENT-SIGNATURE", ["cGF5LTE=", "cGF5LTI=", "cGF5LTM="]),
    ("X-Forwarded-For", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    ("X-Real-IP", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    ("X-Request-Start", ["t=1", "t=2", "t=3"]),
    ("X-CSRF-Token", ["a", "b", "c"]),
    ("Priority", ["u=3", "u=1", "u=0, i"]),
    ("Referer", ["http://a.test/", "http://b.test/", "http://c.test/"]),
    ("Sec-Fetch-Site", ["none", "same-origin", "cross-site"]),
    // Names that nobody has listed.
    ("X-Acme-Retries-So-Far", ["0", "1", "2"]),
    ("Widget-Trace", ["a", "b", "c"]),
    ("Zeta-Apm-Parent", ["a", "b", "c"]),
    ("X-Contoso-Correlation", ["a", "b", "c"]),
    ("X-Try-Deadline", ["1", "2", "3"]),
    ("Acme-Device-Attestation", ["a", "b", "c"]),
];

#[test]
fn what_describes_a_try_makes_no_second_call() {
    let upstream = by_path();
    let engine = engine!().start();
    for outcome in ["done", "lost"] {
        for key in [None, Some("order-7")] {
            for (name, values) in TRIES {
                let path = format!("/{outcome}/{name}/{}", key.unwrap_or("derived"));
                for (index, value) in values.iter().enumerate() {
                    let request = Request::post(&upstream.url(&path), "1 EUR").header(name, value);
                    let request = key.map_or(request.clone(), |key| request.key(key));
                    let answer = engine.send(&request);
                    let expected = match (outcome, index) {
                        ("done", 0) => (200, "executed"),
                        ("done", _) => (200, "replayed"),
                        (_, 0) => (504, "in-doubt"),
                        _ => (424, "in-doubt"),
                    };
                    assert_eq!((answer.status, answer.word()), expected, "{path}: {value}");
                }
                assert_eq!(hits_at(&upstream, &path), 1, "{path}");
            }
        }
    }
}

#[test]
fn two_calls_that_differ_in_any_other_header_both_run_when_nothing_is_in_doubt() {
    let upstream = by_path();
    let engine = engine!().start();
    for name in [
        "X-Mode",
        "X-Delivery-Date",
        "X-Priority",
        "X-Tracking-Number",
        "Origin",
        "X-Forwarded-User",
    ] {
        for value in ["one", "two"] {
            let request = Request::post(&upstream.url("/done"), name).header(name, value);
            engine.send(&request).assert_is(200, "executed");
            engine.send(&request).assert_is(200, "replayed");
        }
        assert_eq!(upstream.hits_with(name.as_bytes()), 2, "{name}");
    }
}

/// Fields that select what is done, to what, or for which account.
const KNOWN: &[&str] = &[
    "X-Amz-Target",
    "SOAPAction",
    "Stripe-Account",
    "Upload-Offset",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Range",
    "Content-Range",
    "Prefer",
    "X-HTTP-Method-Override",
    "Depth",
    "Destination",
    "Overwrite",
    "X-Goog-User-Project",
    "OpenAI-Organization",
    "X-GitHub-Api-Version",
    "Xero-Tenant-Id",
    "X-Tenant-Id",
    "Dropbox-API-Arg",
    // By word.
    "Acme-Workspace",
    "X-On-Behalf-Of",
    "X-Customer-Number",
];

#[test]
fn a_known_header_makes_it_another_call_under_one_key_and_in_doubt() {
    let upstream = by_path();
    let engine = engine!().start();
    for name in KNOWN {
        let at =
            |path: &str, value: &str| Request::post(&upstream.url(path), *name).header(name, value);
        let keyed = |value: &str| at("/done", value).key(name);
        engine.send(&keyed("1")).assert_is(200, "executed");
        engine.send(&keyed("2")).assert_problem(422, "key-reuse");
        engine.send(&keyed("1")).assert_is(200, "replayed");
        engine.send(&at("/lost", "1")).assert_is(504, "in-doubt");
        engine.send(&at("/lost", "2")).assert_is(504, "in-doubt");
        engine.send(&at("/lost", "1")).assert_problem(424, "in-doubt");
    }
    assert_eq!(upstream.hits(), 3 * KNOWN.len());
}

#[test]
fn a_call_in_doubt_holds_back_its_retry_whatever_its_other_headers_say() {
    let upstream = by_path();
    let engine = engine!().start();
    let call = |path: &str| Request::post(&upstream.url(path), "1 EUR");
    for (index, (name, value)) in
        [("X-Mode", "two"), ("X-Batch", "9"), ("Origin", "http://b.test"), ("X-Zyx", "")]
            .iter()
            .enumerate()
    {
        let path = format!("/lost/{index}");
        engine.send(&call(&path).header(name, "one")).assert_is(504, "in-doubt");
        for retry in [
            call(&path).header(name, value),
            call(&path),
            call(&path).header(name, value).key("fresh"),
            call(&path).header(name, value).header("Authorization", "Bearer fresh"),
        ] {
            let held = engine.send(&retry);
            held.assert_problem(424, "in-doubt");
            assert_eq!(held.parameter("reason"), Some("same-content"), "{name}");
        }
        assert_eq!(hits_at(&upstream, &path), 1, "{name}");
    }
    // An own key in doubt holds whatever the credentials.
    let own = |token: &str| call("/lost/own").key("k").header("Authorization", token);
    engine.send(&own("Bearer one")).assert_is(504, "in-doubt");
    engine.send(&own("Bearer two")).assert_problem(424, "in-doubt");
    engine.send(&own("Basic dHdv")).assert_problem(424, "in-doubt");
    assert_eq!(hits_at(&upstream, "/lost/own"), 1);
}

#[test]
fn a_header_that_is_named_like_a_key_is_the_key_on_any_host() {
    let upstream = by_path();
    let engine = engine!().start();
    for name in [
        "PayPal-Request-Id",
        "X-Idempotency-Key",
        "Idempotency-Token",
        "Request-Idempotency-Key",
        "Repeatability-Request-ID",
        "CKO-Idempotency-Key",
        "Idempotence-Key",
        "X-Request-Idempotency-Id",
        "Acme-IdempotencyKey",
        "opc-retry-token",
    ] {
        let with = |key: &str, tracing: &str| {
            let url = upstream.url(&format!("/done/{name}"));
            let request = Request::post(&url, name).header(name, key);
            engine.send(&request.header("X-Mode", tracing))
        };
        with("a", "1").assert_is(200, "executed");
        with("b", "1").assert_is(200, "executed");
        let again = with("a", "2");
        again.assert_is(200, "replayed");
        assert_eq!(again.parameter("key"), Some("explicit"), "{name}");
        assert_eq!(again.header("idempotency-key"), Some("a"), "{name}");
        assert_eq!(upstream.hits_with(name.as_bytes()), 2, "{name}");
        // `Idempotency-Key` is the key if both are there.
        let both = Request::post(&upstream.url("/both"), "both").header(name, name).key("k");
        assert_eq!(engine.send(&both).header("idempotency-key"), Some("k"), "{name}");
    }
    assert_eq!(upstream.hits_with(b"both"), 1);
    // A switch is not a key, and a bad key is refused.
    for name in ["X-Idempotent", "Idempotency-Expires"] {
        let with = |body: &str| {
            engine.send(&Request::post(&upstream.url("/switch"), body).header(name, "true"))
        };
        with(name).assert_is(200, "executed");
        with("another body").assert_is(200, "executed");
    }
    let blank = Request::post(&upstream.url("/done"), "x").header("X-Idempotency-Key", "");
    engine.send(&blank).assert_problem(400, "malformed");
}

/// Numbers that look random and are the same in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        // Knuth's MMIX generator.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    /// A word without vowels, so that it is not one that names an account.
    fn word(&mut self) -> String {
        let length = 2 + self.below(8);
        (0..length)
            .map(|_| self.pick(&["b", "c", "d", "f", "g", "h", "k", "q", "x", "z"]))
            .collect()
    }

    fn name(&mut self) -> String {
        const HABITS: &[&str] = &[
            "User-Agent",
            "Accept",
            "Accept-Language",
            "Cache-Control",
            "X-Request-Id",
            "traceparent",
            "x-amzn-trace-id",
            "X-Stainless-Retry-Count",
            "X-Stripe-Client-Telemetry",
            "amz-sdk-request",
            "x-ms-client-request-id",
            "x-goog-api-client",
            "Retry-Attempt",
            "X-Sentry-Trace",
            "Origin",
            "Referer",
            "X-Requested-With",
            "Date",
            "DPoP",
            "X-Timestamp",
            "Signature-Input",
            "Pragma",
            "Via",
        ];
        match self.below(3) {
            0 => self.pick(HABITS).to_owned(),
            1 => format!("X-{}", self.word()),
            _ => format!("{}-{}-{}", self.word(), self.word(), self.pick(&["Id", "Mode", "Time"])),
        }
    }
}

#[test]
fn ten_thousand_retries_of_a_correct_client_are_never_refused() {
    let upstream = by_path();
    let engine = engine!().start();
    let mut draw = Draw(2_026);
    let mut client = Client::connect(engine.proxy).unwrap();
    for number in 0..10_000 {
        let mut request =
            Request::post_json(&upstream.url("/done/pay"), r#"{"eur":1}"#).key("order-7");
        let mut names = HashSet::new();
        for _ in 0..draw.below(9) {
            let (name, value) = (draw.name(), draw.word());
            if names.insert(name.to_ascii_lowercase()) {
                request = request.header(&name, &value);
            }
        }
        client.write(request.to_proxy()).unwrap();
        let answer = client.answer("POST").unwrap();
        let word = if number == 0 { "executed" } else { "replayed" };
        assert_eq!((answer.status, answer.word()), (200, word), "{request:?} {}", answer.text());
    }
    assert_eq!(upstream.hits(), 1);
}
