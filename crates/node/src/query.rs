//! C-FIND with all its matches (PS3.4 § C.4.1), for those who want an answer rather than a table.

use dokuei_dataset::{Dataset, ReadError};
use dokuei_dimse::{Association, QueryResponse, SendError};
use dokuei_types::{DimseStatus, Uid};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::information;
use crate::keys::{self, Key, Level};

/// Matches of one query that are taken.
const MATCHES_MAX: usize = 100_000;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    Broken(#[from] SendError),
    #[error("asked by C-FIND it answers with {status}: {comment}")]
    Refused { status: DimseStatus, comment: String },
    #[error("a match cannot be read")]
    Unreadable(#[from] ReadError),
    #[error("it has more than {MATCHES_MAX} matches")]
    TooMany,
}

/// Gives every match of `keys` at `level` to `each`.
///
/// # Errors
/// [`QueryError`]; the association can be used again only after a refusal.
pub(crate) async fn matches(
    association: &mut Association,
    model: &Uid,
    (level, keys): (Level, &[Key]),
    cancel: CancellationToken,
    mut each: impl FnMut(&Dataset),
) -> Result<(), QueryError> {
    let mut query = association.find(model, &keys::identifier(level, keys), cancel).await?;
    let mut count = 0_usize;
    while let Some(response) = query.next().await? {
        let QueryResponse { status, comment, identifier, transfer_syntax, .. } = response;
        if status.is_pending() {
            count = count.saturating_add(1);
            if count > MATCHES_MAX {
                return Err(QueryError::TooMany);
            }
            each(&information::read(&identifier, &transfer_syntax)?);
        } else if status != DimseStatus::SUCCESS && !status.is_warning() {
            return Err(QueryError::Refused { status, comment });
        }
    }
    Ok(())
}
