use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::http::forms::kind::decoded;

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn digest_with(list: &[(&str, &str)], body: &[u8]) -> (Digest, bool) {
    let all = [FieldSelection::default()];
    let (digests, decoded) =
        body_digests(&headers(list), &mut Cursor::new(body), Digest::of(body), &all).unwrap();
    (digests[0], decoded)
}

fn digest(kind: &str, body: impl AsRef<[u8]>) -> Digest {
    digest_with(&[("content-type", kind)], body.as_ref()).0
}

fn parts_digest(body: &mut dyn Read, boundary: &str) -> io::Result<Option<Digest>> {
    let all = [FieldSelection::default()];
    Ok(multipart::digests(body, boundary, &all)?.map(|digests| digests[0]))
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn media_types() {
    let multipart = |boundary: &str| BodyKind::Multipart { boundary: boundary.to_owned() };
    for (value, want) in [
        ("application/json", BodyKind::Json),
        ("Application/JSON; charset=UTF-8", BodyKind::Json),
        ("application/json;charset=\"utf-8\"", BodyKind::Json),
        ("application/vnd.api+json", BodyKind::Json),
        ("application/json; charset=utf-16", BodyKind::Raw),
        ("application/jsonl", BodyKind::Raw),
        ("text/json", BodyKind::Raw),
        ("application/x-www-form-urlencoded", BodyKind::Form),
        ("application/x-www-form-urlencoded; charset=utf-8", BodyKind::Form),
        ("application/x-www-form-urlencoded; charset=latin1", BodyKind::Raw),
        ("multipart/form-data; boundary=x", multipart("x")),
        ("multipart/form-data; boundary=\"a b\"", multipart("a b")),
        ("multipart/mixed;boundary=Aa", multipart("Aa")),
        ("multipart/form-data", BodyKind::Raw),
        ("multipart/form-data; boundary=x; boundary=y", BodyKind::Raw),
        ("text/plain", BodyKind::Raw),
        ("nonsense", BodyKind::Raw),
        ("", BodyKind::Raw),
    ] {
        assert_eq!(body_kind(&headers(&[("content-type", value)])), want, "{value}");
    }
    assert_eq!(body_kind(&HeaderMap::new()), BodyKind::Raw);
    let two = headers(&[("content-type", JSON), ("content-type", JSON)]);
    assert_eq!(body_kind(&two), BodyKind::Raw);
}

#[test]
fn json_bodies() {
    assert_eq!(digest(JSON, r#"{"a":1,"b":2}"#), digest(JSON, "{ \"b\": 2,\n\"\\u0061\":1 }"));
    assert_ne!(digest(JSON, r#"{"a":1}"#), digest(JSON, r#"{"a":1.0}"#));
    assert_ne!(digest("text/plain", r#"{"a":1}"#), digest("text/plain", r#"{"a": 1}"#));
    assert_ne!(digest(JSON, r#"{"a":1,"a":2}"#), digest(JSON, r#"{"a":1, "a":2}"#));
    assert_ne!(digest(JSON, "{"), digest(JSON, "{ "));
    let mut large = format!("[{}1]", "1,".repeat(MAX_IN_MEMORY / 2));
    let first = digest(JSON, &large);
    large.push(' ');
    assert_ne!(first, digest(JSON, &large), "over the limit it is compared raw");
}

#[test]
fn form_bodies() {
    for (one, other) in [
        ("a=1&b=2", "%61=%31&b=2"),
        ("a=x+y", "a=x%20y"),
        ("a=%c3%a9", "a=%C3%A9"),
        ("a%5B%5D=1", "a[]=1"),
        ("a=b=c", "a=b%3Dc"),
    ] {
        assert_eq!(digest(FORM, one), digest(FORM, other), "{one} {other}");
    }
    for (one, other) in [
        ("a=1&b=2", "b=2&a=1"),
        ("a=1&a=2", "a=2&a=1"),
        ("a", "a="),
        ("a=1", "a=1&"),
        ("a=1&b=2", "a=1&&b=2"),
        ("a=1;b=2", "a=1&b=2"),
        ("a=%FF", "a=%FE"),
        ("a=%zz", "a=%25zz"),
        ("a=1%", "a=1%25"),
        ("a=\u{e9}", "a=%C3%A9"),
        ("a=x y", "a=x+y"),
        ("a=1", "a=1\n"),
        ("A=1", "a=1"),
        ("a=b%26c", "a=b&c"),
        ("a%3Db", "a=b"),
        ("a=%00", "a="),
        ("a=%2B", "a=+"),
        // Not forms for every reader.
        (r#"{"url":"h/a%2Fb"}"#, r#"{"url":"h/a/b"}"#),
        (r#"{"a":"1+1"}"#, r#"{"a":"1%201"}"#),
        (r#"[{"a":"%41"}]"#, r#"[{"a":"A"}]"#),
        ("[1e+5]", "[1e%205]"),
        ("<a>%41</a>", "<a>A</a>"),
        ("a=1;b=2", "a=1%3Bb=2"),
        ("a=1%26;b=2", "a=1%26;b=%32"),
    ] {
        assert_ne!(digest(FORM, one), digest(FORM, other), "{one} {other}");
    }
}

fn part(name: &str, content: &str) -> String {
    format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}")
}

fn multipart(boundary: &str, parts: &[String]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        write!(body, "--{boundary}\r\n{part}\r\n").unwrap();
    }
    write!(body, "--{boundary}--\r\n").unwrap();
    body
}

fn multipart_digest(boundary: &str, body: &[u8]) -> Digest {
    digest(&format!("multipart/form-data; boundary={boundary}"), body)
}

#[test]
fn multipart_bodies() {
    let parts = [part("a", "1"), part("b\"; filename=\"f.txt", "two\r\nlines\r\n"), part("c", "")];
    let one = multipart_digest("xYz", &multipart("xYz", &parts));
    assert_eq!(one, multipart_digest("0123456789", &multipart("0123456789", &parts)));
    let mut bare = multipart("q", &parts);
    bare.truncate(bare.len() - 2);
    assert_eq!(one, multipart_digest("q", &bare), "the last line break says nothing");
    for (index, other) in [
        part("a", "2"),
        part("A", "1"),
        part("b\"; filename=\"g.txt", "two\r\nlines\r\n"),
        part("c", " "),
    ]
    .into_iter()
    .zip([0, 0, 1, 2])
    .map(|(part, index)| (index, part))
    {
        let mut changed = parts.clone();
        changed[index] = other;
        assert_ne!(one, multipart_digest("q", &multipart("q", &changed)), "{index}");
    }
    let swapped = [parts[1].clone(), parts[0].clone(), parts[2].clone()];
    assert_ne!(one, multipart_digest("q", &multipart("q", &swapped)));
    assert_ne!(one, multipart_digest("q", &multipart("q", &parts[..2])));
    // Part borders count, not only the bytes.
    let merged = [part("a", "1\r\nX: y"), part("b", "2")];
    let apart = [part("a", "1"), "X: y\r\n".to_owned() + &part("b", "2")];
    assert_ne!(
        multipart_digest("q", &multipart("q", &merged)),
        multipart_digest("q", &multipart("q", &apart))
    );
}

#[test]
fn what_is_not_multipart_by_the_book_is_compared_raw() {
    let good = "--q\r\nA: b\r\n\r\nx\r\n--q--\r\n";
    let canonical = |body: &str| parts_digest(&mut Cursor::new(body), "q").unwrap().is_some();
    assert!(canonical(good));
    for bad in [
        "",
        "--q",
        "--q--",
        "preamble\r\n--q\r\nA: b\r\n\r\nx\r\n--q--\r\n",
        "\r\n--q\r\nA: b\r\n\r\nx\r\n--q--\r\n",
        "--q\r\nA: b\r\n\r\nx\r\n--q--\r\nepilogue",
        "--q\r\nA: b\r\n\r\nx\r\n--q--\n",
        "--q \r\nA: b\r\n\r\nx\r\n--q--\r\n",
        "--q\nA: b\n\nx\n--q--\n",
        "--q\r\nA: b\r\n\r\nx\r\n--q",
        "--q\r\nA: b\r\n\r\nx\r\n",
        "--q\r\nA: b\r\n\r\n--q--\r\n",
        "--q\r\nA: b\r\n--q--\r\n\r\n\r\n--q--\r\n",
        "--q\r\nA: b\r\n\r\nx\n--q\r\n\r\n--q--\r\n",
        "--q\r\nA: b\r\n\r\nx--q\r\n--q--\r\n",
        "--q\r\nA: b\r\n\r\nx\r\n--qq\r\n--q--\r\n",
    ] {
        assert!(!canonical(bad), "{bad:?}");
    }
    let long = format!("--q\r\nA: {}\r\n\r\nx\r\n--q--\r\n", "b".repeat(20_000));
    assert!(!canonical(&long));
    // The same bytes under another boundary have other parts.
    assert_ne!(multipart_digest("a", b"--c\r\n"), multipart_digest("b", b"--c\r\n"));
    assert!(parts_digest(&mut Cursor::new("--\r\n"), "").unwrap().is_none());
}

/// Gives one to three bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        let count = (self.1 % 3 + 1).min(self.0.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

#[test]
fn large_parts_are_read_as_a_stream() {
    let content = "0123456789abcde\r\n".repeat(200_000);
    let parts = [part("file", &content), part("b", &"-".repeat(100_000))];
    let body = multipart("-------", &parts);
    // A boundary of dashes is in the content too, so it is compared raw; another is not.
    assert!(parts_digest(&mut Cursor::new(&body), "-------").unwrap().is_none());
    let body = multipart("bound", &parts);
    let whole = parts_digest(&mut Cursor::new(&body), "bound").unwrap().unwrap();
    assert_eq!(parts_digest(&mut Trickle(&body, 0), "bound").unwrap(), Some(whole));
    assert_eq!(whole, multipart_digest("other", &multipart("other", &parts)));
}

#[test]
fn many_small_parts_take_no_quadratic_time() {
    let body = multipart("q", &vec!["A: b\r\n\r\nx".to_owned(); 500_000]);
    let started = std::time::Instant::now();
    assert!(parts_digest(&mut Cursor::new(&body), "q").unwrap().is_some());
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_undone() {
    let plain = br#"{"a":1,"b":"two two two two two two two two"}"#;
    let json = ("content-type", JSON);
    let gz = ("content-encoding", "gzip");
    let (want, decoded) = digest_with(&[json], plain);
    assert!(!decoded);
    for level in [1, 9] {
        assert_eq!(digest_with(&[json, gz], &gzip(plain, level)), (want, true));
        assert_eq!(
            digest_with(&[json, ("content-encoding", "X-GZip")], &gzip(plain, level)),
            (want, true)
        );
    }
    let raw = |list: &[(&str, &str)], body: &[u8]| {
        let (digest, decoded) = digest_with(list, body);
        assert_eq!(digest, digest_with(&[], body).0);
        assert!(!decoded);
    };
    let zipped = gzip(plain, 6);
    raw(&[json, ("content-encoding", "br")], &zipped);
    raw(&[json, ("content-encoding", "gzip, gzip")], &zipped);
    raw(&[json, gz, gz], &zipped);
    raw(&[json, gz], plain);
    raw(&[json, gz], &zipped[..zipped.len() - 1]);
    raw(&[json, gz], &[&zipped[..], b"x"].concat());
    raw(&[json, gz], &[&zipped[..], &zipped[..]].concat());
    raw(&[json, gz], b"");
    let mut damaged = zipped.clone();
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    raw(&[json, gz], &damaged);
}

#[test]
fn bombs_are_compared_raw() {
    let gz = ("content-encoding", "gzip");
    for size in [1_000_000, MAX_IN_MEMORY + 1, 4 * MAX_IN_MEMORY] {
        let bomb = gzip(&vec![b'0'; size], 9);
        assert!(bomb.len() * 200 < size, "{size}");
        assert!(!digest_with(&[gz], &bomb).1, "{size}");
        assert_eq!(decoded(&headers(&[gz]), &bomb).is_none(), size > MAX_IN_MEMORY, "{size}");
    }
    let small = gzip(&vec![b'0'; 60_000], 9);
    assert!(digest_with(&[gz], &small).1, "small ones may be dense");
}

#[test]
fn a_body_is_read_from_its_start() {
    let mut body = Cursor::new(br#"{"a":1}"#);
    body.set_position(4);
    let head = headers(&[("content-type", JSON)]);
    let all = [FieldSelection::default()];
    let (got, _) = body_digests(&head, &mut body, Digest::of(br#"{"a":1}"#), &all).unwrap();
    assert_eq!(got[0], digest(JSON, r#"{"a":1}"#));
}

/// Keys of stored calls hang on these: they may never change.
#[test]
fn the_encodings_are_frozen() {
    let multipart = multipart("q", &[part("a", "1")]);
    for (name, got, want) in [
        ("json", digest(JSON, "{\"a\":1}"), "ccfd82752e8cccd9605757ef1633c7c9"),
        ("form", digest(FORM, "a=1&b"), "a6541d0429599aaeb67f38cee410899a"),
        ("multipart", multipart_digest("q", &multipart), "5c34b9e74371cb0bc76ea34518c5742e"),
        ("raw", digest("text/plain", "a"), "e98b8d081393b74a7271cb1603c090df"),
        ("raw multipart", multipart_digest("q", b"a"), "ed51a685ffe8db0e5e5cd2addba2f97b"),
    ] {
        assert_eq!(got.hex(16), want, "{name}");
    }
}

fn encode(text: &[u8], seed: u64) -> String {
    let mut state = seed;
    text.iter()
        .map(|byte| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match (byte, state >> 62) {
                (b' ', 0 | 1) => "+".to_owned(),
                (byte, 0..=2) if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
                (byte, 3) => format!("%{byte:02x}"),
                (byte, _) => format!("%{byte:02X}"),
            }
        })
        .collect()
}

proptest! {
    #[test]
    fn every_spelling_of_a_form_is_one(
        list in prop::collection::vec(("[a-c ]{1,2}", prop::option::of(prop::collection::vec(any::<u8>(), 0..3))), 1..4),
        other in prop::collection::vec(("[a-c ]{1,2}", prop::option::of(prop::collection::vec(any::<u8>(), 0..3))), 1..4),
        a in any::<u64>(),
        b in any::<u64>(),
    ) {
        let spell = |list: &[(String, Option<Vec<u8>>)], seed: u64| {
            let pairs: Vec<_> = list.iter().map(|(name, value)| match value {
                None => encode(name.as_bytes(), seed),
                Some(value) => format!("{}={}", encode(name.as_bytes(), seed), encode(value, seed ^ 7)),
            }).collect();
            pairs.join("&")
        };
        prop_assert_eq!(digest(FORM, spell(&list, a)), digest(FORM, spell(&list, b)));
        prop_assert_eq!(list == other, digest(FORM, spell(&list, a)) == digest(FORM, spell(&other, b)));
    }

    #[test]
    fn parts_decide_and_the_boundary_does_not(
        list in prop::collection::vec(("[a-b]", "[xy\r\n-]{0,6}"), 1..4),
        other in prop::collection::vec(("[a-b]", "[xy\r\n-]{0,6}"), 1..4),
        one in "[A-Z]{1,20}",
        two in "[A-Z]{1,20}",
    ) {
        let parts = |list: &[(String, String)]| list.iter().map(|(name, content)| part(name, content)).collect::<Vec<_>>();
        let got = multipart_digest(&one, &multipart(&one, &parts(&list)));
        prop_assert_eq!(got, multipart_digest(&two, &multipart(&two, &parts(&list))));
        prop_assert_eq!(list == other, got == multipart_digest(&two, &multipart(&two, &parts(&other))));
    }

    #[test]
    fn blocks_do_not_matter(body in "(--q|\r\n|x|A: b|--)*{0,30}") {
        let whole = parts_digest(&mut Cursor::new(&body), "q").unwrap();
        prop_assert_eq!(whole, parts_digest(&mut Trickle(body.as_bytes(), 0), "q").unwrap());
    }

    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..64), kind in 0..4_usize, gz in any::<bool>()) {
        let kind = [JSON, FORM, "multipart/form-data; boundary=q", "text/plain"][kind];
        let mut list = vec![("content-type", kind)];
        if gz {
            list.push(("content-encoding", "gzip"));
        }
        digest_with(&list, &body);
    }
}
