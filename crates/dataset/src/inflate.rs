use flate2::{Decompress, FlushDecompress, Status};

use crate::read::{Limits, ReadError};

/// Bytes inflated at once.
const PIECE_BYTES: usize = 32 << 10;
/// Bytes that may come of any number of deflated ones; blank images deflate to next to nothing.
const FREE_BYTES: u64 = 64 << 20;

/// Inflates a deflated data set piece by piece (PS3.5 § A.5) within [`Limits::inflated_bytes`] and
/// [`Limits::inflated_ratio`].
#[derive(Debug)]
pub(crate) struct Inflater {
    stream: Decompress,
    piece: Box<[u8]>,
    bytes_max: u64,
    ratio_max: u64,
    ended: bool,
}

impl Inflater {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            stream: Decompress::new(false),
            piece: vec![0; PIECE_BYTES].into(),
            bytes_max: limits.inflated_bytes,
            ratio_max: limits.inflated_ratio,
            ended: false,
        }
    }

    /// Whether the end of the deflated stream was there; what comes behind it is padding.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Takes more of the deflated stream and hands on what it inflates to.
    pub(crate) fn push(
        &mut self,
        mut deflated: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        while !self.ended {
            let (read, made) = (self.stream.total_in(), self.stream.total_out());
            let outcome = self.stream.decompress(deflated, &mut self.piece, FlushDecompress::None);
            let used = usize::try_from(self.stream.total_in().saturating_sub(read)).unwrap_or(usize::MAX);
            let made = usize::try_from(self.stream.total_out().saturating_sub(made)).unwrap_or(usize::MAX);
            self.check()?;
            deflated = deflated.get(used..).unwrap_or_default();
            // What came before a fault is handed on too.
            take(self.piece.get(..made).unwrap_or_default())?;
            self.ended = outcome.map_err(|error| ReadError::Inflate { source: error.into() })? == Status::StreamEnd;
            // The decoder may keep output to itself at the end of a piece or of its window: it waits for input only when it
            // gives nothing.
            if made == 0 && (deflated.is_empty() || used == 0) {
                break;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ReadError> {
        let (deflated, inflated) = (self.stream.total_in(), self.stream.total_out());
        if inflated > self.bytes_max {
            return Err(ReadError::Inflated(self.bytes_max));
        }
        if inflated > FREE_BYTES.max(deflated.saturating_mul(self.ratio_max)) {
            return Err(ReadError::InflatedRatio { deflated, inflated, ratio: self.ratio_max });
        }
        Ok(())
    }
}
