use http::header::{HeaderName, HeaderValue};
use store_core::call::ScopeRequest;

use super::*;
use crate::http::target::{Authority, Scheme};

/// A request that a test changes in one place.
#[derive(Clone)]
struct Case {
    user: u128,
    session: u128,
    named: bool,
    method: Method,
    target: Target,
    headers: Vec<(&'static str, &'static str)>,
    trailers: Vec<(&'static str, &'static str)>,
    key: Option<&'static str>,
    repeat: Option<&'static str>,
    body: &'static str,
    decoded: bool,
    class: EffectClass,
    tool: &'static str,
}

fn case() -> Case {
    Case {
        user: 1,
        session: 2,
        named: true,
        method: Method::POST,
        target: Target {
            scheme: Scheme::Http,
            authority: Authority::new("tool.example", 80),
            path_and_query: "/send?a=1".to_owned(),
        },
        headers: vec![("content-type", "text/plain"), ("authorization", "Bearer a")],
        trailers: Vec::new(),
        key: None,
        repeat: None,
        body: "hello",
        decoded: false,
        class: EffectClass::Once,
        tool: "POST tool.example",
    }
}

fn map(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn keyed(case: &Case) -> CallIdentity {
    let metadata = RequestMetadata {
        scope: ScopeRequest::default(),
        key: case.key.map(str::to_owned),
        run: None,
        repeat: case.repeat.map(str::to_owned),
        retry_token: None,
        credentials: None,
    };
    derive(&KeyInput {
        owner: KeyOwner {
            user_id: Uuid::from_u128(case.user),
            session_id: Uuid::from_u128(case.session),
            session_created: Timestamp::from_micros(0),
            named: case.named,
        },
        head: RequestHead {
            method: &case.method,
            target: &case.target,
            headers: &map(&case.headers),
        },
        metadata: &metadata,
        login: &Login::default(),
        body: BodyDigests {
            digests: [Digest::of(case.body.as_bytes()); Comparison::ALL.len()],
            decoded: case.decoded,
        },
        trailers: &map(&case.trailers),
        guarded: &Guarded::by_class(case.class, "test"),
        tool: case.tool,
        keyed_digest: &|label, bytes| Ok(Encoder::new("test").field(label).field(bytes).finish()),
    })
    .unwrap()
}

/// Which of the four a change moves: the key's place, the input's fingerprint, the content that the
/// doubt guard looks at, the principal.
fn moved(change: impl Fn(&mut Case), explicit: bool) -> String {
    let mut before = case();
    before.key = explicit.then_some("order-1");
    let mut after = before.clone();
    change(&mut after);
    let (before, after) = (keyed(&before), keyed(&after));
    let holder = |keyed: &CallIdentity| keyed.key.as_ref().map(|key| key.holder);
    [
        ("key", holder(&before) != holder(&after)),
        ("fingerprint", before.digests.fingerprint != after.digests.fingerprint),
        ("content", before.digests.content != after.digests.content),
        ("principal", before.digests.principal != after.digests.principal),
    ]
    .into_iter()
    .filter_map(|(name, moved)| moved.then_some(name))
    .collect::<Vec<_>>()
    .join(" ")
}

/// What a change of the input moves, with a derived key and with an explicit one.
const ALL: &str = "key fingerprint content";
const INPUT: &str = "fingerprint content";

#[test]
fn what_a_key_hangs_on() {
    type Change = (&'static str, fn(&mut Case), &'static str, &'static str);
    let changes: [Change; 31] = [
        ("nothing", |_| {}, "", ""),
        ("user", |c| c.user = 9, "key content", "key content"),
        ("session", |c| c.session = 9, "key content", "content"),
        ("method", |c| c.method = Method::PATCH, ALL, ALL),
        ("scheme", |c| c.target.scheme = Scheme::Https, ALL, ALL),
        ("host", |c| c.target.authority.host.push('x'), ALL, ALL),
        ("port", |c| c.target.authority.port = 81, ALL, ALL),
        ("path", |c| c.target.path_and_query = "/sent?a=1".to_owned(), ALL, ALL),
        ("path escapes", |c| c.target.path_and_query = "/%73end?a=1".to_owned(), ALL, ALL),
        ("query", |c| c.target.path_and_query = "/send?a=2".to_owned(), ALL, INPUT),
        ("empty query", |c| c.target.path_and_query = "/send?".to_owned(), ALL, INPUT),
        ("body", |c| c.body = "other", ALL, INPUT),
        ("counted header", |c| c.headers.push(("x-amz-target", "A")), ALL, INPUT),
        ("content type", |c| c.headers[0].1 = "text/html", ALL, INPUT),
        ("account", |c| c.headers.push(("x-tenant-id", "A")), ALL, INPUT),
        ("other header", |c| c.headers.push(("x-mode", "A")), "key", ""),
        ("trailer", |c| c.trailers.push(("x-sum", "1")), "key", ""),
        ("retry", |c| c.headers.push(("x-retry-count", "1")), "", ""),
        ("proof", |c| c.headers.push(("dpop", "e.y.J")), "", ""),
        (
            "signature of a query",
            |c| c.target.path_and_query = "/send?a=1&timestamp=7&signature=ab".to_owned(),
            "",
            "",
        ),
        (
            "key in a query",
            |c| c.target.path_and_query = "/send?a=1&request_id=7".to_owned(),
            "key fingerprint",
            "fingerprint",
        ),
        ("noise trailer", |c| c.trailers.push(("digest", "1")), "", ""),
        ("credentials", |c| c.headers[1].1 = "Bearer b", "key principal", "key principal"),
        ("cookie", |c| c.headers.push(("cookie", "a=b")), "key principal", "key principal"),
        (
            "noise",
            |c| {
                c.headers.extend([
                    ("user-agent", "x"),
                    ("traceparent", "y"),
                    ("x-request-id", "z"),
                ]);
            },
            "",
            "",
        ),
        (
            "scope headers",
            |c| c.headers.extend([("agent-run", "x"), ("agent-session", "y")]),
            "",
            "",
        ),
        ("proxy credentials", |c| c.headers.push(("proxy-authorization", "Basic eDp5")), "", ""),
        ("Host", |c| c.headers.push(("host", "elsewhere")), "", ""),
        ("repeat", |c| c.repeat = Some("2"), "key", "key"),
        ("tool", |c| c.tool = "mail.send", "key", ""),
        ("key", |c| c.key = Some("order-2"), "key", "key"),
    ];
    for (name, change, derived, explicit) in changes {
        assert_eq!(moved(change, false), derived, "{name}, derived");
        assert_eq!(moved(change, true), explicit, "{name}, explicit");
    }
}

#[test]
fn query_credentials_are_the_principal_too() {
    let change = |c: &mut Case| c.target.path_and_query = "/send?a=1&access_token=t".to_owned();
    assert_eq!(moved(change, true), "key fingerprint content principal");
}

#[test]
fn order_and_case_of_headers_do_not_matter_and_order_of_values_does() {
    let with = |list: &[(&'static str, &'static str)]| {
        let mut case = case();
        case.headers = list.to_vec();
        keyed(&case).key.unwrap().text
    };
    assert_eq!(with(&[("x-a", "1"), ("x-b", "2")]), with(&[("X-B", "2"), ("X-A", "1")]));
    assert_ne!(with(&[("x-a", "1"), ("x-a", "2")]), with(&[("x-a", "2"), ("x-a", "1")]));
    assert_ne!(with(&[("x-a", "1, 2")]), with(&[("x-a", "1"), ("x-a", "2")]));
    assert_ne!(with(&[("x-a", "")]), with(&[]));
    assert_ne!(with(&[("x-a", "bx-c")]), with(&[("x-a", "b"), ("x-c", "")]));
}

#[test]
fn a_header_and_a_trailer_are_not_the_same() {
    let (mut header, mut trailer) = (case(), case());
    header.headers.push(("x-a", "1"));
    trailer.trailers.push(("x-a", "1"));
    assert_ne!(keyed(&header).key.unwrap().text, keyed(&trailer).key.unwrap().text);
}

#[test]
fn a_boundary_does_not_count_and_other_parameters_do() {
    let with = |value: &'static str| {
        let mut case = case();
        case.headers = vec![("content-type", value)];
        keyed(&case).digests.fingerprint
    };
    let one = with("multipart/form-data; boundary=a");
    assert_eq!(one, with("multipart/form-data; boundary=\"b c\""));
    assert_ne!(one, with("multipart/mixed; boundary=a"));
    assert_ne!(one, with("multipart/form-data; boundary=a; charset=utf-8"));
    assert_eq!(
        with("multipart/related; start=x; boundary=a"),
        with("multipart/related; boundary=b; start=x")
    );
    assert_ne!(
        with("multipart/related; start=x; boundary=a"),
        with("multipart/related; start=y; boundary=a")
    );
    assert_ne!(with("text/plain; boundary=a"), with("text/plain; boundary=b"));
}

#[test]
fn a_decoded_coding_does_not_count() {
    let with = |coding: bool, decoded: bool| {
        let mut case = case();
        if coding {
            case.headers.push(("content-encoding", "gzip"));
        }
        case.decoded = decoded;
        keyed(&case).digests.fingerprint
    };
    assert_eq!(with(true, true), with(false, false));
    assert_ne!(with(true, false), with(false, false));
}

#[test]
fn windows_and_classes() {
    let key = |change: fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        keyed(&case).key
    };
    let hours = |key: Option<CallKey>| key.unwrap().window.unwrap().as_secs_f64() / 3600.0;
    assert!((hours(key(|c| c.key = Some("k"))) - 720.0).abs() < 1e-9);
    assert!((hours(key(|_| {})) - 24.0).abs() < 1e-9);
    assert!((hours(key(|c| c.named = false)) * 60.0 - 10.0).abs() < 1e-9);
    assert!(key(|c| c.class = EffectClass::Keyed).is_some());
    assert!(key(|c| c.class = EffectClass::Idempotent).is_none());
    let explicit = key(|c| {
        c.class = EffectClass::Idempotent;
        c.key = Some("k");
    });
    assert!(explicit.is_some_and(|key| key.explicit && key.text == "k"));
}

