//! Tools that sign connections in (NTLM, Negotiate, and schemes that nobody has listed): what comes
//! next on such a connection is answered as the one who signed in, so nobody else may get it.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use testkit::{
    Builder, Client, Ending, Engine, Request, Response, TestCa, Trusting, Upstream, base64, basic,
    block_on, engine,
};
use tokio::io::copy_bidirectional;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Schemes that sign connections in, or may.
const SCHEMES: [&str; 4] = ["NTLM", "Negotiate", "Kerberos", "Unheard-Of"];

/// How far a connection is signed in.
enum Login {
    Challenged(u32),
    As(String),
}

/// A tool that answers by who has signed the connection in: `hello` gets a challenge, the proof of
/// which signs in. Everyone else gets 401.
fn tool() -> Upstream {
    let logins: Mutex<HashMap<SocketAddr, Login>> = Mutex::default();
    let drawn = Mutex::new(0);
    Upstream::start(move |request, exchange| {
        let peer = exchange.wire.stream.peer_addr().unwrap();
        let mut logins = logins.lock().unwrap();
        if exchange.number == 1 {
            logins.remove(&peer);
        }
        let credentials = request.header("authorization").and_then(|value| value.split_once(' '));
        if request.target().ends_with("/lose") && exchange.number > 1 {
            return exchange.close();
        }
        let Some((scheme, token)) = credentials else {
            return match logins.get(&peer) {
                Some(Login::As(user)) => {
                    let body = String::from_utf8_lossy(&request.body);
                    let text = format!("{user}: {} {body}", request.method());
                    exchange.answer(200, &[], text.as_bytes());
                }
                _ => exchange.answer(401, &[("WWW-Authenticate", "Unheard-Of, NTLM")], b"who?"),
            };
        };
        match (token.split_once('.'), logins.get(&peer)) {
            (Some((user, proof)), Some(Login::Challenged(n))) if *proof == n.to_string() => {
                logins.insert(peer, Login::As(user.to_owned()));
                let fields = [("Persistent-Auth", "true")];
                exchange.answer(200, &fields, format!("{user}: signed in").as_bytes());
            }
            (Some(_), _) => exchange.answer(401, &[("WWW-Authenticate", scheme)], b"no"),
            (None, _) => {
                let mut drawn = drawn.lock().unwrap();
                *drawn += 1;
                logins.insert(peer, Login::Challenged(*drawn));
                let challenge = format!("{scheme} {drawn}");
                exchange.answer(401, &[("WWW-Authenticate", &challenge)], b"prove it");
            }
        }
    })
}

/// A client's connection to the tool, however it leads there.
struct Line {
    client: Client,
    url: String,
    absolute: bool,
    fields: Vec<(String, String)>,
}

impl Line {
    fn ask(&mut self, request: Request) -> Response {
        let request =
            self.fields.iter().fold(request, |request, (name, value)| request.header(name, value));
        let bytes = if self.absolute { request.to_proxy() } else { request.to_origin() };
        self.client.write(bytes).unwrap();
        self.client.answer(&request.method).unwrap()
    }

    fn post(&mut self, body: &str) -> Response {
        let request = Request::post(&self.url, body);
        self.ask(request)
    }

    /// Signs the connection in, by a POST that each step sends whole.
    fn sign_in(&mut self, scheme: &str, user: &str) {
        let post = Request::post(&self.url, "sign in");
        let challenge = self.ask(post.clone().header("Authorization", &format!("{scheme} hello")));
        challenge.assert_is(401, "not-executed");
        assert_eq!(challenge.header("proxy-support"), Some("Session-Based-Authentication"));
        let number = challenge.header("www-authenticate").unwrap().rsplit(' ').next().unwrap();
        let proof = format!("{scheme} {user}.{number}");
        let answer = self.ask(post.header("Authorization", &proof));
        answer.assert_is(200, "executed");
        assert_eq!(answer.text(), format!("{user}: signed in"), "{scheme}");
    }

