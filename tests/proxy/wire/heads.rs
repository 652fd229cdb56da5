//! Answers of tools that have acted, in heads that are wrong and have one meaning.

use testkit::{Request, Upstream, engine};

/// Answers 200 with these lines in its head and the body `ok`.
fn tool(lines: impl Into<String>) -> Upstream {
    let lines = lines.into();
    Upstream::start(move |_, exchange| exchange.write(format!("HTTP/1.1 200 OK\r\n{lines}\r\nok")))
}

const LENGTH: &str = "Content-Length: 2\r\n";

#[test]
fn a_head_with_one_meaning_is_passed_on_and_replayed() {
    let field = |n: usize| ["X-", &n.to_string(), ": ", &n.to_string(), "\r\n"].concat();
    let many = |count: usize| (0..count).map(field).collect::<String>();
    let cases = [
        ("a fold", format!("X-A: one\r\n two\r\n{LENGTH}"), "X-A", "one  two"),
        ("a fold by a tab", format!("X-A: one\r\n\ttwo\r\n{LENGTH}"), "X-A", "one \ttwo"),
        ("two folds", format!("X-A: 1\r\n 2\r\n 3\r\n{LENGTH}"), "X-A", "1  2  3"),
        ("a fold at the end", format!("{LENGTH}X-A: one\r\n two\r\n"), "X-A", "one  two"),
        ("a space before the colon", format!("X-A : one\r\n{LENGTH}"), "X-A", "one"),
        (
            "a space before a length's colon",
            "Content-Length : 2\r\n".to_owned(),
            "Content-Length",
            "2",
        ),
        ("300 fields", format!("{}{LENGTH}", many(300)), "X-299", "299"),
        ("900 fields", format!("{}{LENGTH}", many(900)), "X-899", "899"),
        (
            "one length twice in a field",
            "Content-Length: 2, 2\r\n".to_owned(),
            "Content-Length",
            "2",
        ),
        ("one length twice", format!("{LENGTH}{LENGTH}"), "Content-Length", "2"),
        ("one length without a space", "Content-Length: 2,2\r\n".to_owned(), "Content-Length", "2"),
        ("a byte beyond ASCII", format!("X-A: é\r\n{LENGTH}"), "X-A", "é"),
    ];
    let engine = engine!().start();
    for (name, lines, field, value) in cases {
        let upstream = tool(lines);
        let call = Request::post(&upstream.url("/act"), name);
        for word in ["executed", "replayed"] {
            let answer = engine.send(&call);
            answer.assert_is(200, word);
            let shown: Vec<&str> = answer.head.all(field).collect();
            assert_eq!(shown.len(), 1, "{name}: {:?}", answer.head);
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(shown[0]), words(value), "{name}");
            assert_eq!(answer.text(), "ok", "{name}");
        }
        let read = engine.send(&Request::get(&upstream.url("/read")));
        assert_eq!((read.status, read.text().as_str()), (200, "ok"), "{name}");
        assert_eq!(read.head.all(field).count(), 1, "{name}: {:?}", read.head);
    }
}

#[test]
fn a_head_with_two_meanings_is_none() {
    let engine = engine!().start();
    for (name, lines) in [
        ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n".to_owned()),
        ("two lengths in a field", "Content-Length: 2, 3\r\n".to_owned()),
        ("a length that is none", "Content-Length: two\r\n".to_owned()),
        ("a line without a colon", format!("{LENGTH}hello\r\n")),
        ("a NUL", format!("{LENGTH}X-A: a\0b\r\n")),
        ("too many fields", format!("{}{LENGTH}", "X-A: 1\r\n".repeat(2_000))),
    ] {
        let upstream = tool(lines);
        let call = Request::post(&upstream.url("/act"), name);
        let answer = engine.send(&call);
        answer.assert_problem(502, "upstream-failed");
        assert_eq!(answer.json()["sent"], "maybe", "{name}");
        engine.send(&call).assert_problem(424, "in-doubt");
        assert_eq!(upstream.hits(), 1, "{name}");
    }
}
