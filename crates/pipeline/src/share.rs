use std::fmt;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

const MILLION: u32 = 1_000_000;

/// A share of all studies in steps of a millionth, written as a number above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

/// A number that is no share.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no share of all studies; write a number from 0.000001 to 1")]
pub struct ShareError(f64);

impl Share {
    /// All of them.
    pub const WHOLE: Self = Self(MILLION);

    /// What a study draws for a route: always the same, evenly spread from 0 to less than the whole. Each route draws
    /// for itself, or else a second one would never see what the first one leaves.
    pub(crate) fn drawn(route: &str, study: &str) -> Self {
        let hash = XxHash3_64::oneshot(format!("{route}\0{study}").as_bytes());
        Self(u32::try_from(hash % u64::from(MILLION)).unwrap_or_default())
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;
    fn try_from(share: f64) -> Result<Self, ShareError> {
        let millionths = (share * f64::from(MILLION)).round();
        if !(1.0..=f64::from(MILLION)).contains(&millionths) {
            return Err(ShareError(share));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to a million")]
        Ok(Self(millionths as u32))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / Self::from(MILLION)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(self.0) / f64::from(MILLION / 100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_above_nothing_and_at_most_the_whole() {
        assert_eq!(Share::try_from(0.1).unwrap().to_string(), "10 %");
        assert_eq!(Share::try_from(0.125).unwrap().to_string(), "12.5 %");
        assert_eq!(Share::try_from(1.0), Ok(Share::WHOLE));
        for wrong in [0.0, -0.1, 1.000_001, 1e-9, f64::NAN, f64::INFINITY] {
            assert!(Share::try_from(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            serde_json::from_str::<Share>("2").unwrap_err().to_string(),
            "2 is no share of all studies; write a number from 0.000001 to 1"
        );
    }

    /// What was drawn once is drawn by every version to come, on every machine.
    #[test]
    fn draws_never_change() {
        let draws = ["1.2.3", "1.2.840.10008.1", ""].map(|study| Share::drawn("chest", study).0);
        assert_eq!(draws, [309_817, 863_220, 182_786]);
    }
}