    #[track_caller]
    fn is_signed_in_as(&mut self, user: &str, what: &str) {
        let read = self.ask(Request::get(&self.url.clone()));
        assert_eq!((read.status, read.text()), (200, format!("{user}: GET ")), "{what}");
        let posted = self.post("act");
        assert_eq!((posted.status, posted.text()), (200, format!("{user}: POST act")), "{what}");
    }

    #[track_caller]
    fn is_nobody(&mut self, what: &str) {
        for request in [Request::get(&self.url), Request::post(&self.url, "act")] {
            let answer = self.ask(request);
            assert_eq!((answer.status, answer.text().as_str()), (401, "who?"), "{what}");
        }
    }
}

/// Ways to one tool.
struct Ways {
    engine: Engine,
    through_proxy: Engine,
    tool: Upstream,
    secured: SocketAddr,
    tokens: bool,
}

const WAYS: [&str; 6] =
    ["absolute", "tunnel", "tunnel to the engine", "https", "route", "upstream proxy"];

impl Ways {
    fn new(tokens: bool) -> Self {
        let (tool, ca) = (tool(), TestCa::new());
        let secured = ca.sign(&["localhost"]).before(tool.addr, Ending::Clean);
        let rules = format!("[[route]]\nname = \"tool\"\nto = \"http://{}\"\n", tool.addr);
        let require =
            |builder: Builder| if tokens { builder.arg("--require-token") } else { builder };
        let builder = engine!().arg("--intercept").arg("localhost");
        let file = builder.home().join("rules.toml");
        fs::write(&file, rules).unwrap();
        let builder = builder.arg("--upstream-ca").arg(ca.file()).arg("--config").arg(file);
        let proxy = format!("http://{}", tool.addr);
        let through_proxy = engine!().arg("--upstream-proxy").arg(proxy);
        Self {
            engine: require(builder).start(),
            through_proxy: require(through_proxy).start(),
            tool,
            secured,
            tokens,
        }
    }

    /// A new connection of this session.
    fn line(&self, way: &str, session: &str) -> Line {
        let engine = if way == "upstream proxy" { &self.through_proxy } else { &self.engine };
        let mut fields = Vec::new();
        if self.tokens {
            let database = engine.builder().database_path().to_str().unwrap().to_owned();
            let token = engine.builder().cli(["token", session, "--database", &database]);
            let token = String::from_utf8(token.stdout).unwrap();
            let credentials = basic(session, token.trim());
            fields.push(("Proxy-Authorization".to_owned(), credentials));
        }
        let connect: String =
            fields.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        let authority = self.tool.addr.to_string();
        let opened = |authority: &str| {
            let (client, head) = Client::tunnel(engine.proxy, authority, &connect).unwrap();
            assert!(head.line.contains(" 200"), "{head:?}");
            client
        };
        let url = format!("http://{authority}/act");
        let line = |client, url: &str, absolute, fields| Line {
            client,
            url: url.to_owned(),
            absolute,
            fields,
        };
        match way {
            "absolute" => line(Client::connect(engine.proxy).unwrap(), &url, true, fields),
            "tunnel" => line(opened(&authority), &url, false, Vec::new()),
            "tunnel to the engine" => {
                line(opened(&engine.proxy.to_string()), &url, true, Vec::new())
            }
            "https" => {
                let authority = format!("localhost:{}", self.secured.port());
                let trusting = Trusting::new(&engine.ca_pem(), &["http/1.1"]);
                let tunnel = trusting.tunnel(engine.proxy, &authority, "localhost", &connect);
                line(tunnel.unwrap().0, &format!("https://{authority}/act"), false, Vec::new())
            }
            "route" => {
                let url = format!("http://{}/to/tool/act", engine.proxy);
                line(Client::connect(engine.proxy).unwrap(), &url, false, fields)
            }
            _ => {
                let client = Client::connect(engine.proxy).unwrap();
                line(client, "http://tool.invalid/act", true, fields)
            }
        }
    }
}

