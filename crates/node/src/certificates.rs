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

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub(crate) struct FileFault {
    path: PathBuf,
    why: String,
}

impl Security {
    /// Reads every file; what cannot be used becomes a problem at its line.
    pub(crate) fn load(file: &ConfigFile, problems: &mut Vec<Problem>) -> Self {
        let mut security = Self::default();
        let problem = |span, fault: FileFault| {
            file.problem(file.find_text(span, &fault.path.to_string_lossy()), fault.to_string())
        };
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
fn server(tls: &Tls, file: &ConfigFile, used: &mut Vec<CertificateInUse>) -> Result<ServerTls, FileFault> {
    let at = |path: &Path| file.resolve(path);
    let chain = certificates(&tls.certificate, at, "tls.certificate", used)?;
    let key = key(&tls.key, at)?;
    let authorities = tls.client_ca.as_ref().map(|path| certificates(path, at, "tls.client_ca", used)).transpose()?;
    let policy = tls.client_certificate.unwrap_or(match authorities {
        Some(_) => ClientCertificate::Required,
        None => ClientCertificate::None,
    });
    let clients = match (policy, &authorities) {
        (ClientCertificate::None, _) => ClientCertificates::Ignored,
        (ClientCertificate::Accepted, Some(authorities)) => ClientCertificates::Accepted(authorities),
        (ClientCertificate::Required, Some(authorities)) => ClientCertificates::Required(authorities),
        (ClientCertificate::Accepted | ClientCertificate::Required, None) => {
            let why = "client_certificate needs client_ca, the authorities that issue them".to_owned();
            return Err(FileFault { path: "client_certificate".into(), why });
        }
    };
    ServerTls::new(&chain, &key, clients, tls.minimum_version.into())
        .map_err(|error| FileFault { path: tls.key.clone(), why: words(&error) })
}

/// How a destination, or a peer named on the command line, is called; `at` says where a path leads.
pub(crate) fn client(
    tls: &DestinationTls,
    purpose: &str,
    at: impl Fn(&Path) -> PathBuf + Copy,
    used: &mut Vec<CertificateInUse>,
) -> Result<ClientTls, FileFault> {
    let authorities = certificates(&tls.ca, at, &format!("{purpose}, ca"), used)?;
    let identity = match (&tls.certificate, &tls.key) {
        (None, None) => None,
        (Some(chain), Some(path)) => {
            Some((certificates(chain, at, &format!("{purpose}, certificate"), used)?, key(path, at)?))
        }
        (Some(path), None) => return Err(FileFault { path: path.clone(), why: "it needs its key".to_owned() }),
        (None, Some(path)) => return Err(FileFault { path: path.clone(), why: "it needs its certificate".to_owned() }),
    };
    let shown = identity.as_ref().map(|(chain, key)| (chain, key));
    let blamed = tls.key.as_ref().unwrap_or(&tls.ca);
    let client = ClientTls::new(&authorities, shown, tls.minimum_version.into())
        .map_err(|error| FileFault { path: blamed.clone(), why: words(&error) })?;
    match &tls.server_name {
        None => Ok(client),
        Some(name) => {
            client.with_server_name(name).map_err(|error| FileFault { path: name.into(), why: words(&error) })
        }
    }
}

fn certificates(
    path: &Path,
    at: impl Fn(&Path) -> PathBuf,
    purpose: &str,
    used: &mut Vec<CertificateInUse>,
) -> Result<Certificates, FileFault> {
    let found = read(path, at, Certificates::from_pem)?;
    used.extend(found.info().iter().map(|info| CertificateInUse {
        purpose: purpose.to_owned(),
        path: path.to_owned(),
        info: info.clone(),
    }));
    Ok(found)
}

fn key(path: &Path, at: impl Fn(&Path) -> PathBuf) -> Result<PrivateKey, FileFault> {
    read(path, at, PrivateKey::from_pem)
}

/// Reads a file; its fault names it as the configuration does.
fn read<T, E: std::error::Error>(
    path: &Path,
    at: impl Fn(&Path) -> PathBuf,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, FileFault> {
    let fault = |error: &dyn std::error::Error| FileFault { path: path.to_owned(), why: words(error) };
    let text = std::fs::read(at(path)).map_err(|error| fault(&error))?;
    parse(&text).map_err(|error| fault(&error))
}
