//! What is in the environment of the program, and what is not.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use testkit::{Builder, Engine, TestCa, Upstream, engine};

use super::{err, executions, out, run, within};

/// Runs a line of shell under `run` with these flags, and `$URL` and further variables.
fn shell(builder: &Builder, flags: &[&str], variables: &[(&str, &str)], line: &str) -> Output {
    let mut command = run(builder, flags);
    // Variables of this machine's own user must not matter.
    for name in BUNDLE.iter().chain(&EXTRA).chain(&["SSL_CERT_DIR", "JAVA_TOOL_OPTIONS"]) {
        command.env_remove(name);
    }
    command.args(["--", "sh", "-c", line]).envs(variables.iter().copied());
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{line}: {}{}", out(&ran), err(&ran));
    ran
}

/// Java's clients send no proxy credentials. Here curl replaces them; tests/clients/java.rs has Java.
#[test]
fn the_port_for_java_needs_no_credentials_and_belongs_to_this_run_only() {
    let line = "port=${JAVA_TOOL_OPTIONS##*-Dhttp.proxyPort=}; port=${port%% *}; echo $port\n\
                for i in 1 2; do curl -sS -x http://127.0.0.1:$port -d hello $URL; echo; done\n\
                curl -sS -o /dev/null -w '%{http_code}\\n' -d hello http://127.0.0.1:$port/\n\
                echo $STATE_ENGINE_RUN";
    let start =
        |flags: &[&str]| -> Engine { flags.iter().fold(engine!(), testkit::Builder::arg).start() };
    for running in [None, Some(start(&[])), Some(start(&["--require-token"]))] {
        let upstream = Upstream::echo();
        let builder = running.as_ref().map_or_else(|| engine!(), |engine| engine.builder().clone());
        let url = upstream.url("/act");
        let ran = shell(&builder, &["--session", "trip", "--java"], &[("URL", &url)], line);
        let output = out(&ran);
        let lines: Vec<_> = output.lines().collect();
        assert_eq!(lines[1..3], ["1 POST /act hello", "1 POST /act hello"], "{}", err(&ran));
        assert_eq!(lines[3], "421", "it only accepts proxy requests");
        assert_eq!(upstream.hits(), 1);
        TcpStream::connect(("127.0.0.1", lines[0].parse().unwrap())).expect_err("it is closed");

        let engine = running.unwrap_or_else(|| builder.start());
        let execution = &engine.proxied()[0];
        let session = engine.rpc("get_session", &json!({"id": execution["session_id"]}));
        assert_eq!(session["metadata"]["name"], "trip");
        let events = engine.rpc("list_events", &json!({"execution_id": execution["id"]}));
        let claimed = events.as_array().unwrap().iter().find(|event| event["kind"] == "claimed");
        assert_eq!(claimed.unwrap()["detail"]["run"], lines[4], "{events}");
    }
}

/// A client that is killed with its answer unread did not get it. The port for Java passes that on.
#[test]
fn the_port_for_java_passes_on_that_a_client_was_killed() {
    let builder = engine!();
    let config = builder.home().join("engine.toml");
    fs::write(
        &config,
        "[[rule]]\nname = \"light\"\nhost = \"127.0.0.1\"\nrepeat = \"delivered\"\n",
    )
    .unwrap();
    let upstream = Upstream::echo();
    let client = r#"
import os, re, select, socket, sys
port = int(re.search("-Dhttp.proxyPort=([0-9]+)", os.environ["JAVA_TOOL_OPTIONS"])[1])
host = os.environ["URL"].split("/")[2]
call = f"POST {os.environ['URL']} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\non".encode()
def ask(read):
    wire = socket.create_connection(("127.0.0.1", port))
    wire.sendall(call)
    select.select([wire], [], [])
    if read:
        print(wire.recv(65536).split(b"\r\n\r\n")[1].decode(), flush=True)
    wire.close()
# The answer is unread, so the kernel resets the connection, as it does for a killed program.
for read in (False, True, True):
    ask(read)
"#;
    let flags = ["--java", "--config", config.to_str().unwrap()];
    let url = upstream.url("/light");
    let ran =
        shell(&builder, &flags, &[("URL", &url), ("CLIENT", client)], "python3 -c \"$CLIENT\"");
    assert_eq!(out(&ran), "1 POST /light on\n2 POST /light on\n", "lost, repeated; then a new one");
    assert_eq!(executions(&builder).len(), 2);
}