#[test]
fn no_explicit_key_meets_a_derived_one() {
    let derived = keyed(&case()).key.unwrap();
    let mut case = case();
    case.key = Some(Box::leak(derived.text.clone().into_boxed_str()));
    let explicit = keyed(&case).key.unwrap();
    assert_eq!(explicit.text, derived.text);
    assert_ne!(explicit.holder, derived.holder);
}

#[test]
fn the_tool_is_never_a_path() {
    let target = case().target;
    assert_eq!(tool_name(None, &Method::POST, &target), "POST tool.example");
    assert_eq!(tool_name(Some("mail"), &Method::POST, &target), "mail");
}

/// What version 0.2.0 stored is compared as that version would.
#[test]
fn the_fingerprint_of_version_0_2_0_covers_what_it_covered_there() {
    let legacy = |change: fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        keyed(&case).digests.legacy
    };
    let plain = keyed(&case()).digests;
    assert_eq!(plain.legacy, plain.fingerprint);
    assert_eq!(legacy(|c| c.headers.push(("traceparent", "y"))), plain.fingerprint);
    for change in [
        |c: &mut Case| c.headers.push(("x-retry-count", "1")),
        |c: &mut Case| c.headers.push(("x-mode", "1")),
        |c: &mut Case| c.target.path_and_query += "&timestamp=7&signature=ab",
    ] {
        assert_ne!(legacy(change), plain.fingerprint);
    }
}

/// A stored key must be found again by every later version: these may never change.
#[test]
fn the_encoding_is_frozen() {
    let keyed = keyed(&case());
    let key = keyed.key.unwrap();
    assert_eq!(key.text, "auto:POSTtool.example:19700101:18e65c7613249c24888de9a8ed2b9cdc");
    assert_eq!(keyed.digests.fingerprint.hex(16), "9bd4a955cf45b7d79d6f37ffda98b6fa");
    assert_eq!(keyed.digests.content.hex(16), "7cefbed778092e7ff1d2703de820f48e");
    assert_eq!(keyed.digests.principal.hex(16), "0511f7c7560d15bad31ada2973604e55");
}
