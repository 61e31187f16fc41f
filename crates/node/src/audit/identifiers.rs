use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use uuid::Uuid;

/// Name of the key inside the data folder.
const KEY_FILE: &str = "audit.key";
const KEY_BYTES: usize = 32;
/// Of a hash of 32: enough to tell the instances of a node apart.
const SHOWN_BYTES: usize = 8;

/// How UIDs are written into the trail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Identifiers {
    /// HMAC-SHA-256 with a key that stays in the data folder: whoever has a UID and the key finds its lines, nobody
    /// finds a UID.
    #[default]
    Hashed,
    /// As they are.
    Plain,
}

/// Writes UIDs as the site wants them.
pub(super) enum Writing {
    Hashed(Vec<u8>),
    Plain,
}

impl Writing {
    /// Reads the key, which is made where it is missing.
    pub(super) fn open(identifiers: Identifiers, data_dir: &Path) -> io::Result<Self> {
        Ok(match identifiers {
            Identifiers::Hashed => Self::Hashed(key(&data_dir.join(KEY_FILE))?),
            Identifiers::Plain => Self::Plain,
        })
    }

    /// What hashes, where a key was made.
    pub(super) fn hashing(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join(KEY_FILE);
        if path.exists() { key(&path).map(Self::Hashed).map(Some) } else { Ok(None) }
    }

    /// A UID as 16 hexadecimal digits, or as it is.
    pub(super) fn write(&self, uid: &str) -> String {
        match self {
            Self::Hashed(key) => hashed(key, uid),
            Self::Plain => uid.to_owned(),
        }
    }
}

fn hashed(key: &[u8], uid: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(uid.as_bytes());
    mac.finalize().into_bytes().iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

fn key(path: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(key) if key.len() == KEY_BYTES => return Ok(key),
        Ok(key) => {
            let words = format!("{} has {} bytes, not {KEY_BYTES}", path.display(), key.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_hash_is_the_one_of_rfc_4231() {
        // Test case 2.
        assert_eq!(hashed(b"Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e");
    }

    #[test]
    fn the_key_is_made_once_and_for_us_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = || Writing::open(Identifiers::Hashed, folder.path()).unwrap().write("1.2.3");
        let first = write();
        assert_eq!(first.len(), 16);
        assert_eq!(write(), first);
        let path = folder.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(Writing::open(Identifiers::Hashed, folder.path()).is_err());
        assert_eq!(Writing::open(Identifiers::Plain, folder.path()).unwrap().write("1.2.3"), "1.2.3");
    }
}
