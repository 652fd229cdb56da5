//! What answers say about their calls.

use http::header::HeaderMap;
use store_core::state::Knowledge::{self, Executed, NotExecuted, Unknown};

use super::*;
use crate::policy::outcome::{WholeAnswer, outcome};

pub(super) fn known(url: &str, status: u16, headers: &HeaderMap, body: Option<&[u8]>) -> Knowledge {
    let answer = WholeAnswer { target: &target(url), paid: false, status, headers, body };
    outcome(answer, EffectClass::Once, None).0
}

fn by_status(status: u16, list: &[(&str, &str)], class: EffectClass) -> Knowledge {
    let (target, headers) = (target("http://tool.example/a"), headers(list));
    let answer =
        WholeAnswer { target: &target, paid: false, status, headers: &headers, body: Some(b"{}") };
    outcome(answer, class, None).0
}

#[test]
fn what_a_status_means() {
    let retry = [("retry-after", "5")];
    for (status, list, want) in [
        (200, &[][..], Executed),
        (201, &[], Executed),
        (202, &[], Executed),
        (204, &[], Executed),
        (299, &[], Executed),
        (300, &[], Executed),
        (302, &[], Executed),
        (303, &[], Executed),
        (304, &[], Executed),
        (306, &[], Executed),
        (307, &[], NotExecuted),
        (308, &[], NotExecuted),
        (309, &[], Unknown),
        (400, &[], NotExecuted),
        (401, &[], NotExecuted),
        (404, &[], NotExecuted),
        (408, &[], Unknown),
        (409, &[], NotExecuted),
        (422, &[], NotExecuted),
        (425, &[], NotExecuted),
        (429, &[], NotExecuted),
        (429, &retry, NotExecuted),
        (499, &[], NotExecuted),
        (500, &[], Unknown),
        (500, &retry, Unknown),
        (501, &[], NotExecuted),
        (502, &[], Unknown),
        (503, &[], Unknown),
        (503, &retry, NotExecuted),
        (504, &[], Unknown),
        (505, &[], NotExecuted),
        (507, &[], Unknown),
        (599, &[], Unknown),
        (999, &[], Unknown),
        (101, &[], Unknown),
    ] {
        for class in [EffectClass::Once, EffectClass::Idempotent] {
            assert_eq!(by_status(status, list, class), want, "{status} {list:?} {class}");
        }
    }
    for status in [409, 425] {
        assert_eq!(by_status(status, &[], EffectClass::Keyed), Unknown, "{status}");
    }
    assert_eq!(by_status(422, &[], EffectClass::Keyed), NotExecuted);
}

#[test]
fn what_a_body_of_a_success_means() {
    let slack = "http://slack.com/api/chat.postMessage";
    let graphql = "http://h/graphql";
    for (url, kind, body, want) in [
        (slack, "application/json", r#"{"ok":true}"#, Executed),
        (slack, "application/json", r#"{"ok": false ,"error":"channel_not_found"}"#, NotExecuted),
        (slack, "application/json", r#"{"ok":false}"#, NotExecuted),
        (slack, "application/json", r#"{"ok":false,"error":"internal_error"}"#, Unknown),
        (slack, "application/json", r#"{"ok":false,"error":"fatal_error"}"#, Unknown),
        (slack, "application/json", r#"{"ok":false,"ok":true}"#, Unknown),
        (slack, "application/json", r#"{"ok":"false"}"#, Executed),
        (slack, "application/json", r#"[{"ok":false}]"#, Executed),
        (slack, "text/html", "oops", Executed),
        ("http://slack.com/other", "application/json", r#"{"ok":false}"#, Executed),
        ("http://notslack.com/api/x", "application/json", r#"{"ok":false}"#, Executed),
        (graphql, "application/json", r#"{"errors":[{"message":"m"}]}"#, NotExecuted),
        (graphql, "application/json", r#"{"errors":[{"message":"m"}],"data":null}"#, Executed),
        (graphql, "application/json", r#"{"errors":[{"message":"m"}],"data":{"a":1}}"#, Executed),
        (graphql, "application/json", r#"{"errors":[]}"#, Executed),
        (graphql, "application/json", r#"{"errors":"m"}"#, Executed),
        (graphql, "application/json", r#"{"data":{}}"#, Executed),
        ("http://h/x", "application/json", r#"{"errors":[{"message":"m"}]}"#, Executed),
        ("http://h/x", "application/graphql-response+json", r#"{"errors":[{}]}"#, NotExecuted),
    ] {
        let head = headers(&[("content-type", kind)]);
        let read = |status, body: Option<&[u8]>| known(url, status, &head, body);
        assert_eq!(read(200, Some(body.as_bytes())), want, "{url} {body}");
        let looks = url == slack || url == graphql || kind.contains("graphql");
        let too_large = if looks { Unknown } else { Executed };
        assert_eq!(read(200, None), too_large, "{url}");
        assert_eq!(read(500, Some(body.as_bytes())), Unknown);
    }
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zipped, br#"{"ok":false}"#).unwrap();
    let zipped = zipped.finish().unwrap();
    for (coding, want) in [("gzip", NotExecuted), ("br", Unknown)] {
        let head = headers(&[JSON, ("content-encoding", coding)]);
        let body = Some(&zipped[..]);
        assert_eq!(known(slack, 200, &head, body), want, "{coding}");
    }
}
