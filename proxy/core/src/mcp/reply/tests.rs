use super::*;

fn raw(text: &str) -> Box<RawValue> {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_table_of_outcomes() {
    use Knowledge::{Executed, NotExecuted, Unknown};
    let error = |code: &str| format!(r#"{{"id":1,"error":{{"code":{code},"message":"m"}}}}"#);
    let table = [
        (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#.to_owned(), Executed, false),
        (r#"{"id":1,"result":{"isError":false}}"#.to_owned(), Executed, false),
        (r#"{"id":1,"result":{"isError":true}}"#.to_owned(), Executed, true),
        (r#"{"id":1,"result":{"resultType":"complete"}}"#.to_owned(), Executed, false),
        (r#"{"id":1,"result":{"resultType":"input_required"}}"#.to_owned(), NotExecuted, false),
        (r#"{"id":1,"result":{"task":{"taskId":"t"}}}"#.to_owned(), Executed, false),
        (r#"{"id":1,"result":7}"#.to_owned(), Executed, false),
        (error("-32700"), NotExecuted, false),
        (error("-32600"), NotExecuted, false),
        (error("-32601"), NotExecuted, false),
        (error("-32602"), NotExecuted, false),
        (error("-32020"), NotExecuted, false),
        (error("-32603"), Unknown, false),
        (error("-32000"), Executed, true),
        (error("-32001"), Unknown, false),
        (error("-32000").replace("\"m\"", "\"Connection closed\""), Unknown, false),
        (error("5").replace("\"m\"", "\"m\",\"data\":{\"cause\":[\"timed out\"]}"), Unknown, false),
        (error("-32602").replace("\"m\"", "\"timeout\""), NotExecuted, false),
        (
            r#"{"id":1,"result":{"isError":true,"content":[{"text":"x: \u0074imed\nout"}]}}"#
                .to_owned(),
            Unknown,
            false,
        ),
        (r#"{"id":1,"result":{"isError":true,"timeout":30}}"#.to_owned(), Executed, true),
        (r#"{"id":1,"result":{"content":[{"text":"timed out"}]}}"#.to_owned(), Executed, false),
        (error("1"), Executed, true),
        (error("1e400"), Executed, true),
    ];
    for (text, outcome, tool_error) in table {
        let got = tool_outcome(text.as_bytes(), &raw("1"), UnnamedErrors::Ignored).unwrap();
        assert_eq!((got.outcome, got.tool_error), (outcome, tool_error), "{text}");
    }
}

#[test]
fn only_the_response_of_that_id_counts() {
    let of = |text: &str, id: &str| {
        tool_outcome(text.as_bytes(), &raw(id), UnnamedErrors::Ignored).is_some()
    };
    assert!(of(r#"{"id":"\u0061","result":{}}"#, r#""a""#));
    assert!(!of(r#"{"id":2,"result":{}}"#, "1"));
    assert!(!of(r#"{"id":"1","result":{}}"#, "1"));
    assert!(!of(r#"{"id":1,"method":"sampling/createMessage","params":{}}"#, "1"));
    assert!(!of(r#"{"method":"notifications/progress","params":{"result":1}}"#, "1"));
    assert!(!of(r#"{"id":1,"id":1,"result":{}}"#, "1"));
    assert!(!of("", "1"));
    let unnamed = br#"{"id":null,"error":{"code":-32700,"message":""}}"#;
    assert!(tool_outcome(unnamed, &raw("1"), UnnamedErrors::Ignored).is_none());
    assert!(tool_outcome(unnamed, &raw("1"), UnnamedErrors::Accepted).is_some());
}

#[test]
fn a_note_of_progress_names_its_call() {
    let note = |method: &str, params: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        progress_token(text.as_bytes())
    };
    let progress = "notifications/progress";
    assert_eq!(
        note(progress, r#"{"progressToken":"\u0061","progress":1}"#).as_deref(),
        Some(r#""a""#)
    );
    assert_eq!(note(progress, r#"{"progress":1,"progressToken":7}"#).as_deref(), Some("7"));
    assert_eq!(note(progress, r#"{"progress":1}"#), None);
    assert_eq!(note("notifications/message", r#"{"progressToken":7}"#), None);
}

#[test]
fn only_the_id_is_rewritten() {
    let text = br#"{ "result" : {"id":1, "n": 1.50}, "id" : 1 , "jsonrpc":"2.0"}"#;
    let got = with_id(text, &raw(r#""new""#));
    let want = br#"{ "result" : {"id":1, "n": 1.50}, "id" : "new" , "jsonrpc":"2.0"}"#;
    assert_eq!(got, want);
    assert_eq!(with_id(b"no response", &raw("1")), b"no response");
}

#[test]
fn a_result_of_an_earlier_version_gets_its_type() {
    let text = |text: &str| String::from_utf8(with_type(text.into())).unwrap();
    assert_eq!(
        text(r#"{"id":1,"result":{ "content":[]}}"#),
        r#"{"id":1,"result":{"resultType":"complete", "content":[]}}"#
    );
    assert_eq!(text(r#"{"id":1,"result":{ }}"#), r#"{"id":1,"result":{"resultType":"complete" }}"#);
    for same in [
        r#"{"id":1,"result":{"resultType":"input_required"}}"#,
        r#"{"id":1,"result":7}"#,
        r#"{"id":1,"error":{"code":1}}"#,
    ] {
        assert_eq!(text(same), same);
    }
}

#[test]
fn a_tool_error_is_a_result() {
    let text = tool_error(&raw("7"), "may have run", &raw(r#"{"status":424}"#), true);
    assert_eq!(
        String::from_utf8(text.clone()).unwrap(),
        r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"may have run"}],"isError":true,"_meta":{"openclaw-state-engine/problem":{"status":424}}}}"#
    );
    assert_eq!(id_of_response(&text).as_deref(), Some("7"));
}
