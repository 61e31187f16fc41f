//! C-ECHO, the calling side (PS3.7 § 9.1.5), and the report `dokuei echo` shows.

use dicom_dictionary_std::uids;
use dokuei_types::{DimseStatus, Uid};
use tokio::time::Instant;

use super::association::{Association, PeerInfo};
use super::connect::Steps;
use super::error::{AssociateError, Fault, SendError};
use super::plan::ProposedContext;
use crate::config::RequestorConfig;
use crate::message::{Field, echo_request};

/// A C-ECHO with what was negotiated and how long each step took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EchoReport {
    /// What the peer said of itself.
    pub peer: PeerInfo,
    /// How long each step took.
    pub steps: Steps,
    /// Status of the response.
    pub status: DimseStatus,
    /// Transfer syntax accepted for Verification.
    pub transfer_syntax: Uid,
    /// The peer's failure to release as it should; what came before stands.
    pub release_problem: Option<String>,
}

/// Why a C-ECHO got no response.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// No association.
    #[error(transparent)]
    Associate(#[from] AssociateError),
    /// An association, but no response.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl EchoError {
    /// Who has to act.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Associate(error) => error.fault(),
            Self::Send(error) => error.fault(),
        }
    }

    /// What to look at or change, for a person.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Associate(error) => error.advice(),
            Self::Send(SendError::NotAccepted { .. }) => {
                "the peer knows our AE titles but refuses Verification: enable C-ECHO there for us".to_owned()
            }
            Self::Send(_) => {
                "the association was accepted but the echo was not answered: ask the peer's log".to_owned()
            }
        }
    }
}

/// Connects, associates for Verification, echoes once and releases.
///
/// # Errors
/// [`EchoError`]; it says whose fault it is and what to change.
pub async fn echo(config: &RequestorConfig) -> Result<EchoReport, EchoError> {
    echo_noting(config, &mut Steps::default()).await
}

/// As [`echo`], noting in `steps` how far it came.
pub(super) async fn echo_noting(config: &RequestorConfig, steps: &mut Steps) -> Result<EchoReport, EchoError> {
    let mut association = Association::request_noting(config, &[ProposedContext::verification()], steps).await?;
    let begin = Instant::now();
    let status = association.echo().await?;
    steps.echo = Some(begin.elapsed());
    let peer = association.peer().clone();
    let transfer_syntax = association.contexts().first().map(|context| context.transfer_syntax.clone());
    let release_problem = association.release().await.err().map(|error| error.to_string());
    let transfer_syntax = transfer_syntax.ok_or(SendError::Ended)?;
    Ok(EchoReport { peer, steps: steps.clone(), status, transfer_syntax, release_problem })
}

impl Association {
    /// C-ECHO; gives the status of the response.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::NotAccepted`] when the association has no context for Verification.
    pub async fn echo(&mut self) -> Result<DimseStatus, SendError> {
        let context = self.contexts().iter().find(|context| context.abstract_syntax.as_str() == uids::VERIFICATION);
        let Some(context) = context.map(|context| context.id) else {
            let ProposedContext { abstract_syntax, mut transfer_syntaxes } = ProposedContext::verification();
            return Err(SendError::NotAccepted {
                sop_class: abstract_syntax,
                transfer_syntax: transfer_syntaxes.swap_remove(0),
            });
        };
        self.begin()?;
        let result = self.exchange_echo(context).await;
        self.conclude(result).await
    }

    async fn exchange_echo(&mut self, context: u8) -> Result<DimseStatus, SendError> {
        let message_id = self.next_message_id();
        self.send_message(context, &echo_request(message_id), None).await?;
        let response = self.response(Field::EchoResponse, message_id).await?;
        Ok(response.status().unwrap_or(DimseStatus::PROCESSING_FAILURE))
    }
}
