//! The CA: its files, which outlive the process beside the database, and the one that counts.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use proxy::Ca;

use crate::config::Target;
use crate::source;

/// Bits of a mode by which others than the owner could read the key.
const OTHERS: u32 = 0o077;

/// `ca.pem` and `ca.key`.
#[derive(Debug, Clone)]
pub(crate) struct CaFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl CaFiles {
    /// Those of a database, there or not.
    pub(crate) fn beside(database: &Path) -> Self {
        Self {
            certificate: database.with_file_name("ca.pem"),
            key: database.with_file_name("ca.key"),
        }
    }

    /// The CA in them; `None` where there is none. Refuses half a pair, and a key that others than
    /// the owner can read.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Ca>> {
        let (certificate, key) = match (self.certificate.exists(), self.key.exists()) {
            (false, false) => return Ok(None),
            (true, true) => (&self.certificate, &self.key),
            (true, false) => bail!(self.half(&self.certificate)),
            (false, true) => bail!(self.half(&self.key)),
        };
        let open = fs::metadata(key).with_context(|| shown(key))?.permissions().mode() & OTHERS;
        if open != 0 {
            bail!("{0} can be read by others: chmod 600 {0}", shown(key));
        }
        let read = |path: &Path| fs::read_to_string(path).with_context(|| shown(path));
        let ca = Ca::from_pem(&read(certificate)?, &read(key)?).with_context(|| {
            format!(
                "the CA in {} cannot be used; remove it and {}, and make another by `ca init`",
                shown(certificate),
                shown(key)
            )
        })?;
        Ok(Some(ca))
    }

    /// Writes a new one. Refuses to overwrite: clients may trust what is there.
    pub(crate) fn create(&self, ca: &Ca) -> anyhow::Result<()> {
        for path in [&self.certificate, &self.key] {
            if path.exists() {
                bail!("{0} is there already; to replace the CA, remove it yourself", shown(path));
            }
        }
        if let Some(folder) = self.key.parent().filter(|folder| *folder != Path::new("")) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.with_context(|| shown(folder))?;
        }
        write(&self.key, &ca.key_pem()).with_context(|| shown(&self.key))?;
        write(&self.certificate, ca.pem()).with_context(|| shown(&self.certificate))
    }

    fn half(&self, there: &Path) -> String {
        format!(
            "of {} and {} only {} is there: restore the other, or remove it and run `ca init`",
            shown(&self.certificate),
            shown(&self.key),
            shown(there)
        )
    }
}

/// A CA's certificate, and its file where it has one.
pub(crate) struct ActiveCa {
    pub(crate) pem: String,
    pub(crate) file: Option<PathBuf>,
}

/// The CA that counts: a running engine's, which may be in memory alone, else the files'.
pub(crate) fn find(target: &Target) -> anyhow::Result<Option<ActiveCa>> {
    let database = target.database()?;
    let files = CaFiles::beside(&database);
    let persistent = std::fs::read_to_string(&files.certificate).ok();
    if let Some(client) = source::server_of(&database, target)? {
        let Some(pem) = client.get("/ca.pem")? else { return Ok(None) };
        let pem = String::from_utf8_lossy(&pem).into_owned();
        let file = (persistent.as_ref() == Some(&pem)).then_some(files.certificate);
        return Ok(Some(ActiveCa { pem, file }));
    }
    Ok(persistent.map(|pem| ActiveCa { pem, file: Some(files.certificate) }))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_written_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = CaFiles::beside(&folder.path().join("new").join("state.db"));
        assert!(files.load().unwrap().is_none());
        let ca = Ca::generate(&["a.example".parse().unwrap()]).unwrap();
        files.create(&ca).unwrap();
        assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(files.load().unwrap().unwrap().pem(), ca.pem());
        assert!(files.create(&ca).unwrap_err().to_string().contains("already"));

        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(files.load().unwrap_err().to_string().contains("chmod 600"));
        fs::remove_file(&files.key).unwrap();
        assert!(files.load().unwrap_err().to_string().contains("only"));
    }
}
