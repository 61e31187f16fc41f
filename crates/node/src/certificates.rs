//! Certificate and key files: read, put to use, and watched for their expiry.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dokuei_dimse::{CertificateInfo, Certificates, ClientCertificates, ClientTls, PrivateKey, ServerTls};
use jiff::Timestamp;

use crate::config::{ClientCertificate, ConfigFile, DestinationTls, Problem, Tls};
use crate::send::words;

/// Days before its expiry from which a certificate is to be renewed.
pub(crate) const RENEW_WITHIN_DAYS: i64 = 30;

/// All of TLS that a configuration asks for, read from its files at one moment.
#[derive(Default)]
pub(crate) struct Security {
    /// For the TLS port.
    pub(crate) server: Option<ServerTls>,
    /// For each destination, in the order of the file.
    pub(crate) destinations: Vec<Option<ClientTls>>,
    /// Every certificate these use.
    pub(crate) certificates: Vec<CertificateInUse>,
}

/// A certificate, and what it is used for.
#[derive(Debug, Clone)]
pub(crate) struct CertificateInUse {
    /// Such as `tls.certificate`.
    pub(crate) purpose: String,
    pub(crate) path: PathBuf,
    pub(crate) info: CertificateInfo,
}

/// A setting of TLS that cannot be used, mostly for what is in the file it names.
#[derive(Debug, thiserror::Error)]
#[error("{value}: {why}")]
pub(crate) struct TlsFault {
    key: &'static str,
    value: String,
    why: String,
}

impl TlsFault {
    fn new(key: &'static str, value: impl Into<String>, why: impl Into<String>) -> Self {
        Self { key, value: value.into(), why: why.into() }
    }

    fn file(key: &'static str, path: &Path, why: impl Into<String>) -> Self {
        Self::new(key, path.to_string_lossy(), why)
    }
}

impl Security {
    /// Reads every file; what cannot be used becomes a problem at its line.
    pub(crate) fn load(file: &ConfigFile, problems: &mut Vec<Problem>) -> Self {
        let mut security = Self::default();
        let problem = |span, fault: TlsFault| file.problem(file.find(span, fault.key, &fault.value), fault.to_string());
        if let Some(section) = &file.config.tls {
            match server(section.as_ref(), file, &mut security.certificates) {
                Ok(server) => security.server = Some(server),
                Err(fault) => problems.push(problem(section.span(), fault)),
            }
        }
        for entry in &file.config.destinations {
            let destination = entry.as_ref();
            let client = destination.tls.as_ref().map(|tls| {
                let purpose = format!("destination {}", destination.name);
                client(tls, &purpose, |path| file.resolve(path), &mut security.certificates)
            });
            security.destinations.push(client.transpose().unwrap_or_else(|fault| {
                problems.push(problem(entry.span(), fault));
                None
            }));
        }
        security
    }

    /// Logs each certificate that has to be renewed.
    pub(crate) fn warn_of_expiry(&self) {
        for CertificateInUse { purpose, path, info } in &self.certificates {
            let now = SystemTime::now();
            let (subject, path, days_left) = (&info.subject, path.display(), info.days_left(now));
            if info.not_before > now {
                tracing::error!(purpose, %path, subject, "certificate is not valid yet");
            } else if days_left < 0 {
                tracing::error!(purpose, %path, subject, days_left, "certificate has expired");
            } else if days_left < RENEW_WITHIN_DAYS {
                tracing::warn!(purpose, %path, subject, days_left, "certificate expires soon");
            }
        }
    }
}

impl CertificateInUse {
    /// The day it expires, in UTC.
    pub(crate) fn expires(&self) -> String {
        day(self.info.not_after)
    }

    /// The day from which on it is valid, in UTC.
    pub(crate) fn begins(&self) -> String {
        day(self.info.not_before)
    }
}

fn day(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "never".to_owned(), |at| at.strftime("%F").to_string())
}

