//! Certificates as a site has them, made for each test.

use dokuei_dimse::{Certificates, ClientCertificates, ClientTls, PrivateKey, ServerTls, TlsVersion};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// An authority that issues certificates.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, key_pem: key.serialize_pem(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for loopback.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, &["127.0.0.1"], |_| {})
    }

    pub(crate) fn issue_with(&self, name: &str, hosts: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = named(name, hosts);
        change(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { pem, key_pem: key.serialize_pem() }
    }

    pub(crate) fn certificates(&self) -> Certificates {
        Certificates::from_pem(self.pem.as_bytes()).unwrap()
    }

    /// Trusts this authority and shows nothing.
    pub(crate) fn client(&self) -> ClientTls {
        ClientTls::new(&self.certificates(), None, TlsVersion::Tls12).unwrap()
    }

    /// Trusts this authority and shows `issued`.
    pub(crate) fn client_with(&self, issued: &Issued) -> ClientTls {
        ClientTls::new(&self.certificates(), Some((&issued.chain(), &issued.key())), TlsVersion::Tls12).unwrap()
    }
}

impl Issued {
    pub(crate) fn chain(&self) -> Certificates {
        Certificates::from_pem(self.pem.as_bytes()).unwrap()
    }

    pub(crate) fn key(&self) -> PrivateKey {
        PrivateKey::from_pem(self.key_pem.as_bytes()).unwrap()
    }

    /// Shows this and asks clients for nothing.
    pub(crate) fn server(&self) -> ServerTls {
        self.server_for(ClientCertificates::Ignored)
    }

    pub(crate) fn server_for(&self, clients: ClientCertificates<'_>) -> ServerTls {
        ServerTls::new(&self.chain(), &self.key(), clients, TlsVersion::Tls12).unwrap()
    }
}

/// A certificate for loopback that nobody else has signed, and that is no authority.
pub(crate) fn self_signed(name: &str) -> Issued {
    let key = KeyPair::generate().unwrap();
    let pem = named(name, &["127.0.0.1"]).self_signed(&key).unwrap().pem();
    Issued { pem, key_pem: key.serialize_pem() }
}

pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