/// Signs ann in, and then asks as others do, by every way.
fn nobody_is_served_as_another(tokens: bool) {
    let ways = Ways::new(tokens);
    for way in WAYS {
        for scheme in SCHEMES {
            let what = format!("{way}, {scheme}, tokens {tokens}");
            let mut ann = ways.line(way, "ann");
            ann.is_nobody(&what);
            ann.sign_in(scheme, "ann");
            ann.is_signed_in_as("ann", &what);
            let mut bob = ways.line(way, "bob");
            bob.is_nobody(&what);
            bob.sign_in(scheme, "bob");
            bob.is_signed_in_as("bob", &what);
            ann.is_signed_in_as("ann", &what);
            drop((ann, bob));
            for session in ["ann", "bob"] {
                ways.line(way, session).is_nobody(&format!("{what}: nobody inherits {session}'s"));
            }
        }
    }
}

#[test]
fn a_connection_that_was_signed_in_is_its_clients_own() {
    nobody_is_served_as_another(false);
}

#[test]
fn also_where_sessions_need_tokens() {
    nobody_is_served_as_another(true);
}

/// A front proxy sends for several clients on one connection.
#[test]
fn who_shares_a_clients_connection_shares_no_login() {
    let ways = Ways::new(false);
    let named = |session: &str| vec![("Agent-Session".to_owned(), session.to_owned())];
    let user = |name: &str| vec![("X-Forwarded-For".to_owned(), name.to_owned())];
    let run = |name: &str| vec![("Agent-Run".to_owned(), name.to_owned())];
    for (ann, bob) in [
        (named("ann"), named("bob")),
        (named("ann"), Vec::new()),
        (run("1"), run("2")),
        (Vec::new(), user("192.0.2.1")),
        (Vec::new(), vec![("Forwarded".to_owned(), "for=192.0.2.1".to_owned())]),
        (Vec::new(), vec![("Via".to_owned(), "1.1 front".to_owned())]),
    ] {
        let mut line = ways.line("absolute", "");
        line.fields.clone_from(&ann);
        line.sign_in("NTLM", "ann");
        line.fields.clone_from(&bob);
        line.is_nobody(&format!("{bob:?}"));
        line.fields.clone_from(&ann);
        line.is_signed_in_as("ann", &format!("{ann:?}"));
    }
}

/// A read that a kept connection loses is repeated on another one, which nobody has signed in.
#[test]
fn a_login_does_not_outlive_its_connection() {
    let ways = Ways::new(false);
    for method in ["GET", "POST"] {
        let mut bob = ways.line("absolute", "bob");
        bob.sign_in("NTLM", "bob");
        let mut ann = ways.line("absolute", "ann");
        ann.sign_in("NTLM", "ann");
        let lost = ann.ask(Request::new(method, &format!("{}/lose", ann.url)));
        match method {
            "GET" => assert_eq!((lost.status, lost.text().as_str()), (401, "who?")),
            _ => lost.assert_problem(502, "upstream-failed"),
        }
        ann.is_nobody(method);
        bob.is_signed_in_as("bob", method);
    }
}

/// A tool that speaks both versions: signing in is for HTTP/1.1.
#[test]
fn credentials_that_sign_in_never_go_over_a_shared_http2_connection() {
    let (tool, ca) = (tool(), TestCa::new());
    let both = ca.sign(&["localhost"]).server(&["h2", "http/1.1"]);
    let (secured, versions) = before(both, tool.addr);
    let engine =
        engine!().arg("--intercept").arg("localhost").arg("--upstream-ca").arg(ca.file()).start();
    let authority = format!("localhost:{}", secured.port());
    let trusting = Trusting::new(&engine.ca_pem(), &["http/1.1"]);
    for scheme in SCHEMES {
        let (client, _) = trusting.tunnel(engine.proxy, &authority, "localhost", "").unwrap();
        let url = format!("https://{authority}/act");
        let mut line = Line { client, url, absolute: false, fields: Vec::new() };
        line.sign_in(scheme, "ann");
        line.is_signed_in_as("ann", scheme);
    }
    let versions = versions.lock().unwrap();
    assert_eq!(*versions, vec![b"http/1.1".to_vec(); SCHEMES.len()]);
}