/// What the TLS port works with.
fn server(tls: &Tls, file: &ConfigFile, used: &mut Vec<CertificateInUse>) -> Result<ServerTls, TlsFault> {
    let at = |path: &Path| file.resolve(path);
    let mut certificates = |key, path| certificates(key, path, at, format!("tls.{key}"), used);
    let chain = certificates("certificate", &tls.certificate)?;
    let key = private_key(&tls.key, at)?;
    let authorities = tls.client_ca.as_ref().map(|path| certificates("client_ca", path)).transpose()?;
    let policy = tls.client_certificate.unwrap_or(match authorities {
        Some(_) => ClientCertificate::Required,
        None => ClientCertificate::None,
    });
    let clients = match (policy, &authorities) {
        (ClientCertificate::None, _) => ClientCertificates::Ignored,
        (ClientCertificate::Accepted, Some(authorities)) => ClientCertificates::Accepted(authorities),
        (ClientCertificate::Required, Some(authorities)) => ClientCertificates::Required(authorities),
        (ClientCertificate::Accepted | ClientCertificate::Required, None) => {
            let why = "it needs client_ca, the authorities that issue them";
            return Err(TlsFault::new("client_certificate", "client_certificate", why));
        }
    };
    ServerTls::new(&chain, &key, clients, tls.minimum_version.into())
        .map_err(|error| TlsFault::file("key", &tls.key, words(&error)))
}

/// How a destination, or a peer named on the command line, is called; `at` says where a path leads.
pub(crate) fn client(
    tls: &DestinationTls,
    purpose: &str,
    at: impl Fn(&Path) -> PathBuf + Copy,
    used: &mut Vec<CertificateInUse>,
) -> Result<ClientTls, TlsFault> {
    let mut certificates = |key, path| certificates(key, path, at, format!("{purpose}, {key}"), used);
    let authorities = certificates("ca", &tls.ca)?;
    let identity = match (&tls.certificate, &tls.key) {
        (None, None) => None,
        (Some(chain), Some(key)) => Some((certificates("certificate", chain)?, private_key(key, at)?)),
        (Some(chain), None) => return Err(TlsFault::file("certificate", chain, "it needs its key")),
        (None, Some(key)) => return Err(TlsFault::file("key", key, "it needs its certificate")),
    };
    let shown = identity.as_ref().map(|(chain, key)| (chain, key));
    let (key, blamed) = tls.key.as_ref().map_or(("ca", &tls.ca), |path| ("key", path));
    let client = ClientTls::new(&authorities, shown, tls.minimum_version.into())
        .map_err(|error| TlsFault::file(key, blamed, words(&error)))?;
    match &tls.server_name {
        None => Ok(client),
        Some(name) => client.with_server_name(name).map_err(|error| TlsFault::new("server_name", name, words(&error))),
    }
}

fn certificates(
    key: &'static str,
    path: &Path,
    at: impl Fn(&Path) -> PathBuf,
    purpose: String,
    used: &mut Vec<CertificateInUse>,
) -> Result<Certificates, TlsFault> {
    let found = read(key, path, at, Certificates::from_pem)?;
    used.extend(found.info().iter().map(|info| CertificateInUse {
        purpose: purpose.clone(),
        path: path.to_owned(),
        info: info.clone(),
    }));
    Ok(found)
}

fn private_key(path: &Path, at: impl Fn(&Path) -> PathBuf) -> Result<PrivateKey, TlsFault> {
    read("key", path, at, PrivateKey::from_pem)
}

/// Reads the file that `key` names; its fault names it as the configuration does.
fn read<T, E: std::error::Error>(
    key: &'static str,
    path: &Path,
    at: impl Fn(&Path) -> PathBuf,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, TlsFault> {
    let fault = |error: &dyn std::error::Error| TlsFault::file(key, path, words(error));
    let text = std::fs::read(at(path)).map_err(|error| fault(&error))?;
    parse(&text).map_err(|error| fault(&error))
}
