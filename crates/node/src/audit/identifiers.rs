use std::io;
use std::path::Path;

use dokuei_store::secret;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// Name of the key inside the data folder.
const KEY_FILE: &str = "audit.key";
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
            Identifiers::Hashed => Self::Hashed(secret(&data_dir.join(KEY_FILE))?),
            Identifiers::Plain => Self::Plain,
        })
    }

    /// What hashes, where a key was made.
    pub(super) fn hashing(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join(KEY_FILE);
        if path.exists() { secret(&path).map(Self::Hashed).map(Some) } else { Ok(None) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_one_of_rfc_4231() {
        // Test case 2.
        assert_eq!(hashed(b"Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e");
    }

    #[test]
    fn a_folder_hashes_alike_and_as_no_other_does() {
        let write = |folder: &Path| Writing::open(Identifiers::Hashed, folder).unwrap().write("1.2.3");
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [first, other] = folders.each_ref().map(|folder| write(folder.path()));
        assert_eq!(first.len(), 16);
        assert_eq!(write(folders[0].path()), first);
        assert_ne!(other, first);
        assert_eq!(Writing::open(Identifiers::Plain, folders[0].path()).unwrap().write("1.2.3"), "1.2.3");
    }
}
