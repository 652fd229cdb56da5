//! Stored answers in a content coding, for clients that accept it and for those that do not.

use testkit::codings::{brotli, gzip, raw_deflate, zlib, zstd};
use testkit::{Request, Upstream, engine};

const PLAIN: &[u8] = b"an answer that was coded";

fn coded(path: &str) -> (&'static str, Vec<u8>) {
    match path {
        "/br" => ("br", brotli(PLAIN)),
        "/zstd" => ("zstd", zstd(PLAIN)),
        "/deflate" => ("deflate", zlib(PLAIN)),
        "/raw" => ("deflate", raw_deflate(PLAIN)),
        "/gzip" => ("x-gzip", gzip(PLAIN)),
        "/members" => ("gzip", [gzip(&PLAIN[..4]), gzip(&PLAIN[4..])].concat()),
        "/twice" => ("br, gzip", gzip(&brotli(PLAIN))),
        "/unknown" => ("compress", PLAIN.to_vec()),
        _ => ("br", b"no brotli at all".to_vec()),
    }
}

#[test]
fn a_replay_is_in_a_coding_that_its_client_accepts() {
    let upstream = Upstream::start(|request, exchange| {
        let (coding, body) = coded(request.target());
        exchange.answer(200, &[("Content-Encoding", coding), ("ETag", "\"v\"")], &body);
    });
    let engine = engine!().start();
    let send = |path: &str, accept: Option<&str>| {
        let request = Request::post(&upstream.url(path), "a");
        engine.send(&match accept {
            Some(accept) => request.header("Accept-Encoding", accept),
            None => request,
        })
    };
    let paths = ["/br", "/zstd", "/deflate", "/raw", "/gzip", "/members", "/twice"];
    for path in paths {
        send(path, None).assert_is(200, "executed");
        for accept in [None, Some("gzip, deflate, br, zstd"), Some("*")] {
            let same = send(path, accept);
            same.assert_is(200, "replayed");
            assert_eq!(same.body, coded(path).1, "{path} {accept:?}");
            assert_eq!(same.header("content-encoding"), Some(coded(path).0));
        }
        for accept in ["identity", "", "compress", "gzip;q=0, br;q=0, zstd;q=0, deflate;q=0.0"] {
            let plain = send(path, Some(accept));
            plain.assert_is(200, "replayed");
            assert_eq!(plain.body, PLAIN, "{path} {accept:?}");
            assert_eq!(plain.header("content-encoding"), None);
            assert_eq!(plain.header("etag"), Some("W/\"v\""));
        }
    }
    for path in ["/unknown", "/damaged"] {
        send(path, None).assert_is(200, "executed");
        send(path, None).assert_is(200, "replayed");
        let refused = send(path, Some("identity"));
        refused.assert_problem(410, "response-not-kept");
        assert_eq!(refused.json()["size"], coded(path).1.len());
    }
    assert_eq!(upstream.hits(), paths.len() + 2);
}
