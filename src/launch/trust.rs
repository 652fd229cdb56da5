//! The certificates that a guarded program trusts: those that it trusted before, and the CA of the
//! engine.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls_native_certs::load_native_certs;
use store::private;
use tempfile::TempDir;

use super::private_folder;
use super::variables::Variables;

/// Variables that may name files with further certificates.
const USER_VARIABLES: [&str; 4] =
    ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/// Certificate files in a temporary folder, which is deleted with this value.
pub(crate) struct Trust {
    folder: TempDir,
    java: Option<PathBuf>,
}

impl Trust {
    /// Writes the files. `ca` is the CA of the engine in PEM; `java` adds a trust store for Java.
    pub(crate) fn new(ca: &[u8], variables: &Variables, java: bool) -> anyhow::Result<Self> {
        let folder = private_folder::create()?;
        let mut trust = Self { folder, java: None };
        let ca = std::str::from_utf8(ca).context("the engine's CA is not PEM")?;
        let users = user_certificates(variables)?;
        trust.write("ca.pem", [ca])?;
        trust.write("extra.pem", users.iter().map(String::as_str).chain([ca]))?;
        // Reads SSL_CERT_FILE and SSL_CERT_DIR, else the roots of the system.
        let system = load_native_certs();
        if system.certs.is_empty() {
            bail!("no system certificates found ({:?}): install ca-certificates", system.errors);
        }
        let roots: BTreeSet<String> = system.certs.iter().map(|root| pem(root)).collect();
        let all = roots.iter().chain(&users).map(String::as_str).chain([ca]);
        trust.write("bundle.pem", all)?;
        if java {
            trust.java = Some(trust.java_store()?);
        }
        Ok(trust)
    }

    /// All roots and the CA of the engine.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.path().join("bundle.pem")
    }

    /// What the user had added, and the CA of the engine.
    pub(crate) fn extra(&self) -> PathBuf {
        self.folder.path().join("extra.pem")
    }

    /// Java's roots and the CA of the engine, with the password `changeit`.
    pub(crate) fn java(&self) -> Option<&Path> {
        self.java.as_deref()
    }

    fn write<'a>(
        &self,
        name: &str,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<()> {
        let path = self.folder.path().join(name);
        let mut file = private::create(&path)?;
        for text in texts {
            file.write_all(text.trim_end().as_bytes())?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Java does not read PEM, so this copies its own store and adds one certificate.
    fn java_store(&self) -> anyhow::Result<PathBuf> {
        let cacerts = java_home()?.join("lib/security/cacerts");
        let store = self.folder.path().join("java.p12");
        let copied = File::open(&cacerts)
            .and_then(|mut from| std::io::copy(&mut from, &mut private::create(&store)?));
        copied.with_context(|| cacerts.display().to_string())?;
        let added = Command::new("keytool")
            .args(["-importcert", "-noprompt", "-alias", "openclaw-state-engine"])
            .args(["-storepass", "changeit", "-file"])
            .arg(self.folder.path().join("ca.pem"))
            .arg("-keystore")
            .arg(&store)
            .stdin(Stdio::null())
            .output()
            .context("--java needs keytool, which comes with Java")?;
        if !added.status.success() {
            bail!("keytool: {}", String::from_utf8_lossy(&added.stdout).trim());
        }
        // keytool writes a new file.
        private::tighten_at(&store)?;
        Ok(store)
    }
}

/// The home of the `java` on PATH.
fn java_home() -> anyhow::Result<PathBuf> {
    let output = Command::new("java")
        .args(["-XshowSettings:properties", "-version"])
        .stdin(Stdio::null())
        .output()
        .context("--java needs java on PATH")?;
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    let home = output.lines().find_map(|line| line.trim().strip_prefix("java.home = "));
    home.map(PathBuf::from).context("java does not report its java.home")
}

fn user_certificates(variables: &Variables) -> anyhow::Result<BTreeSet<String>> {
    let files = USER_VARIABLES.iter().filter_map(|name| {
        let file = variables.get(*name).filter(|file| !file.is_empty())?;
        Some((name, file))
    });
    // REQUESTS_CA_BUNDLE may be a folder of OpenSSL's hashed names.
    files
        .filter(|(_, file)| !Path::new(file).is_dir())
        .map(|(name, file)| {
            std::fs::read_to_string(file).with_context(|| format!("{name} names {file}"))
        })
        .collect()
}

fn pem(der: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(der);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}