/// The engine's files are private, and it opens many. The program keeps its user's umask and limit.
#[test]
fn the_programs_umask_and_its_limit_of_open_files_are_not_the_engines() {
    let builder = engine!();
    let mut users = Command::new("sh");
    users.args(["-c", "umask 027; ulimit -Sn 300; exec \"$0\" \"$@\""]);
    let ran = run(&builder, &["--", "sh", "-c", "umask; ulimit -Sn"]);
    let ran = within(users, &ran).stdin(Stdio::null()).output().unwrap();
    assert_eq!(out(&ran), "0027\n300\n", "{}", err(&ran));
}

#[test]
fn the_program_gets_the_token_of_the_state_api_only_if_it_is_shared() {
    let ask = "echo \"[$STATE_ENGINE_TOKEN]\"\n\
               curl -s -o /dev/null -w '%{http_code}' --noproxy '*' -H 'Content-Type: application/json' \
               -H \"Authorization: Bearer $STATE_ENGINE_TOKEN\" \
               -d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"get_stats\"}' $STATE_ENGINE_URL";
    for by in ["flag", "file", "environment"] {
        let builder = engine!();
        let config = builder.home().join("engine.toml");
        fs::write(&config, "[server]\ntoken = \"hunter2\"\n").unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        let (flags, variables) = match by {
            "flag" => (&["--token", "hunter2"][..], &[][..]),
            "file" => (&["--config", config.to_str().unwrap()][..], &[][..]),
            _ => (&[][..], &[("STATE_ENGINE_TOKEN", "hunter2")][..]),
        };
        assert_eq!(out(&shell(&builder, flags, variables, ask)), "[]\n401", "by {by}");
        let flags = [flags, &["--share-api-token"]].concat();
        assert_eq!(out(&shell(&builder, &flags, variables, ask)), "[hunter2]\n200", "by {by}");
    }
}

/// The variables in docs/RUN.md.
const BUNDLE: [&str; 13] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "CODEX_CA_CERTIFICATE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "BUNDLE_SSL_CA_CERT",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
];
const EXTRA: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// The certificates of a file, without line breaks.
fn certificates(pem: &str) -> BTreeSet<String> {
    let blocks = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    let body = |block: &str| block.split("-----END").next().unwrap().split_whitespace().collect();
    blocks.map(body).collect()
}

/// What a program sees: its environment, and the certificate files that it names.
struct Found {
    environment: Vec<(String, String)>,
    folder: PathBuf,
}

