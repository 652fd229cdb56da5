//! The test suite of Python's requests, once against its own servers and once through the engine. The
//! verdicts are the same, except for tests that fail through any proxy.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use testkit::{engine, here};

const FILES: [&str; 3] =
    ["tests/test_requests.py", "tests/test_lowlevel.py", "tests/test_testserver.py"];

/// Tests that need a network with an address that drops packets.
const LEFT_OUT: &str = "not connect_timeout and not timeout_connect";

/// Tests, by the start of their name, that pass without a proxy and fail through any proxy, and why.
const NOT_THROUGH_A_PROXY: [(&str, &str); 11] = [
    ("TestRequests::test_errors[http://doesnotexist", "a refused connection is an answer of 502"),
    ("TestRequests::test_errors[http://localhost:1-", "a refused connection is an answer of 502"),
    ("TestTestServer::test_multiple_requests", "a refused connection is an answer of 502"),
    ("test_chunked_encoding_error", "half a header is an answer of 502 (RFC 9112, 8)"),
    ("test_conflicting_content_lengths", "they are an answer of 502 (RFC 9112, 6.3)"),
    ("TestPreparingURLs::test_redirecting_to_bad_url", "a bad URL is an answer of 400"),
    ("test_chunked_upload_uses_only_specified", "the proxy sets Host (RFC 9112, 3.2.2)"),
    ("TestRequests::test_proxy_authorization_preserved", "it is for the proxy (RFC 9110, 11.7.2)"),
    ("test_proxy_env_vars_override_default[all_proxy", "all_proxy alone is meant to be set"),
    ("test_use_proxy_from_environment", "another proxy is meant to be set"),
    ("TestPreparingURLs::test_different_connection_pool_for_tls_settings_verify", "pools by host"),
];

/// The only folder in the unpacked source.
fn source() -> PathBuf {
    let mut found = fs::read_dir(here("target/http-suite")).unwrap().map(|one| one.unwrap().path());
    found.find(|path| path.is_dir()).unwrap()
}

/// Runs the suite, and returns the verdict on each test.
fn verdicts(proxy: Option<&str>) -> BTreeMap<String, String> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("verdicts");
    let mut pytest = Command::new(here("target/venv-http-suite/bin/python"));
    pytest.args(["-m", "pytest", "-q", "-p", "verdicts", "-p", "no:cacheprovider"]);
    pytest.args(["-k", LEFT_OUT]).args(FILES).current_dir(source());
    for name in ["http_proxy", "https_proxy", "no_proxy", "all_proxy"] {
        pytest.env_remove(name).env_remove(name.to_uppercase());
    }
    pytest.env("PYTHONPATH", here("tests/clients/http_suite")).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.env("SUITE_VERDICTS", &file);
    if let Some(proxy) = proxy {
        pytest.env("SUITE_PROXY", proxy);
    }
    let output = pytest.output().unwrap();
    // 0: passed; 1: some tests failed; anything else: they did not run.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let lines = fs::read_to_string(file).unwrap();
    lines.lines().map(|line| serde_json::from_str::<(String, String)>(line).unwrap()).collect()
}

fn reason(test: &str) -> Option<usize> {
    let (_, name) = test.split_once("::").unwrap();
    NOT_THROUGH_A_PROXY.iter().position(|(start, _)| name.starts_with(start))
}

#[test]
fn the_tests_of_requests_give_the_same_verdicts() {
    let engine = engine!().start();
    let proxy = format!("http://{}", engine.proxy);
    let (without, with) = thread::scope(|scope| {
        let without = scope.spawn(|| verdicts(None));
        let with = verdicts(Some(&proxy));
        (without.join().unwrap(), with)
    });

    assert!(with.keys().eq(without.keys()), "the same tests have run");
    let passed = without.values().filter(|verdict| *verdict == "passed").count();
    assert!(passed >= 330, "{passed} of {}: {without:#?}", without.len());
    let differ = |test: &&String| with[*test] != without[*test];
    let unexplained: Vec<_> =
        with.keys().filter(differ).filter(|test| reason(test).is_none()).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let differing: Vec<_> = with.keys().filter(differ).filter_map(|test| reason(test)).collect();
    for (at, (start, why)) in NOT_THROUGH_A_PROXY.iter().enumerate() {
        assert!(differing.contains(&at), "{start} passes through the engine, in spite of: {why}");
    }

    let requests = |decision: &str| {
        let decision = format!("decision=\"{decision}\"");
        engine.metric("state_engine_proxy_requests_total", &[&decision])
    };
    let counts = ["passed", "executed", "replayed", "tunnel"].map(|one| (one, requests(one)));
    assert!(requests("passed") >= 200.0 && requests("executed") >= 20.0, "{counts:?}");
    assert!(requests("tunnel") >= 3.0, "{counts:?}");
}
