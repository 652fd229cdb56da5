//! The user's own proxy: calls go out through it, by `run` and by `serve --upstream-proxy`.

use std::net::SocketAddr;
use std::process::Stdio;

use testkit::{Client, Engine, Request, Upstream, engine};

/// `ann:p@ss`, as a URL writes it and as Basic credentials carry it.
const USER_INFO: &str = "ann:p%40ss";
const BASIC: &str = "Basic YW5uOnBAc3M=";

fn serve(proxy: &Upstream) -> Engine {
    engine!()
        .arg("--upstream-proxy")
        .arg(format!("http://{USER_INFO}@{}", proxy.addr))
        .arg("--upstream-direct")
        .arg("direct.example, 127.0.0.2")
        .start()
}

#[test]
fn clear_http_goes_out_in_absolute_form_and_is_guarded() {
    let proxy = Upstream::forward_proxy(SocketAddr::from(([127, 0, 0, 1], 9)));
    let engine = serve(&proxy);
    let post = Request::post("http://tool.invalid:8080/act?q=%2F", "x")
        .header("Proxy-Authorization", "Basic czp0");
    let first = engine.send(&post);
    first.assert_is(200, "executed");
    assert_eq!(first.text(), "http://tool.invalid:8080/act?q=%2F");
    engine.send(&post).assert_is(200, "replayed");
    let sent = proxy.only();
    assert_eq!(sent.header("host"), Some("tool.invalid:8080"));
    assert_eq!(sent.header("proxy-authorization"), Some(BASIC), "ours, not the client's");
    // Reads too, over the kept connection, and without a port if it is the scheme's default.
    for _ in 0..2 {
        let read = engine.send(&Request::get("http://tool.invalid/read"));
        assert_eq!((read.status, read.text().as_str()), (200, "http://tool.invalid/read"));
    }
    let log = engine.log();
    assert!(!log.contains("YW5uOnBAc3M") && !log.contains("p%40ss"), "{log}");
}

#[test]
fn tunnels_go_through_the_upstream_proxy_by_connect() {
    let tool = Upstream::echo();
    let proxy = Upstream::forward_proxy(tool.addr);
    let engine = serve(&proxy);
    let (mut client, head) = Client::tunnel(engine.proxy, "tool.invalid:443", "").unwrap();
    assert!(head.line.contains(" 200"), "{head:?}");
    client.ask(&Request::post("http://tool.invalid:443/act", "x")).assert_is(200, "executed");
    let connect = proxy.only();
    assert_eq!((connect.method(), connect.target()), ("CONNECT", "tool.invalid:443"));
    assert_eq!(connect.header("proxy-authorization"), Some(BASIC));
    let sent = tool.only();
    assert_eq!((sent.target(), sent.header("proxy-authorization")), ("/act", None));

    let (mut client, head) = Client::tunnel(engine.proxy, "refused.invalid:443", "").unwrap();
    let refused = client.rest(head, "GET");
    assert_eq!(refused.status, 502);
    assert!(refused.text().contains("403") && !refused.text().contains("ann"), "{refused:?}");
}

/// The upstream proxy itself would connect to any address.
#[test]
fn nobody_reaches_a_metadata_service_through_the_upstream_proxy() {
    let tool = Upstream::echo();
    let proxy = Upstream::forward_proxy(tool.addr);
    let engine = serve(&proxy);
    for host in [
        "169.254.169.254",
        "168.63.129.16",
        "0xa83f8110",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:a9fe:a9fe::1]",
        "[2001:db8::5efe:169.254.169.254]",
        "[fd00:ec2::254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "224.0.0.1",
        "255.255.255.255",
        "[ff02::1]",
        "[2002::1]",
        "metadata",
        "metadata.google.internal",
        "METADATA.Google.Internal.",
        "instance-data.ec2.internal",
        "metadata.goog",
    ] {
        let (mut client, head) = Client::tunnel(engine.proxy, &format!("{host}:443"), "").unwrap();
        client.rest(head, "GET").assert_problem(403, "refused");
        engine.post(&format!("http://{host}/"), "x").assert_problem(403, "refused");
    }
    assert_eq!((proxy.hits(), tool.hits()), (0, 0));
}

#[test]
fn the_loopback_and_exempt_hosts_are_reached_directly() {
    let tool = Upstream::echo();
    let elsewhere =
        Upstream::start_at("127.0.0.2:0", |_, exchange| exchange.answer(200, &[], b"direct"));
    let proxy = Upstream::forward_proxy(tool.addr);
    let engine = serve(&proxy);
    engine.post(&tool.url("/act"), "x").assert_is(200, "executed");
    assert_eq!(engine.post(&elsewhere.url("/act"), "x").text(), "direct");
    let named = engine.post("http://direct.example/act", "x");
    assert_eq!(named.status, 502, "no such host, and the proxy is not used");
    assert_eq!(proxy.hits(), 0);
}

#[test]
fn run_uses_the_proxy_of_the_environment() {
    let proxy = Upstream::forward_proxy(SocketAddr::from(([127, 0, 0, 1], 9)));
    let builder = engine!();
    let post = "curl -sS -d x http://tool.invalid/act";
    let line = format!("{post}; {post}; echo; env");
    let run = |environment: &[(&str, String)]| {
        let mut command = builder.command();
        command.args(["run", "--session", "s", "--database"]).arg(builder.database_path());
        command.args(["--", "sh", "-c", &line]).envs(environment.iter().map(|(n, v)| (n, v)));
        let ran = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&ran.stdout), text(&ran.stderr))
    };
    let theirs = format!("http://{USER_INFO}@{}", proxy.addr);
    let (output, warnings) =
        run(&[("HTTP_PROXY", theirs.clone()), ("NO_PROXY", "a.corp".to_owned())]);
    assert!(
        output.starts_with("http://tool.invalid/acthttp://tool.invalid/act\n"),
        "{output} {warnings}"
    );
    assert_eq!(proxy.hits(), 1, "the second call was a duplicate");
    assert!(!output.contains("p%40ss"), "the program need not know the password: {output}");
    for name in ["no_proxy", "NO_PROXY"] {
        assert!(output.lines().any(|line| line == format!("{name}=a.corp")), "{output}");
    }
    assert!(warnings.contains("a.corp"), "unguarded hosts are reported: {warnings}");

    // The running engine does not use it, and the user gets a warning.
    let _engine = builder.start();
    let (_, warnings) = run(&[("HTTP_PROXY", theirs)]);
    assert!(warnings.contains("--upstream-proxy") && !warnings.contains("ann"), "{warnings}");
    assert_eq!(proxy.hits(), 1);
}
