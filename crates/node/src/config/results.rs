use dokuei_results::{CaptureStyle, ColourScale};
use serde::Deserialize;

/// `[results]`: how result objects look to people.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Results {
    /// Language of the words drawn into pictures.
    pub(crate) language: Language,
    /// Colours of the map.
    pub(crate) colours: Colours,
}

/// By its tag of RFC 5646.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Language {
    #[default]
    #[serde(rename = "en")]
    English,
    #[serde(rename = "ja")]
    Japanese,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Colours {
    #[default]
    Ember,
    BlueRed,
}

impl Results {
    /// How the secondary capture looks.
    pub(crate) fn capture_style(&self) -> CaptureStyle {
        CaptureStyle {
            scale: match self.colours {
                Colours::Ember => ColourScale::Ember,
                Colours::BlueRed => ColourScale::BlueRed,
            },
            language: match self.language {
                Language::English => dokuei_results::Language::English,
                Language::Japanese => dokuei_results::Language::Japanese,
            },
            ..CaptureStyle::default()
        }
    }
}
