//! Certificates and keys from PEM (RFC 7468).

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::CertificateInfo;

/// What is wrong with the text of a certificate or key file.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// No `BEGIN CERTIFICATE`.
    #[error("holds no certificate in PEM")]
    NoCertificate,
    /// No `BEGIN PRIVATE KEY` or its PKCS #1 and SEC 1 forms.
    #[error("holds no unencrypted private key in PEM")]
    NoKey,
    /// The PEM framing or its base64 is broken.
    #[error("is no PEM: {0}")]
    Framing(String),
    /// What it holds is no X.509 certificate.
    #[error("holds something that is no X.509 certificate: {0}")]
    Certificate(String),
}

/// One or more certificates: a chain that begins with its owner's, or authorities to be trusted.
#[derive(Debug, Clone)]
pub struct Certificates {
    pub(super) der: Vec<CertificateDer<'static>>,
    info: Vec<CertificateInfo>,
}

impl Certificates {
    /// All certificates of a PEM file.
    ///
    /// # Errors
    /// [`PemError`] when there is none, or one cannot be read.
    pub fn from_pem(text: &[u8]) -> Result<Self, PemError> {
        let der: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(framing)?;
        if der.is_empty() {
            return Err(PemError::NoCertificate);
        }
        let info = der.iter().map(|der| CertificateInfo::read(der)).collect::<Result<_, _>>()?;
        Ok(Self { der, info })
    }

    /// Whose they are and until when, in the order of the file; never empty.
    #[must_use]
    pub fn info(&self) -> &[CertificateInfo] {
        &self.info
    }

    pub(super) fn as_roots(&self) -> Result<RootCertStore, rustls::Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.der {
            roots.add(certificate.clone())?;
        }
        Ok(roots)
    }
}

/// A private key. Never shown.
pub struct PrivateKey(pub(super) PrivateKeyDer<'static>);

impl PrivateKey {
    /// The first private key of a PEM file.
    ///
    /// # Errors
    /// [`PemError`] when there is none; an encrypted one counts as none.
    pub fn from_pem(text: &[u8]) -> Result<Self, PemError> {
        match PrivateKeyDer::from_pem_slice(text) {
            Ok(key) => Ok(Self(key)),
            Err(Error::NoItemsFound) => Err(PemError::NoKey),
            Err(error) => Err(framing(error)),
        }
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

fn framing(error: Error) -> PemError {
    PemError::Framing(error.to_string())
}
