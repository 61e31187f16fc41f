use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A site's authority, with what it issues as PEM files in one folder.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Writes its own certificate as `ca.pem` into `folder`.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn new(folder: &Path, name: &str) -> Self {
        std::fs::create_dir_all(folder).expect("create the authority's folder");
        let key = KeyPair::generate().expect("make a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("sign the authority's certificate");
        std::fs::write(folder.join("ca.pem"), certificate.pem()).expect("write the authority's certificate");
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Its own certificate.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Writes a certificate for loopback that holds for `days` from now, none when negative: its key and itself.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn issue(&self, name: &str, days: i32) -> [PathBuf; 2] {
        let key = KeyPair::generate().expect("make a key");
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address is a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let span = Duration::from_secs(u64::from(days.unsigned_abs()) * 24 * 60 * 60);
        let now = SystemTime::now();
        params.not_after = if days < 0 { now - span } else { now + span }.into();
        let certificate = params.signed_by(&key, &self.issuer).expect("sign a certificate");
        let paths = ["key", "pem"].map(|kind| self.folder.join(format!("{name}.{kind}")));
        let [key_path, path] = &paths;
        std::fs::write(key_path, key.serialize_pem()).expect("write a key");
        std::fs::write(path, certificate.pem()).expect("write a certificate");
        paths
    }
}
