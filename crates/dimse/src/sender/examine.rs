//! The doctor for a connection: how far it gets, what the peer takes, and what a port speaks that answers wrongly.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::association::Association;
use super::connect::{self, Steps};
use super::echo::{EchoError, EchoReport, echo_noting};
use super::error::{AssociateError, Fault, SendError};
use super::plan::ProposedContext;
use crate::acceptor::AcceptedContext;
use crate::config::RequestorConfig;
use crate::tls::{TlsError, speaks_tls};
use crate::wire::Stranger;

/// The longest wait of a probe, which only looks for a cause.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// What was found out about a peer.
#[derive(Debug)]
pub struct Examination {
    /// How far the C-ECHO came, and what each step took.
    pub steps: Steps,
    /// Its end.
    pub echo: Result<EchoReport, EchoError>,
    /// What the port speaks, where the C-ECHO failed in a way that leaves it open and a probe found it.
    pub speaks: Option<Speaks>,
    /// What the peer accepted of the contexts proposed on a second association; `None` when the first was not
    /// accepted.
    pub accepted: Option<Result<Vec<AcceptedContext>, AssociateError>>,
}

/// What a port speaks other than what it was called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// TLS, where we called without.
    Tls,
    /// DICOM without TLS, where we called with it.
    PlainDicom,
    /// HTTP.
    Http,
}

impl Speaks {
    /// What to change, for a person.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Tls => "the peer speaks TLS on this port: call it with TLS, or use its plain port",
            Self::PlainDicom => {
                "the peer speaks DICOM without TLS on this port: switch TLS off for it, or use its TLS port"
            }
            Self::Http => "a web server listens on this port: check the port",
        }
    }
}

impl Examination {
    /// Who has to act when the C-ECHO failed.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let error = self.echo.as_ref().err()?;
        Some(if self.speaks.is_some() { Fault::Ours } else { error.fault() })
    }

    /// What to look at or change when the C-ECHO failed, for a person.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let error = self.echo.as_ref().err()?;
        Some(self.speaks.map_or_else(|| error.advice(), |speaks| speaks.advice().to_owned()))
    }
}

/// A C-ECHO; then, on a second association, whether `proposed` would be accepted (it may be empty); or, where the first
/// fails, what the port speaks instead.
pub async fn examine(config: &RequestorConfig, proposed: &[ProposedContext]) -> Examination {
    let mut steps = Steps::default();
    let echo = echo_noting(config, &mut steps).await;
    // A peer that refuses Verification may take everything else.
    let associates = matches!(echo, Ok(_) | Err(EchoError::Send(SendError::NotAccepted { .. })));
    let accepted = match proposed {
        [_, ..] if associates => Some(offer(config, proposed).await),
        _ => None,
    };
    let speaks = match &echo {
        Err(EchoError::Associate(error)) => probe(config, error).await,
        _ => None,
    };
    Examination { steps, echo, speaks, accepted }
}

async fn offer(config: &RequestorConfig, proposed: &[ProposedContext]) -> Result<Vec<AcceptedContext>, AssociateError> {
    let association = Association::request(config, proposed).await?;
    let accepted = association.contexts().to_vec();
    if let Err(error) = association.release().await {
        tracing::debug!(%error, "not released as it should be");
    }
    Ok(accepted)
}

/// Asks a port that did not answer as a DICOM peer what it speaks.
async fn probe(config: &RequestorConfig, error: &AssociateError) -> Option<Speaks> {
    let over_tls = config.tls.is_some();
    let config = RequestorConfig {
        connect_timeout: config.connect_timeout.min(PROBE_PATIENCE),
        associate_timeout: config.associate_timeout.min(PROBE_PATIENCE),
        tls: None,
        ..config.clone()
    };
    match error {
        AssociateError::Handshake(TlsError::Plain) => Some(Speaks::PlainDicom),
        AssociateError::Tls => Some(Speaks::Tls),
        AssociateError::Handshake(TlsError::Closed | TlsError::Silent(_) | TlsError::Protocol(_)) => {
            if is_web_server(&config).await {
                return Some(Speaks::Http);
            }
            is_plain_dicom(&config).await.then_some(Speaks::PlainDicom)
        }
        AssociateError::Closed
        | AssociateError::NoAnswer(_)
        | AssociateError::Aborted(_)
        | AssociateError::Protocol(_)
            if !over_tls =>
        {
            if is_web_server(&config).await {
                return Some(Speaks::Http);
            }
            is_tls(&config).await.then_some(Speaks::Tls)
        }
        _ => None,
    }
}

async fn is_tls(config: &RequestorConfig) -> bool {
    let Ok((stream, _)) = connect::tcp(config, &mut Steps::default()).await else { return false };
    timeout(config.connect_timeout, speaks_tls(stream, &config.address)).await.unwrap_or(false)
}

/// Whether an association request gets an answer of DICOM, whichever.
async fn is_plain_dicom(config: &RequestorConfig) -> bool {
    match Association::request(config, &[ProposedContext::verification()]).await {
        Ok(association) => {
            association.abort().await;
            true
        }
        Err(error) => matches!(error, AssociateError::Rejected { .. } | AssociateError::Aborted(_)),
    }
}

async fn is_web_server(config: &RequestorConfig) -> bool {
    let exchange = async {
        let (mut stream, _) = connect::tcp(config, &mut Steps::default()).await.ok()?;
        stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n").await.ok()?;
        let mut greeting = [0; 6];
        stream.read_exact(&mut greeting).await.ok()?;
        Some(greeting)
    };
    let greeting = timeout(config.connect_timeout, exchange).await.ok().flatten();
    greeting.is_some_and(|greeting| Stranger::of(&greeting) == Some(Stranger::Http))
}
