use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use uuid::Uuid;

const SECRET_BYTES: usize = 32;

/// The secret in a file of the data folder, 32 random bytes for its owner's eyes alone; made where it is missing, whole or
/// not at all. Whoever uses one to hash needs the same again.
///
/// # Errors
/// What the disk says, and a file of another length, which is never replaced.
pub fn secret(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Ok(secret) if secret.len() == SECRET_BYTES => return Ok(secret),
        Ok(secret) => {
            let words = format!("{} has {} bytes, not {SECRET_BYTES}", path.display(), secret.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
    let begun = path.with_extension("new");
    match fs::remove_file(&begun) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&begun)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&begun, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_for_us_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("patients.key");
        // What a crash has left of one.
        fs::write(path.with_extension("new"), "short").unwrap();
        let first = secret(&path).unwrap();
        assert_eq!(first.len(), SECRET_BYTES);
        assert_eq!(secret(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(secret(&folder.path().join("audit.key")).unwrap(), first);
        fs::write(&path, "short").unwrap();
        assert!(secret(&path).is_err(), "another secret would find nothing again");
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}