impl Found {
    /// Runs a program under `run`, which itself has `variables` in its environment.
    fn by(builder: &Builder, variables: &[(&str, &str)]) -> Self {
        let folder = builder.home().join("found");
        let line = "mkdir -p $OUT; env >$OUT/environment\n\
                    curl -sS --noproxy '*' -o $OUT/engine.pem $STATE_ENGINE_URL/ca.pem\n\
                    if [ -n \"$DENO_CERT\" ]; then cp -p $(dirname $DENO_CERT)/*.pem $OUT; fi";
        let out = [("OUT", folder.to_str().unwrap())];
        shell(builder, &[], &[variables, &out].concat(), line);
        let environment = fs::read_to_string(folder.join("environment")).unwrap();
        let pairs = environment.lines().filter_map(|line| line.split_once('='));
        let environment = pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Self { environment, folder }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn certificates(&self, file: &str) -> BTreeSet<String> {
        certificates(&fs::read_to_string(self.folder.join(file)).unwrap())
    }
}

#[test]
fn if_https_is_intercepted_the_program_also_trusts_the_engine() {
    let builder = engine!().env("STATE_ENGINE_INTERCEPT", "tool.example");
    let [system, users, nodes] = [TestCa::new(), TestCa::new(), TestCa::new()];
    let files = [&system, &users, &nodes].map(|ca| ca.file().to_str().unwrap().to_owned());
    let found = Found::by(
        &builder,
        &[
            ("SSL_CERT_FILE", &files[0]),
            ("SSL_CERT_DIR", "/nowhere"),
            ("REQUESTS_CA_BUNDLE", &files[1]),
            ("NODE_EXTRA_CA_CERTS", &files[2]),
            ("GIT_SSL_CAINFO", "/nowhere"),
        ],
    );
    for (names, file) in [(&BUNDLE[..], "bundle.pem"), (&EXTRA[..], "extra.pem")] {
        for name in names {
            let named = Path::new(found.get(name).unwrap_or_else(|| panic!("{name} is not set")));
            assert_eq!(named.file_name().unwrap(), file, "{name}");
            assert!(!named.exists(), "{name}: the folder goes when the program ends");
        }
        let mode = fs::metadata(found.folder.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(found.get("SSL_CERT_DIR"), None, "curl would prefer it");
    for name in ["UV_NATIVE_TLS", "UV_SYSTEM_CERTS"] {
        assert_eq!(found.get(name), Some("1"), "{name}");
    }
    let of = |files: &[&str]| {
        let pems = files.iter().map(|file| fs::read_to_string(file).unwrap());
        certificates(&pems.collect::<String>())
    };
    let engines = fs::read_to_string(found.folder.join("engine.pem")).unwrap();
    let with_engine = |mut all: BTreeSet<String>| {
        all.extend(certificates(&engines));
        all
    };
    assert_eq!(certificates(&engines).len(), 1);
    assert_eq!(
        found.certificates("bundle.pem"),
        with_engine(of(&[&files[0], &files[1], &files[2]]))
    );
    assert_eq!(found.certificates("extra.pem"), with_engine(of(&[&files[1], &files[2]])));
}

#[test]
fn the_systems_roots_stay_trusted() {
    let builder = engine!().env("STATE_ENGINE_INTERCEPT", "tool.example");
    let bundle = Found::by(&builder, &[]).certificates("bundle.pem");
    // The paths of Debian and of other systems.
    let places = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];
    let Some(system) = places.iter().find_map(|place| fs::read_to_string(place).ok()) else {
        return testkit::untested("the system's roots: they are in neither place that is known");
    };
    let system = certificates(&system);
    assert!(system.len() > 10);
    assert!(system.is_subset(&bundle), "{} of {}", bundle.len(), system.len());
}

/// All variables that are not about certificates, with https intercepted and not.
#[test]
fn variables_that_lead_around_the_engine_are_set_or_unset() {
    let found = Found::by(
        &engine!(),
        &[
            ("http_proxy", ""),
            ("ALL_PROXY", ""),
            ("all_proxy", ""),
            ("NO_PROXY", "a.example"),
            ("no_proxy", "b.example,a.example"),
            ("SSL_CERT_DIR", "/my/own"),
        ],
    );
    let proxy = found.get("http_proxy").unwrap();
    assert!(proxy.starts_with("http://run-") && proxy.contains("@127.0.0.1:"), "{proxy}");
    for name in ["https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        assert_eq!(found.get(name), Some(proxy), "{name}");
    }
    assert_eq!((found.get("ALL_PROXY"), found.get("all_proxy")), (None, None));
    for name in ["no_proxy", "NO_PROXY"] {
        assert_eq!(found.get(name), Some("b.example,a.example"), "{name}");
    }
    assert_eq!(found.get("NODE_USE_ENV_PROXY"), Some("1"));
    // Nothing is intercepted: no certificate variable changes.
    assert_eq!(found.get("SSL_CERT_DIR"), Some("/my/own"));
    for name in BUNDLE.iter().chain(&EXTRA) {
        assert_eq!(found.get(name), None, "{name}");
    }
    assert_eq!(found.get("JAVA_TOOL_OPTIONS"), None);
}

/// Both names of one variable are set and differ: which one counts is said, and only then.
#[test]
fn of_two_proxies_that_differ_the_used_one_is_named() {
    let (one, other) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    let warned = |variables: &[(&str, &str)]| {
        err(&shell(&engine!(), &[], variables, "true")).contains("differ: calls go out through")
    };
    for [lower, upper] in [["http_proxy", "HTTP_PROXY"], ["https_proxy", "HTTPS_PROXY"]] {
        assert!(warned(&[(lower, one), (upper, other)]), "{lower}");
        assert!(!warned(&[(lower, one), (upper, one)]), "{lower}");
        assert!(!warned(&[(lower, one)]) && !warned(&[(upper, one)]), "{lower}");
    }
}
