//! The state API from inside a run: its address leads through the engine's own proxy.

use std::fs;
use std::process::Command;

use serde_json::Value;
use testkit::{Builder, Client, Request, basic, engine, here};

use super::{err, out, run};

const STATS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"get_stats"}"#;

/// Programs that print the status and the body of a call of the state API. None leaves out the proxy.
const CLIENTS: &[(&str, &str)] = &[
    (
        "curl",
        r#"curl -sS -w '\n%{http_code}' $AUTH -H 'Content-Type: application/json' -d "$BODY" $STATE_ENGINE_URL"#,
    ),
    (
        "curl in a tunnel",
        r#"curl -sS -p -w '\n%{http_code}' $AUTH -H 'Content-Type: application/json' -d "$BODY" $STATE_ENGINE_URL"#,
    ),
    (
        "urllib",
        r#"$PYTHON $CLIENTS/send.py urllib POST $STATE_ENGINE_URL "$BODY" Content-Type:application/json"#,
    ),
    (
        "requests",
        r#"$PYTHON $CLIENTS/send.py requests POST $STATE_ENGINE_URL "$BODY" Content-Type:application/json"#,
    ),
    (
        "httpx",
        r#"$PYTHON $CLIENTS/send.py httpx POST $STATE_ENGINE_URL "$BODY" Content-Type:application/json"#,
    ),
    (
        "fetch",
        r#"$NODE $CLIENTS/send.mjs fetch POST $STATE_ENGINE_URL "$BODY" Content-Type:application/json"#,
    ),
    (
        "undici",
        r#"$NODE $CLIENTS/send.mjs undici POST $STATE_ENGINE_URL "$BODY" Content-Type:application/json"#,
    ),
    (
        "http",
        r#"$NODE $CLIENTS/send.mjs http POST $STATE_ENGINE_URL "$BODY" Content-Type:application/json"#,
    ),
    (
        "the TypeScript client",
        r#"$NODE --input-type=module -e "
            const { StateEngineClient } = await import('$CLIENT');
            const engine = new StateEngineClient({ url: process.env.STATE_ENGINE_URL });
            console.log(JSON.stringify(await engine.getStats()) + '\n200');""#,
    ),
];

fn client(builder: &Builder, line: &str, flags: &[&str]) -> String {
    let mut command: Command = run(builder, &[flags, &["--", "sh", "-c", line]].concat());
    command
        .env("BODY", STATS)
        .env("PYTHON", here("target/venv/bin/python"))
        .env("NODE", here("tests/clients/node_modules/node/bin/node"))
        .env("CLIENTS", here("tests/clients"))
        .env("CLIENT", here("ts-client/dist/index.js"));
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{line}: {}{}", out(&ran), err(&ran));
    out(&ran)
}

#[test]
fn every_client_reaches_the_api_through_the_proxy_of_its_run() {
    let own = (engine!(), None);
    let open = engine!().start();
    let guarded = engine!().arg("--require-token").start();
    let served = [&open, &guarded].map(|engine| (engine.builder().clone(), Some(engine)));
    for (builder, engine) in [own].into_iter().chain(served) {
        for (name, line) in CLIENTS {
            let printed = client(&builder, line, &["--session", "s"]);
            let status = printed.lines().last().unwrap().split(' ').next().unwrap();
            assert!(status == "200" && printed.contains("executions"), "{name}: {printed}");
        }
        if let Some(engine) = engine {
            assert!(engine.proxied().is_empty(), "the state API's calls are not tool calls");
        }
    }
}

#[test]
fn the_apis_own_checks_hold_behind_the_proxy() {
    let call = |more: &str| {
        format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' {more} -H 'Content-Type: application/json' -d \"$BODY\" "
        )
    };
    let builder = engine!();
    let config = builder.home().join("engine.toml");
    fs::write(&config, "[server]\ntoken = \"hunter2\"\n").unwrap();
    fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let locked = ["--config", config.to_str().unwrap()];
    let shared = ["--config", config.to_str().unwrap(), "--share-api-token"];
    let url = "$STATE_ENGINE_URL";
    let port = "${STATE_ENGINE_URL##*:}";
    for (flags, fields, target, status) in [
        (&locked[..], "", url.to_owned(), "401"),
        (&shared[..], "", url.to_owned(), "401"),
        (&shared[..], "-H \"Authorization: Bearer $STATE_ENGINE_TOKEN\"", url.to_owned(), "200"),
        (&shared[..], "-p -H \"Authorization: Bearer $STATE_ENGINE_TOKEN\"", url.to_owned(), "200"),
        (&[][..], "", url.to_owned(), "200"),
        (&[][..], "-H 'Origin: http://evil.example'", url.to_owned(), "403"),
        (&[][..], "-H 'Sec-Fetch-Site: cross-site'", url.to_owned(), "403"),
        (&[][..], "-H 'Content-Type: text/plain'", url.to_owned(), "415"),
        // Only its very address: a page chooses where a name leads.
        (&[][..], "", format!("http://localhost:{port}"), "403"),
        (&[][..], "", format!("http://127.0.0.2:{port}"), "403"),
        (&[][..], "", format!("http://0.0.0.0:{port}"), "403"),
        // Credentials that name no run, or none at all.
        (&[][..], "-x http://127.0.0.1:${http_proxy##*:}", url.to_owned(), "407"),
        (&[][..], "--proxy-header 'Proxy-Authorization: Basic YTpi'", url.to_owned(), "407"),
    ] {
        let line = format!("{}{target}", call(fields));
        let flags = [&["--session", "s"], flags].concat();
        assert_eq!(client(&builder, &line, &flags), status, "{fields} {target}");
    }
}

/// An engine that requires no token: whose credentials name no run is refused as before.
#[test]
fn who_is_not_under_run_does_not_reach_the_api_through_the_proxy() {
    let engine = engine!().start();
    let url = format!("http://{}/", engine.api);
    let run = "0123456789abcdef0123456789abcdef";
    for (user, status) in [
        ("", 403),
        ("s", 403),
        ("s~1", 403),
        (&format!("s~{}", run.to_uppercase()), 403),
        (&format!("s~{run}"), 200),
    ] {
        let mut request = Request::post_json(&url, STATS);
        let credentials = basic(user, "x");
        if !user.is_empty() {
            request = request.header("Proxy-Authorization", &credentials);
        }
        let answer = engine.send(&request);
        assert_eq!(answer.status, status, "{user}: {answer:?}");
        let fields = match user {
            "" => String::new(),
            _ => format!("Proxy-Authorization: {credentials}\r\n"),
        };
        let (mut tunnel, head) =
            Client::tunnel(engine.proxy, &engine.api.to_string(), &fields).unwrap();
        assert_eq!(head.line.contains(" 200"), status == 200, "{user}: {}", head.line);
        if status == 200 {
            let answer = tunnel.ask(&Request::post_json(&url, STATS));
            assert!(answer.json()["result"] != Value::Null, "{answer:?}");
        }
    }
}