/// TLS before `behind`, and which protocols were agreed on.
fn before(config: Arc<ServerConfig>, behind: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let versions = Arc::new(Mutex::new(Vec::new()));
    let (acceptor, seen) = (TlsAcceptor::from(config), Arc::clone(&versions));
    let addr = block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut secured = acceptor.accept(stream).await.unwrap();
                    let version = secured.get_ref().1.alpn_protocol().unwrap_or_default().to_vec();
                    seen.lock().unwrap().push(version);
                    let mut plain = tokio::net::TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut secured, &mut plain).await;
                });
            }
        });
        addr
    });
    (addr, versions)
}

/// The challenge of a login is of use on its own connection only: equal first steps of two clients,
/// at the same time, are two logins.
#[test]
fn clients_that_sign_in_at_once_do_not_share_a_challenge() {
    let ways = Ways::new(false);
    let answers = testkit::all_at_once(8, |n| {
        let mut line = ways.line("absolute", "");
        line.sign_in("NTLM", &format!("user{n}"));
        line.post(&format!("act {n}")).text()
    });
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer, format!("user{n}: POST act {n}"));
    }
}

/// A client that nobody here wrote. Its login is three requests on one connection.
#[test]
fn curl_signs_in_by_ntlm_and_a_retry_has_one_effect() {
    let effects = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&effects);
    let tool = Upstream::start(move |request, exchange| {
        // [MS-NLMP] 2.2.1.2: a challenge without a target, in the OEM character set.
        let mut challenge = b"NTLMSSP\0\x02\0\0\0".to_vec();
        challenge.extend([0; 8]);
        challenge.extend(0x0000_0202_u32.to_le_bytes());
        challenge.extend(*b"12345678");
        challenge.extend([0; 16]);
        let challenge = format!("NTLM {}", base64(std::str::from_utf8(&challenge).unwrap()));
        match request.header("authorization") {
            None => exchange.answer(401, &[("WWW-Authenticate", "NTLM")], b"who?"),
            Some(value) if value.starts_with("NTLM TlRMTVNTUAAB") => {
                exchange.answer(401, &[("WWW-Authenticate", &challenge)], b"prove it");
            }
            Some(value) if value.starts_with("NTLM TlRMTVNTUAAD") && exchange.number > 1 => {
                seen.lock().unwrap().push(String::from_utf8(request.body.clone()).unwrap());
                exchange.answer(200, &[], b"done");
            }
            Some(_) => exchange.answer(400, &[], b"another connection"),
        }
    });
    let engine = engine!().start();
    let curl = |user: &str, body: &str, more: &[&str]| {
        let login = format!("{user}:secret");
        let output = Command::new("curl")
            .args(["-sS", "--ntlm", "-u", &login, "-x", &format!("http://{}", engine.proxy)])
            .args(["--noproxy", "", "-d", body])
            .args(more)
            .arg(tool.url("/act"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let features = Command::new("curl").arg("-V").output().unwrap().stdout;
    if !String::from_utf8_lossy(&features).contains("NTLM") {
        return testkit::untested("curl without NTLM");
    }
    for _ in 0..3 {
        assert_eq!(curl("CORP\\ann", "act=1", &[]), "done");
        assert_eq!(curl("CORP\\ann", "act=2", &["-H", "Idempotency-Key: k"]), "done");
    }
    assert_eq!(curl("CORP\\bob", "act=1", &[]), "done", "another caller's call");
    assert_eq!(*effects.lock().unwrap(), ["act=1", "act=2", "act=1"]);
}
