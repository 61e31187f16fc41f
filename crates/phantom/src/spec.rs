use crate::camera::{SOURCE_TO_DETECTOR_MM, SOURCE_TO_PATIENT_MM};
use crate::draw::{Draw, Part};
use crate::vector::{Vec3, v};

/// What to compute: the seed decides everything that is not said here.
#[derive(Debug, Clone, PartialEq)]
pub struct PhantomSpec {
    /// Person, exposure and noise follow from it; the same seed gives the same pixels.
    pub seed: u64,
    /// Height of the image in pixels.
    pub rows: u32,
    /// Width of the image in pixels.
    pub columns: u32,
    /// Bits Stored (0028,0101), 8 to 16.
    pub bits_stored: u16,
    /// Stored as MONOCHROME1 (low values white) instead of MONOCHROME2.
    pub photometric_monochrome1: bool,
    /// The consolidation to compute into the lungs, if any.
    pub opacity: Option<OpacitySpec>,
}

/// A consolidation: a part of a lung whose air gives way to fluid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpacitySpec {
    /// Which lung.
    pub side: Side,
    /// Which third of it.
    pub zone: Zone,
    /// How the consolidated air spaces lie.
    pub pattern: Pattern,
    /// Radius of the whole region in the body, mm.
    pub radius_mm: f32,
    /// How much of the air is replaced at the densest place, 0 to 1.
    pub filling: f32,
}

/// The patient's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The patient's right, on the left of the image.
    Right,
    /// The patient's left, on the right of the image.
    Left,
}

/// A third of the lung from top to bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Above the hilum.
    Upper,
    /// At the hilum.
    Middle,
    /// Below the hilum.
    Lower,
}

/// How consolidated air spaces lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// One large region that respects the lobe's border.
    Lobar,
    /// Many small regions that run together.
    Patchy,
    /// One compact region.
    Round,
}

/// Sex of the computed person, as Patient's Sex (0010,0040) has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sex {
    /// `F`
    Female,
    /// `M`
    Male,
}

impl Side {
    /// -1 for the right, 1 for the left: the sign of x.
    pub(crate) fn sign(self) -> f32 {
        match self {
            Self::Right => -1.0,
            Self::Left => 1.0,
        }
    }

    /// The word a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Left => "left",
        }
    }
}

impl Zone {
    /// The word a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Middle => "middle",
            Self::Lower => "lower",
        }
    }
}

impl Pattern {
    /// The word a person reads.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lobar => "lobar",
            Self::Patchy => "patchy",
            Self::Round => "round",
        }
    }
}

impl Sex {
    /// The value of Patient's Sex (0010,0040).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Female => "F",
            Self::Male => "M",
        }
    }
}

impl PhantomSpec {
    /// A person of 2,000 x 2,500 pixels with 12 to 15 bits, one in five stored as MONOCHROME1, and with
    /// or without an opacity drawn from the seed.
    #[must_use]
    pub fn from_seed(seed: u64, with_opacity: bool) -> Self {
        let mut draw = Draw::new(seed, Part::Exposure);
        let bits_stored = [12, 12, 14, 15].get(draw.pick(4)).copied().unwrap_or(12);
        Self {
            seed,
            rows: 2500,
            columns: 2000,
            bits_stored,
            photometric_monochrome1: draw.chance(0.2),
            opacity: with_opacity.then(|| OpacitySpec::from_seed(seed)),
        }
    }

    /// The same person on another matrix.
    #[must_use]
    pub fn with_size(self, columns: u32, rows: u32) -> Self {
        Self { rows, columns, ..self }
    }

