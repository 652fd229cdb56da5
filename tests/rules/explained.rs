//! `config` and `explain`: the proxy does what they say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use testkit::{Builder, Request};

use super::{configured, fine};

fn cli(builder: &Builder, args: &[&str]) -> (Option<i32>, String, String) {
    let file = builder.home().join("engine.toml");
    let database = builder.database_path();
    let whole = args
        .iter()
        .map(|arg| (*arg).to_owned())
        .chain(["--config".to_owned(), file.display().to_string()])
        .chain(["--database".to_owned(), database.display().to_string()]);
    let output = builder.cli(whole);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn explained(builder: &Builder, args: &[&str]) -> Value {
    let (status, out, err) = cli(builder, &[&["explain", "--json"], args].concat());
    assert_eq!(status, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

const RULES: &str = r#"
[proxy.intercept]
hosts = ["api.stripe.com"]

[[rule]]
name = "mail"
path = "/send"
tool = "mail"
ignore = "/sent_at"
"#;

#[test]
fn the_proxy_does_what_explain_says() {
    let upstream = fine();
    let builder = configured(&upstream, RULES);
    let engine = builder.start();
    let url = upstream.url("/send");
    let json = "Content-Type: application/json";
    let ask = |body: &str| {
        let secret = "Authorization: Bearer hunter2";
        let explanation = explained(&builder, &["POST", &url, body, "-H", json, "-H", secret]);
        assert!(!explanation.to_string().contains("hunter2"), "{explanation}");
        explanation
    };
    let fresh = ask(r#"{"to":"ada","sent_at":1}"#);
    assert_eq!(
        (&fresh["decision"], &fresh["rule"]),
        (&"guarded".into(), &"rule mail, method POST".into())
    );
    assert_eq!((&fresh["now"], &fresh["key"]), (&"execute".into(), &Value::Null));

    let sent = engine.send(
        &Request::post_json(&url, r#"{"sent_at":1,"to":"ada"}"#)
            .header("Authorization", "Bearer hunter2"),
    );
    sent.assert_is(200, "executed");
    let known = ask(r#"{"to":"ada","sent_at":2}"#);
    assert_eq!(known["now"], "replay");
    assert_eq!(known["key"], sent.header("idempotency-key").unwrap());
    assert_eq!(known["execution_id"], sent.header("agent-execution-id").unwrap());
    assert_eq!((&known["tool"], &known["class"]), (&"mail".into(), &"once".into()));
    let parts = known["parts"].as_array().unwrap();
    let counts = |part: &str, value: &str| {
        parts.iter().find(|p| p["part"] == part && p["value"] == value).unwrap()["counts"] == true
    };
    assert!(counts("header", "content-type") && !counts("header", "authorization"));
    assert!(!counts("field", "/sent_at") && counts("principal", "authorization"));
    assert_eq!(ask(r#"{"to":"bob"}"#)["now"], "execute");
    assert_eq!(upstream.hits(), 1);

    // Without a server, `explain` reads the file.
    let _ = engine.kill();
    assert_eq!(ask(r#"{"to":"ada","sent_at":3}"#)["now"], "replay");
}

#[test]
fn tables_and_routes_are_explained() {
    let upstream = fine();
    let builder = configured(&upstream, RULES);
    let stripe = explained(&builder, &["POST", "https://api.stripe.com/v1/charges", "amount=1"]);
    assert_eq!((&stripe["class"], &stripe["rule"]), (&"keyed".into(), &"keyed stripe".into()));
    assert_eq!(stripe["needs"], Value::Null);
    let blind = explained(&builder, &["POST", "https://tool.example/x"]);
    assert!(blind["needs"].as_str().unwrap().contains("[proxy.intercept]"), "{blind}");
    assert_eq!(explained(&builder, &["GET", "http://tool.example/x"])["decision"], "passed");

    let (status, out, _) = cli(&builder, &["explain", "POST", "http://tool.example/x", "a"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("Rule      method POST\n") && out.contains("it would run"), "{out}");
    let bad = cli(&builder, &["explain", "POST", "http://u@tool.example/x"]);
    assert_eq!(bad.0, Some(1));
    assert!(bad.2.contains("would refuse it"), "{}", bad.2);
}

#[test]
fn every_example_of_the_page_is_valid() {
    let page = include_str!("../../docs/RULES.md");
    let upstream = fine();
    let mut examples = 0;
    for block in page.split("```toml\n").skip(1) {
        let toml = block.split("```").next().unwrap();
        let builder = configured(&upstream, toml);
        // One of the examples has a secret.
        let file = builder.home().join("engine.toml");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        let (status, _, err) = cli(&builder, &["config", "check"]);
        assert_eq!(status, Some(0), "{toml}\n{err}");
        examples += 1;
    }
    assert!(examples > 8, "only {examples} examples were found");
}

#[test]
fn a_configuration_is_checked_and_shown() {
    let upstream = fine();
    let builder = configured(&upstream, RULES);
    let file = builder.home().join("engine.toml");
    let (status, out, _) = cli(&builder, &["config", "check"]);
    assert_eq!((status, out), (Some(0), format!("{}: valid, 1 rules, 0 routes\n", file.display())));

    let (status, out, _) =
        cli(&builder.clone().env("STATE_ENGINE_PASS", "a,b"), &["config", "show", "--json"]);
    assert_eq!(status, Some(0));
    let settings: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| {
        let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
        (
            setting["value"].as_str().unwrap().to_owned(),
            setting["from"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(of("proxy.max_request"), ("256MiB".to_owned(), "default".to_owned()));
    assert_eq!(of("proxy.pass"), ("a, b".to_owned(), "STATE_ENGINE_PASS".to_owned()));
    assert_eq!(of("server.database").1, "--database");
    assert_eq!(of("rule.1"), ("mail".to_owned(), format!("{}:5", file.display())));
    assert_eq!(of("proxy.intercept.hosts").1, format!("{}:3", file.display()));

    fs::write(&file, "[[rule]]\nefect = \"once\"\n").unwrap();
    let (status, out, err) = cli(&builder, &["config", "check"]);
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(err.contains("engine.toml:2:") && err.contains("did you mean `effect`?"), "{err}");
}
