//! Requests whose stored answer nobody wants: reads by POST, polls, sign-ins. And what is like them and acts.

use std::fs;

use testkit::{Engine, Request, Response, Upstream, engine};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn configured(toml: &str) -> Engine {
    let builder = engine!();
    let file = builder.home().join("engine.toml");
    fs::write(&file, toml).unwrap();
    builder.arg("--config").arg(file).start()
}

fn request(upstream: &Upstream, path: &str, kind: &str, body: &str) -> Request {
    Request::new("POST", &upstream.url(path)).header("Content-Type", kind).body(body)
}

/// Sends a request twice; whether both reached the tool, and the second answer.
fn twice(engine: &Engine, upstream: &Upstream, request: &Request) -> (bool, Response) {
    let before = upstream.hits();
    engine.send(request);
    let second = engine.send(request);
    (upstream.hits() == before + 2, second)
}

fn rpc(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

#[test]
fn a_read_by_post_is_answered_again() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let call = r#"[{"to":"0x01","data":"0x"},"latest"]"#;
    let batch = format!("[{},{}]", rpc("eth_chainId", "[]"), rpc("eth_getLogs", "[{}]"));
    let gzipped = testkit::codings::gzip(rpc("eth_blockNumber", "[]").as_bytes());
    let reads = [
        request(&upstream, "/", JSON, &rpc("eth_getTransactionReceipt", r#"["0x01"]"#)),
        request(&upstream, "/", JSON, &rpc("eth_call", call)),
        request(&upstream, "/rpc", JSON, &rpc("net_version", "[]")),
        request(&upstream, "/", JSON, &rpc("getSignatureStatuses", "[[]]")),
        request(&upstream, "/", JSON, &rpc("getblockcount", "[]")),
        request(&upstream, "/", JSON, &batch),
        request(&upstream, "/", JSON, "").body(gzipped).header("Content-Encoding", "gzip"),
        request(&upstream, "/bot7:AbC/getUpdates", JSON, r#"{"offset":7,"timeout":30}"#),
        request(&upstream, "/bot7:AbC/getChatMember", FORM, "chat_id=1"),
        request(&upstream, "/session/s1/element", JSON, r#"{"using":"css selector","value":"a"}"#),
        request(
            &upstream,
            "/wd/hub/session/s1/element/e1/elements",
            JSON,
            r#"{"using":"xpath","value":"a"}"#,
        ),
        request(&upstream, "/7/q", "application/x-amz-json-1.0", "{}")
            .header("X-Amz-Target", "AmazonSQS.ReceiveMessage"),
        request(&upstream, "/", "application/x-amz-json-1.0", "{}")
            .header("X-Amz-Target", "DynamoDB_20120810.BatchGetItem"),
        request(&upstream, "/7/q", FORM, "Action=ReceiveMessage&Version=2012-11-05"),
        request(&upstream, "/v1/projects/p/subscriptions/s:pull", JSON, r#"{"maxMessages":1}"#),
        request(&upstream, "/v1/projects/p/databases/d/documents:runQuery", JSON, "{}"),
        request(&upstream, "/queue/messages/head", JSON, ""),
        request(&upstream, "/v1/poll", JSON, r#"{"workerId":"a","timeout":30}"#),
        request(&upstream, "/long-poll", FORM, "last_event_id=7"),
    ];
    for read in reads {
        let (passes, second) = twice(&engine, &upstream, &read);
        assert!(passes, "{read:?} {second:?}");
        assert_eq!(second.header("idempotency-status"), None, "{read:?}");
    }
    assert!(engine.proxied().is_empty());
}

#[test]
fn what_is_like_a_read_and_acts_is_guarded() {
    let upstream = Upstream::echo();
    let engine = engine!().start();
    let mixed = format!("[{},{}]", rpc("eth_getLogs", "[]"), rpc("eth_sendRawTransaction", "[]"));
    let acts = [
        request(&upstream, "/", JSON, &rpc("eth_sendRawTransaction", r#"["0x01"]"#)),
        request(&upstream, "/", JSON, &rpc("sendTransaction", "[]")),
        request(&upstream, "/", JSON, &rpc("wallet_getPermissions", "[]")),
        request(&upstream, "/", JSON, &rpc("getnewaddress", "[]")),
        request(&upstream, "/", JSON, &rpc("get_or_create_user", "[]")),
        request(&upstream, "/", JSON, &rpc("phone_call", r#"{"to":"+49"}"#)),
        request(&upstream, "/", JSON, &mixed),
        request(&upstream, "/", "text/plain", &rpc("eth_getLogs", "[]")),
        request(&upstream, "/", JSON, r#"{"method":"getBalance"}"#),
        request(&upstream, "/bot7:AbC/sendMessage", JSON, r#"{"chat_id":1,"text":"a"}"#),
        request(&upstream, "/session/s1/element/e1/click", JSON, "{}"),
        request(&upstream, "/session/s1/element", JSON, r#"{"name":"a"}"#),
        request(&upstream, "/7/q", "application/x-amz-json-1.0", "{}")
            .header("X-Amz-Target", "AmazonSQS.SendMessage"),
        request(&upstream, "/7/q", FORM, "Action=SendMessage&Version=2012-11-05"),
        request(&upstream, "/7/q", FORM, "Action=getaway"),
        request(&upstream, "/v1/projects/p/topics/t:publish", JSON, "{}"),
        request(&upstream, "/poll", JSON, r#"{"question":"tea?","options":["yes"]}"#),
        request(&upstream, "/poll", JSON, "{}").header("Content-Encoding", "compress"),
        request(&upstream, "/poll", JSON, &format!(r#"{{"ids":"{}"}}"#, "x".repeat(300_000))),
    ];
    for act in acts {
        let (passes, second) = twice(&engine, &upstream, &act);
        assert!(!passes, "{act:?} {second:?}");
        second.assert_is(200, "replayed");
    }
}

/// Its token and its cookie are new each time.
#[test]
fn a_sign_in_passes_and_says_so() {
    let upstream = Upstream::start(|_, exchange| {
        exchange.answer(200, &[("Set-Cookie", "sid=1")], br#"{"token":"t"}"#);
    });
    let engine = engine!().start();
    let person = r#"{"email":"ada","password":"a"}"#;
    let sign_ins = [
        request(&upstream, "/login", JSON, person),
        request(&upstream, "/api/v1/login.php", FORM, "user=ada&passwd=a"),
        request(&upstream, "/users/sign_in", JSON, r#"{"user":{"email":"ada","password":"a"}}"#),
        request(&upstream, "/auth/local", JSON, person),
        request(&upstream, "/auth/v1/verify", JSON, r#"{"phone":"1","totp":"2"}"#),
        request(&upstream, "/oauth2/renew", JSON, r#"{"refresh_token":"a"}"#),
        request(&upstream, "/connect/token", JSON, r#"{"client_id":"a","client_secret":"b"}"#),
        request(&upstream, "/token", JSON, r#"{"grant_type":"client_credentials"}"#),
        request(&upstream, "/sessions", JSON, person),
        request(&upstream, "/v1/accounts:signInWithPassword", JSON, person),
    ];
    for sign_in in sign_ins {
        let (passes, second) = twice(&engine, &upstream, &sign_in);
        assert!(passes, "{sign_in:?}");
        assert_eq!((second.word(), second.parameter("reason")), ("bypassed", Some("sign-in")));
        assert_eq!(second.header("set-cookie"), Some("sid=1"));
    }
    let others = [
        ("/pay", r#"{"amount":1,"password":"a"}"#),
        ("/auth/transfer", r#"{"to":"b","password":"a"}"#),
        ("/session", r#"{"amount":1,"currency":"EUR","password":"a"}"#),
        ("/users", person),
        ("/register", person),
        ("/auth/signup", person),
        ("/auth/users", person),
        ("/login", r#"{"name":"ada"}"#),
        ("/auth/password", r#"{"password":"a","new_password":"b"}"#),
        ("/sessions", r#"{"password":"a","password_confirmation":"a"}"#),
    ];
    for (path, body) in others {
        let (passes, second) = twice(&engine, &upstream, &request(&upstream, path, JSON, body));
        assert!(!passes, "{path} {body}");
        second.assert_is(200, "replayed");
    }
}

#[test]
fn a_rule_decides_by_the_method_of_json_rpc() {
    let upstream = Upstream::echo();
    let engine = configured(
        "[[rule]]\nname = \"look\"\nrpc_method = [\"state_*\", \"report\"]\neffect = \"read\"\n\
         [[rule]]\nname = \"count\"\nrpc_method = \"eth_getFilterChanges\"\neffect = \"once\"\n\
         [[rule]]\npath = \"/login\"\neffect = \"once\"\n\
         [[rule]]\npath = \"/tools\"\nrpc_method = \"*\"\neffect = \"idempotent\"\n",
    );
    let both = format!("[{},{}]", rpc("state_root", "[]"), rpc("report", "[]"));
    let half = format!("[{},{}]", rpc("state_root", "[]"), rpc("act", "[]"));
    for (path, body, passes) in [
        ("/", rpc("state_root", "[]"), true),
        ("/", rpc("report", "[]"), true),
        ("/", both, true),
        ("/", half, false),
        ("/", rpc("act", "[]"), false),
        ("/", rpc("eth_getFilterChanges", "[]"), false),
        ("/", "{\"state\":1}".to_owned(), false),
        ("/login", r#"{"password":"a"}"#.to_owned(), false),
        ("/tools", rpc("act", "[1]"), true),
    ] {
        let (passed, second) = twice(&engine, &upstream, &request(&upstream, path, JSON, &body));
        assert_eq!(passed, passes, "{path} {body} {second:?}");
    }
    // A method that cannot be read may be one that a rule guards: no later rule passes it.
    let engine = configured(
        "[[rule]]\nrpc_method = \"act\"\neffect = \"once\"\n[[rule]]\neffect = \"read\"\n",
    );
    let coded = |coding: &str| {
        let act = request(&upstream, "/coded", JSON, &rpc("act", "[]"));
        act.header("Content-Encoding", coding)
    };
    for coding in ["compress", "gzip", "identity"] {
        let (passed, _) = twice(&engine, &upstream, &coded(coding));
        assert!(!passed, "{coding}");
    }
    let look = request(&upstream, "/coded", JSON, &rpc("look", "[]"));
    assert!(twice(&engine, &upstream, &look).0);
    // Without the table, only rules say what a POST does.
    let engine = configured("[proxy]\nreads_table = false\n");
    for (path, body) in
        [("/", rpc("eth_getLogs", "[]")), ("/login", r#"{"password":"a"}"#.to_owned())]
    {
        let (passed, _) = twice(&engine, &upstream, &request(&upstream, path, JSON, &body));
        assert!(!passed, "{path} {body}");
    }
}

/// Either rule would double effects after a restart.
#[test]
fn an_empty_answer_and_one_with_a_cookie_are_replayed() {
    let upstream = Upstream::start(|request, exchange| match request.target() {
        "/204" => exchange.answer(204, &[], b""),
        "/list" => exchange.answer(200, &[("Content-Type", JSON)], b"[]"),
        _ => exchange.answer(200, &[("Set-Cookie", "lb=1")], b"sent"),
    });
    let engine = engine!().start();
    for path in ["/204", "/list", "/cookie"] {
        let (passes, second) = twice(&engine, &upstream, &request(&upstream, path, JSON, "{}"));
        assert!(!passes, "{path}");
        assert_eq!(second.word(), "replayed");
        assert_eq!(second.parameter("omitted"), (path == "/cookie").then_some("set-cookie"));
    }
}
