use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An Application Entity title: 1 to 16 characters of the default repertoire without backslash or
/// control characters, spaces at either end not significant (PS3.5 § 6.2, VR AE). Copies share the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AeTitle(Arc<str>);

/// Why a text is not an AE title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AeTitleError {
    /// Nothing but spaces.
    #[error("an AE title cannot be empty")]
    Empty,
    /// More than 16 characters after trimming.
    #[error("an AE title has at most 16 characters, this one has {0}")]
    TooLong(usize),
    /// A control character, a backslash or a character outside ASCII.
    #[error("an AE title cannot contain {0:?}")]
    Character(char),
}

impl AeTitle {
    /// Parses a title, trimming the spaces that pad it on the wire.
    ///
    /// # Errors
    /// [`AeTitleError`] when nothing is left, too much is left, or a character is not allowed.
    pub fn new(text: &str) -> Result<Self, AeTitleError> {
        let title = text.trim_matches([' ', '\0']);
        if title.is_empty() {
            return Err(AeTitleError::Empty);
        }
        if let Some(bad) = title.chars().find(|c| !matches!(c, ' '..='~') || *c == '\\') {
            return Err(AeTitleError::Character(bad));
        }
        if title.len() > 16 {
            return Err(AeTitleError::TooLong(title.len()));
        }
        Ok(Self(title.into()))
    }

    /// The title without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AeTitle {
    type Err = AeTitleError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for AeTitle {
    type Error = AeTitleError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_not_significant() {
        assert_eq!(AeTitle::new(" CR_ROOM 1      ").unwrap().as_str(), "CR_ROOM 1");
    }

    #[test]
    fn refuses_what_the_standard_refuses() {
        assert_eq!(AeTitle::new("   "), Err(AeTitleError::Empty));
        assert_eq!(AeTitle::new("ABCDEFGHIJKLMNOPQ"), Err(AeTitleError::TooLong(17)));
        assert_eq!(AeTitle::new("A\\B"), Err(AeTitleError::Character('\\')));
        assert_eq!(AeTitle::new("A\nB"), Err(AeTitleError::Character('\n')));
        assert_eq!(AeTitle::new("胸部"), Err(AeTitleError::Character('胸')));
    }
}
