//! The CA: its files, which outlive the process beside the database, and which CA is in use.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use proxy::Ca;
use store::{Reader, private};

use crate::config::Target;
use crate::source;

/// Mode bits that let someone other than the owner read the key.
const OTHERS: u32 = 0o077;

/// `ca.pem` and `ca.key`.
#[derive(Debug, Clone)]
pub(crate) struct CaFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl CaFiles {
    /// The files that belong to a database, whether or not they exist.
    pub(crate) fn beside(database: &Path) -> Self {
        let database = Reader::database_path(database);
        Self {
            certificate: database.with_file_name("ca.pem"),
            key: database.with_file_name("ca.key"),
        }
    }

    /// Loads the CA; `None` if neither file exists. Refuses half a pair, and a key that someone
    /// other than the owner can read.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Ca>> {
        let (certificate, key) = match (self.certificate.exists(), self.key.exists()) {
            (false, false) => return Ok(None),
            (true, true) => (&self.certificate, &self.key),
            (true, false) => bail!(self.half_pair(&self.certificate)),
            (false, true) => bail!(self.half_pair(&self.key)),
        };
        let open = fs::metadata(key).with_context(|| display(key))?.permissions().mode() & OTHERS;
        if open != 0 {
            bail!("{0} can be read by others: chmod 600 {0}", display(key));
        }
        let read = |path: &Path| fs::read_to_string(path).with_context(|| display(path));
        let ca = Ca::from_pem(&read(certificate)?, &read(key)?).with_context(|| {
            format!(
                "unusable CA in {}: remove it and {}, then run `ca init`",
                display(certificate),
                display(key)
            )
        })?;
        Ok(Some(ca))
    }

    /// Writes a new CA. Refuses to overwrite: clients may trust the one that exists.
    pub(crate) fn create(&self, ca: &Ca) -> anyhow::Result<()> {
        for path in [&self.certificate, &self.key] {
            if path.exists() {
                bail!("already exists: {0}; remove it to replace the CA", display(path));
            }
        }
        if let Some(folder) = self.key.parent().filter(|folder| *folder != Path::new("")) {
            let created = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            created.with_context(|| display(folder))?;
        }
        write(&self.key, &ca.key_pem()).with_context(|| display(&self.key))?;
        write(&self.certificate, ca.pem()).with_context(|| display(&self.certificate))
    }

    fn half_pair(&self, existing: &Path) -> String {
        format!(
            "of {} and {} only {} exists: restore the other, or remove it and run `ca init`",
            display(&self.certificate),
            display(&self.key),
            display(existing)
        )
    }
}

/// The certificate of the CA in use, and its file if it has one.
pub(crate) struct ActiveCa {
    pub(crate) pem: String,
    pub(crate) file: Option<PathBuf>,
}

/// The CA in use: a running engine's, which may be in memory only, else the one in the files.
pub(crate) fn active(target: &Target) -> anyhow::Result<Option<ActiveCa>> {
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

fn display(path: &Path) -> String {
    path.display().to_string()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = private::create(path)?;
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
