use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A unique identifier: 1 to 64 digits and dots (PS3.5 § 9.1).
///
/// Peers send components with leading zeros and empty components; both are kept as sent, since
/// changing them would make another identifier. Copies share the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Uid(Arc<str>);

/// Why a text is not a UID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UidError {
    /// Nothing left after padding is removed.
    #[error("a UID cannot be empty")]
    Empty,
    /// More than 64 characters.
    #[error("a UID has at most 64 characters, this one has {0}")]
    TooLong(usize),
    /// A character that is neither digit nor dot.
    #[error("a UID cannot contain {0:?}")]
    Character(char),
}

impl Uid {
    /// Parses a UID, removing the NUL or spaces that pad it to even length.
    ///
    /// # Errors
    /// [`UidError`] when it is empty, too long or holds another character than digit and dot.
    pub fn new(text: &str) -> Result<Self, UidError> {
        let uid = text.trim_matches(['\0', ' ']);
        if uid.is_empty() {
            return Err(UidError::Empty);
        }
        if let Some(bad) = uid.chars().find(|c| !c.is_ascii_digit() && *c != '.') {
            return Err(UidError::Character(bad));
        }
        if uid.len() > 64 {
            return Err(UidError::TooLong(uid.len()));
        }
        Ok(Self(uid.into()))
    }

    /// The UID without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A new random UID in the UUID-derived root 2.25 (PS3.5 § B.2).
    #[must_use]
    pub fn random() -> Self {
        Self(format!("2.25.{}", Uuid::new_v4().as_u128()).into())
    }
}

/// The namespace of every UID this product derives; changing it would change them all.
const NAMESPACE: Uuid = Uuid::from_u128(0x9d2f_6f3e_51c8_4d0a_8a67_3b1b_7c40_e215);

/// A UID that depends on nothing but `parts`: UUIDv5 in the root 2.25 (PS3.5 § B.2), so that the same
/// source, model and role always give the same UID.
///
/// The parts are length-prefixed, so `["ab", "c"]` and `["a", "bc"]` differ.
#[must_use]
pub fn derived_uid(parts: &[&str]) -> Uid {
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uid(format!("2.25.{}", Uuid::new_v5(&NAMESPACE, &name).as_u128()).into())
}

impl TryFrom<String> for Uid {
    type Error = UidError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl std::str::FromStr for Uid {
    type Err = UidError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_goes_and_the_rest_stays() {
        assert_eq!(Uid::new("1.2.840.10008.1.1\0").unwrap().as_str(), "1.2.840.10008.1.1");
        assert_eq!(Uid::new("1.02.3").unwrap().as_str(), "1.02.3");
    }

    #[test]
    fn a_path_is_not_a_uid() {
        assert_eq!(Uid::new("../etc"), Err(UidError::Character('/')));
        assert_eq!(Uid::new("\0"), Err(UidError::Empty));
        assert_eq!(Uid::new(&"1".repeat(65)), Err(UidError::TooLong(65)));
    }

    #[test]
    fn derived_uids_repeat_and_differ() {
        let uid = derived_uid(&["1.2.3", "model", "1.0"]);
        assert_eq!(uid, derived_uid(&["1.2.3", "model", "1.0"]));
        assert_ne!(uid, derived_uid(&["1.2.3", "model1", ".0"]));
        assert!(Uid::new(uid.as_str()).is_ok() && uid.as_str().len() <= 44);
    }
}
