use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

fn config(flags: &[&str]) -> anyhow::Result<Config> {
    let line = ["serve", "--database", "x.db"].iter().chain(flags);
    Config::try_from(Line::try_parse_from(line)?.flags)
}

fn from<'a>(config: &'a Config, name: &str) -> (&'a str, &'a str) {
    let setting = config.listed.iter().find(|setting| setting.name == name).unwrap();
    (&setting.value, &setting.from)
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = config(&[]).unwrap();
    assert_eq!(config.api.addr, "127.0.0.1:3030".parse().unwrap());
    assert_eq!(config.proxy.addr, Some("127.0.0.1:3031".parse().unwrap()));
    assert_eq!(config.proxy.max_request, 268_435_456);
    assert_eq!(config.drain, Duration::from_secs(30));
    assert_eq!(config.proxy.calls, proxy::Settings::default());
    assert!(!config.proxy.require_token && config.api.token.is_none());
    assert_eq!(from(&config, "proxy.max_request"), ("256MiB", "default"));
    assert_eq!(from(&config, "server.database"), ("x.db", "--database"));
}

#[test]
fn listeners_beyond_the_loopback_need_credentials() {
    let refused = |flags: &[&str]| config(flags).unwrap_err().to_string();
    assert!(refused(&["--addr", "0.0.0.0:3030"]).contains("--token"));
    assert!(refused(&["--addr", "[::]:3030"]).contains("--token"));
    assert!(refused(&["--proxy-addr", "192.0.2.1:1"]).contains("--require-token"));
    let short = refused(&["--addr", "0.0.0.0:3030", "--token", "hunter2"]);
    assert!(short.contains("32 characters") && !short.contains("hunter2"), "{short}");
    let token = "t".repeat(SHORTEST_TOKEN);
    assert!(config(&["--addr", "0.0.0.0:3030", "--token", &token]).is_ok());
    assert!(config(&["--token", "t"]).is_ok());
    assert!(config(&["--addr", "[::ffff:127.0.0.1]:3030"]).is_ok());
    assert!(config(&["--proxy-addr", "192.0.2.1:1", "--require-token"]).is_ok());
    assert!(config(&["--proxy-addr", "192.0.2.1:1", "--no-proxy"]).is_ok());
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let text = "[server]\naddr = \"127.0.0.1:1\"\ndrain = 5\ndatabase = \"own.db\"\n[proxy]\n\
                addr = \"127.0.0.1:2\"\npass = [\"a\"]\nrequire_token = true\n[[rule]]\n\
                name = \"r\"\n";
    std::fs::write(&path, text).unwrap();
    let file = path.to_str().unwrap();
    let line = ["serve", "--config", file, "--proxy-addr", "127.0.0.1:3", "--pass", "b,c"];
    let config = Config::try_from(Line::parse_from(line).flags).unwrap();
    assert_eq!(config.api.addr.port(), 1);
    assert_eq!(config.proxy.addr.unwrap().port(), 3);
    assert_eq!(config.database.path, folder.path().join("own.db"));
    assert!(config.proxy.require_token);
    assert_eq!(from(&config, "server.drain"), ("5s", format!("{file}:3").as_str()));
    assert_eq!(from(&config, "proxy.addr"), ("127.0.0.1:3", "--proxy-addr"));
    assert_eq!(from(&config, "proxy.pass"), ("b, c", "--pass"));
    assert_eq!(from(&config, "proxy.require_token"), ("true", format!("{file}:8").as_str()));
    assert_eq!(from(&config, "rule.1"), ("r", format!("{file}:9").as_str()));

    std::fs::write(&path, text.replace("127.0.0.1:1", "127.0.0.1:9").replace("\"r\"", "\"s\""))
        .unwrap();
    let changed = Config::try_from(Line::parse_from(line).flags).unwrap();
    assert_eq!(changed.needs_restart(&config), ["server.addr"]);
}

#[test]
fn a_file_with_a_token_must_be_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    std::fs::write(&path, "[server]\ntoken = \"hunter2\"\n").unwrap();
    let read = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        config(&["--config", path.to_str().unwrap()])
    };
    let error = read(0o644).unwrap_err().to_string();
    assert!(error.contains("chmod 600") && !error.contains("hunter2"), "{error}");
    let config = read(0o600).unwrap();
    assert_eq!(config.api.token.as_ref().unwrap().reveal(), "hunter2");
    assert_eq!(from(&config, "server.token").0, "[redacted]");
}
