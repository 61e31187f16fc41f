//! What an operator wants to know of a certificate: whose it is and until when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::pem::PemError;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Whose a certificate is and when it holds (RFC 5280 § 4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// The common name of its subject, or the whole subject where there is none.
    pub subject: String,
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
}

impl CertificateInfo {
    /// From the DER encoding.
    ///
    /// # Errors
    /// [`PemError::Certificate`] when it is none.
    pub(crate) fn read(der: &[u8]) -> Result<Self, PemError> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| PemError::Certificate(error.to_string()))?;
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().find_map(|name| name.as_str().ok());
        Ok(Self {
            subject: common_name.map_or_else(|| subject.to_string(), str::to_owned),
            not_before: moment(certificate.validity().not_before),
            not_after: moment(certificate.validity().not_after),
        })
    }

    /// Whole days until it expires, from `now`; negative when it has.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> i64 {
        seconds(self.not_after).saturating_sub(seconds(now)).div_euclid(DAY_SECONDS)
    }
}

fn moment(time: ASN1Time) -> SystemTime {
    match u64::try_from(time.timestamp()) {
        Ok(seconds) => UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH),
        Err(_) => UNIX_EPOCH,
    }
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(since).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_negative_once_it_has_expired() {
        let day = Duration::from_secs(DAY_SECONDS.unsigned_abs());
        let now = UNIX_EPOCH + 1000 * day;
        let until = |not_after| CertificateInfo { subject: String::new(), not_before: UNIX_EPOCH, not_after };
        for (not_after, days) in [
            (now + 30 * day, 30),
            (now + 30 * day - Duration::from_secs(1), 29),
            (now, 0),
            (now - Duration::from_secs(1), -1),
            (now - 2 * day, -2),
        ] {
            assert_eq!(until(not_after).days_left(now), days);
        }
    }
}
