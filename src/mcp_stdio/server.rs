//! Identifies a server: calls of the same server share their keys, whatever its port or process.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use proxy::mcp::{STDIO_DOMAIN, is_secret_variable};
use store::key::Encoder;

use crate::launch::variables::Variables;

/// The longest label of a host name.
const MAX_NAME: usize = 63;

/// A server on stdio, as the proxy sees it.
#[derive(Debug)]
pub(super) struct Server {
    /// `NAME.mcp-stdio.invalid`.
    pub(super) host: String,
    /// A digest of its command and working folder.
    pub(super) path: String,
    /// A digest of its secrets, which identifies the principal.
    pub(super) principal: String,
}

impl Server {
    /// The server that `command` starts. A different folder or different arguments make it a
    /// different server; different secrets in its environment make its calls those of a different
    /// principal.
    pub(super) fn new(
        name: Option<&str>,
        command: &[OsString],
        inherited: &Variables,
    ) -> anyhow::Result<Self> {
        let folder = std::env::current_dir()?;
        let started = Encoder::new("mcp-stdio/v1").field(folder.as_os_str().as_bytes());
        let started = command.iter().fold(started, |all, word| all.field(word.as_bytes()));
        let secrets = inherited
            .iter()
            .filter(|(name, _)| is_secret_variable(name) && !name.starts_with("STATE_ENGINE_"))
            .fold(Encoder::new("mcp-stdio-secrets/v1"), |all, (name, value)| {
                all.field(name).field(value)
            });
        let name = match name {
            Some(name) if label(name) != name || name.is_empty() => {
                anyhow::bail!(
                    "--name must be 1 to {MAX_NAME} characters of a to z, 0 to 9, - and _"
                )
            }
            Some(name) => name.to_owned(),
            None => named_after(command),
        };
        Ok(Self {
            host: format!("{name}.{STDIO_DOMAIN}"),
            path: format!("/{}", started.finish().hex(16)),
            principal: secrets.finish().hex(32),
        })
    }
}

fn named_after(command: &[OsString]) -> String {
    let program = command.first().and_then(|program| Path::new(program).file_stem());
    let name = program.map(|name| label(&name.to_string_lossy())).unwrap_or_default();
    if name.is_empty() { "server".to_owned() } else { name }
}

/// The characters of `text` that a host name may have.
fn label(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || ['-', '_'].contains(c);
    text.chars().filter(allowed).take(MAX_NAME).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(command: &[&str], secrets: &[(&str, &str)]) -> Server {
        let command: Vec<_> = command.iter().map(OsString::from).collect();
        let variables = secrets.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Server::new(None, &command, &variables).unwrap()
    }

    #[test]
    fn a_server_is_its_command_and_its_secrets() {
        let base = server(&["/usr/bin/Mail.py", "-x"], &[("HOME", "/a"), ("MAIL_TOKEN", "s")]);
        assert_eq!(base.host, "mail.mcp-stdio.invalid");
        let same = server(&["/usr/bin/Mail.py", "-x"], &[("HOME", "/b"), ("MAIL_TOKEN", "s")]);
        assert_eq!((&base.path, &base.principal), (&same.path, &same.principal));
        assert!(!base.path.contains("Mail") && !base.principal.contains('s'));
        let other = server(&["/usr/bin/Mail.py", "-x"], &[("MAIL_TOKEN", "t")]);
        assert_ne!(base.principal, other.principal);
        assert_ne!(base.path, server(&["/usr/bin/Mail.py", "-", "x"], &[]).path);
    }

    #[test]
    fn names_that_hosts_can_have() {
        let named = |name: &str| Server::new(Some(name), &["x".into()], &Variables::new());
        assert_eq!(named("my-mail_2").unwrap().host, "my-mail_2.mcp-stdio.invalid");
        for bad in ["", "a.b", "A", "ä", &"x".repeat(64)] {
            assert!(named(bad).is_err(), "{bad}");
        }
        assert_eq!(server(&["…"], &[]).host, "server.mcp-stdio.invalid");
    }
}