    /// Pixel spacing at the detector, mm, for this matrix: the field is a little wider than the lungs.
    pub(crate) fn pixel_spacing_mm(&self, patient: &Patient) -> f32 {
        let magnification = SOURCE_TO_DETECTOR_MM / SOURCE_TO_PATIENT_MM;
        let width = patient.field_mm * magnification;
        let (columns, rows) = (self.columns.max(1) as f32, self.rows.max(1) as f32);
        // On a matrix squarer than 4:5, height decides, with a seventh less of it.
        let spacing = (width / columns).max(width * 1.25 * 0.86 / rows);
        (spacing * 1000.0).round() / 1000.0
    }
}

impl OpacitySpec {
    /// An opacity drawn from the seed; the lower zones are more often hit, as in life.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut draw = Draw::new(seed, Part::Opacity);
        let side = if draw.chance(0.55) { Side::Right } else { Side::Left };
        let zone = match draw.unit() {
            u if u < 0.25 => Zone::Upper,
            u if u < 0.55 => Zone::Middle,
            _ => Zone::Lower,
        };
        let (pattern, radius_mm) = match draw.unit() {
            u if u < 0.45 => (Pattern::Lobar, draw.between(34.0, 58.0)),
            u if u < 0.8 => (Pattern::Patchy, draw.between(34.0, 60.0)),
            _ => (Pattern::Round, draw.between(20.0, 36.0)),
        };
        Self { side, zone, pattern, radius_mm, filling: draw.between(0.55, 1.0) }
    }
}

/// What differs from person to person, before any organ is built.
pub(crate) struct Patient {
    pub(crate) sex: Sex,
    pub(crate) age_years: u16,
    /// Size along x, y, z against the reference person.
    pub(crate) scale: Vec3,
    /// Turned about the long axis.
    pub(crate) rotation_degrees: f32,
    /// Leaning to or from the detector.
    pub(crate) lean_degrees: f32,
    /// Where the beam is centred, from the reference middle, mm.
    pub(crate) offset_mm: [f32; 2],
    /// Width of the field in the middle of the patient, mm.
    pub(crate) field_mm: f32,
    /// How far the diaphragm stands above (negative) or below the reference, mm.
    pub(crate) inspiration_mm: f32,
    /// Thickness of the fat under the skin, mm.
    pub(crate) fat_mm: f32,
    /// Size of the heart against the reference.
    pub(crate) heart: f32,
    /// How far the shoulders are drawn up, mm.
    pub(crate) shrug_mm: f32,
    /// How far the elbows are held from the body, 0 (hanging) to 1.
    pub(crate) abduction: f32,
    /// Mineral of the bones against the reference.
    pub(crate) mineral: f32,
}

impl Patient {
    pub(crate) fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed, Part::Patient);
        let sex = if draw.chance(0.5) { Sex::Female } else { Sex::Male };
        let age = draw.between(20.0, 88.0);
        let stature = match sex {
            Sex::Female => draw.around(0.93, 0.03),
            Sex::Male => draw.around(1.01, 0.035),
        };
        let girth = draw.around(1.0, 0.04);
        let scale = v(stature * girth, stature * draw.around(1.0, 0.045), stature * girth * draw.around(1.0, 0.05));
        let elderly = ((age - 50.0) / 40.0).clamp(0.0, 1.0);
        Self {
            sex,
            age_years: u16::try_from(crate::vector::whole(age)).unwrap_or(50),
            scale,
            rotation_degrees: draw.around(0.0, 1.6),
            lean_degrees: draw.around(0.0, 2.0),
            offset_mm: [draw.around(0.0, 4.0), draw.around(-14.0, 9.0)],
            field_mm: 292.0 * scale.x * draw.between(1.12, 1.45),
            inspiration_mm: draw.around(0.0, 11.0),
            fat_mm: draw.between(6.0, 22.0) + if sex == Sex::Female { 3.0 } else { 0.0 },
            heart: draw.around(1.0 + 0.06 * elderly, 0.06),
            shrug_mm: draw.around(0.0, 6.0),
            abduction: draw.between(0.35, 1.0),
            mineral: draw.around(1.0 - 0.15 * elderly, 0.07),
        }
    }
}
