use std::fmt;
use std::str::FromStr;

/// Photometric Interpretation (PS3.3 C.7.6.3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Photometric {
    /// Grey, the lowest value is white.
    Monochrome1,
    /// Grey, the lowest value is black.
    Monochrome2,
    /// Indices into the palette lookup tables.
    PaletteColor,
    /// Red, green, blue.
    Rgb,
    /// Luminance and two chrominances, full range (ITU-R BT.601).
    YbrFull,
    /// As [`YbrFull`](Self::YbrFull), chrominance halved horizontally. Decoded samples are never
    /// subsampled and say `YbrFull`.
    YbrFull422,
    /// Luminance and two chrominances in studio range (retired), chrominance halved horizontally. In
    /// decoded samples every pixel has its chrominance.
    YbrPartial422,
    /// Studio range, chrominance halved both ways; only in video.
    YbrPartial420,
    /// Irreversible component transform of JPEG 2000. Never in decoded samples.
    YbrIct,
    /// Reversible component transform of JPEG 2000. Never in decoded samples.
    YbrRct,
    /// The XYB colour space of JPEG XL. Never in decoded samples.
    Xyb,
    /// Hue, saturation, value (retired).
    Hsv,
    /// Alpha, red, green, blue (retired), four samples per pixel.
    Argb,
    /// Cyan, magenta, yellow, black (retired), four samples per pixel.
    Cmyk,
}

/// A text that names no photometric interpretation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no photometric interpretation")]
pub struct UnknownPhotometric(
    /// The text.
    pub String,
);

const NAMES: [(Photometric, &str); 14] = [
    (Photometric::Monochrome1, "MONOCHROME1"),
    (Photometric::Monochrome2, "MONOCHROME2"),
    (Photometric::PaletteColor, "PALETTE COLOR"),
    (Photometric::Rgb, "RGB"),
    (Photometric::YbrFull, "YBR_FULL"),
    (Photometric::YbrFull422, "YBR_FULL_422"),
    (Photometric::YbrPartial422, "YBR_PARTIAL_422"),
    (Photometric::YbrPartial420, "YBR_PARTIAL_420"),
    (Photometric::YbrIct, "YBR_ICT"),
    (Photometric::YbrRct, "YBR_RCT"),
    (Photometric::Xyb, "XYB"),
    (Photometric::Hsv, "HSV"),
    (Photometric::Argb, "ARGB"),
    (Photometric::Cmyk, "CMYK"),
];

impl Photometric {
    /// The defined term of the standard.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|(value, _)| *value == self).map_or("", |(_, name)| name)
    }

    /// Samples per pixel it takes (PS3.3 C.7.6.3.1.1).
    #[must_use]
    pub fn samples_per_pixel(self) -> u16 {
        match self {
            Self::Monochrome1 | Self::Monochrome2 | Self::PaletteColor => 1,
            Self::Argb | Self::Cmyk => 4,
            _ => 3,
        }
    }

    /// One grey sample per pixel.
    #[must_use]
    pub fn is_monochrome(self) -> bool {
        matches!(self, Self::Monochrome1 | Self::Monochrome2)
    }

    /// Luminance and chrominance, in whatever sampling and range.
    pub(crate) fn is_ybr(self) -> bool {
        matches!(self, Self::YbrFull | Self::YbrFull422 | Self::YbrPartial422 | Self::YbrPartial420)
    }
}

impl FromStr for Photometric {
    type Err = UnknownPhotometric;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let term = text.trim_matches([' ', '\0']);
        let known = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(term));
        known.map(|(value, _)| *value).ok_or_else(|| UnknownPhotometric(term.to_owned()))
    }
}

impl fmt::Display for Photometric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for (value, name) in NAMES {
            assert_eq!(name.parse(), Ok(value));
            assert_eq!(value.to_string(), name);
        }
        assert_eq!(" MONOCHROME2 \0".parse(), Ok(Photometric::Monochrome2));
        assert!("MONOCHROME3".parse::<Photometric>().is_err());
    }
}
