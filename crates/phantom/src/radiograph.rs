use crate::camera::Camera;
use crate::detector::{Exposure, quantile};
use crate::draw::{Draw, Part};
use crate::march::{Scene, Trunk};
use crate::opacity::Opacity;
use crate::plane::Plane;
use crate::rows::each_row;
use crate::solids::Solids;
use crate::spec::{OpacitySpec, Patient, PhantomSpec, Sex};
use crate::tube::{Band, Segment};
use crate::vector::whole;
use crate::{marker, skeleton, texture, vessels};

/// A computed radiograph of the chest.
#[derive(Debug, Clone, PartialEq)]
pub struct Radiograph {
    /// Height in pixels.
    pub rows: u32,
    /// Width in pixels.
    pub columns: u32,
    /// Stored values, row by row, in the low `bits_stored` bits.
    pub pixels: Vec<u16>,
    /// Bits Stored (0028,0101).
    pub bits_stored: u16,
    /// Low values are white (MONOCHROME1).
    pub monochrome1: bool,
    /// 1 where the opacity is seen, else 0, row by row; absent without an opacity.
    pub mask: Option<Vec<u8>>,
    /// 1 where a lung is seen, filled or not, else 0, row by row.
    pub lungs: Vec<u8>,
    /// Size of a pixel at the detector, mm.
    pub pixel_spacing_mm: f32,
    /// Window Center (0028,1050), in stored values.
    pub window_centre: f32,
    /// Window Width (0028,1051), in stored values.
    pub window_width: f32,
    /// What the picture was computed from.
    pub truth: Truth,
}

/// What is known of a computed radiograph.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// The seed.
    pub seed: u64,
    /// Sex of the person.
    pub sex: Sex,
    /// Age of the person, years.
    pub age_years: u16,
    /// Tube voltage, kV.
    pub kvp: f32,
    /// Distance from focal spot to detector, mm.
    pub source_to_detector_mm: f32,
    /// Distance from focal spot to the middle of the patient, mm.
    pub source_to_patient_mm: f32,
    /// The opacity, if any.
    pub opacity: Option<OpacityTruth>,
}

/// What is known of a computed opacity.
#[derive(Debug, Clone, PartialEq)]
pub struct OpacityTruth {
    /// What was asked for.
    pub spec: OpacitySpec,
    /// Area of the mask, pixels.
    pub area_pixels: u32,
    /// `[column, row]` of the middle of the mask.
    pub middle: [f32; 2],
    /// Mean mass per area that the opacity adds inside the mask, g/cm².
    pub added_mass: f32,
}

/// An opacity is seen where it adds at least this part of its greatest mass ...
const MASK_PART: f32 = 0.25;
/// ... and at least this much, g/cm²: about the contrast of a rib.
const MASK_MASS: f32 = 0.2;
/// Lung thinner than this is not called a lung field, cm.
const LUNG_FIELD_CM: f32 = 1.0;

impl PhantomSpec {
    /// Computes the radiograph.
    ///
    /// The same specification gives the same pixels on the same platform, however many cores there are.
    #[must_use]
    pub fn render(&self) -> Radiograph {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(16);
        Rendering::new(self, threads).finish()
    }
}

impl Radiograph {
    /// The picture a person sees: 8 bits, 255 white, through the window (PS3.3 C.11.2.1.2.1).
    #[must_use]
    pub fn windowed(&self) -> Vec<u8> {
        let low = self.window_centre - 0.5 - 0.5 * (self.window_width - 1.0);
        let scale = 255.0 / (self.window_width - 1.0).max(1.0);
        let shown = |&pixel: &u16| {
            let level = ((f32::from(pixel) - low) * scale).clamp(0.0, 255.0);
            let level = if self.monochrome1 { 255.0 - level } else { level };
            u8::try_from(stored(level.round())).unwrap_or(u8::MAX)
        };
        self.pixels.iter().map(shown).collect()
    }
}

struct Rendering<'a> {
    spec: &'a PhantomSpec,
    patient: Patient,
    exposure: Exposure,
    camera: Camera,
    trunk: Trunk,
    segments: Vec<Segment>,
    width: usize,
    height: usize,
    /// Pixels to a side of a coarse cell.
    factor: usize,
    threads: usize,
}

impl<'a> Rendering<'a> {
    fn new(spec: &'a PhantomSpec, threads: usize) -> Self {
        let patient = Patient::new(spec.seed);
        let exposure = Exposure::new(spec.seed);
        let camera = Camera::new(spec, &patient);
        let solids = Solids::new(spec.seed, &patient);
        let opacity = spec.opacity.as_ref().map(|o| Opacity::new(spec.seed, o, &solids));
        let lung_density = Draw::new(spec.seed, Part::Texture).between(0.17, 0.25);
        let width = usize::try_from(spec.columns).unwrap_or(1).max(8);
        let height = usize::try_from(spec.rows).unwrap_or(1).max(8);
        let factor = whole(0.7 / camera.spacing_mm() + 0.5).clamp(1, 16);
        let scene = Scene { camera: &camera, solids: &solids, opacity: opacity.as_ref(), lung_density, factor };
        let mut trunk = scene.march(width.div_ceil(factor), height.div_ceil(factor), threads);
        texture::add(spec.seed, &mut trunk.soft, &trunk.lung, camera.spacing_mm() * factor as f32);
        let mut segments = skeleton::bones(spec.seed, &patient, &solids);
        segments.extend(vessels::vessels(spec.seed, &solids, lung_density, opacity.as_ref()));
        Self { spec, patient, exposure, camera, trunk, segments, width, height, factor, threads }
    }

    fn finish(self) -> Radiograph {
        let mut signal = self.primary();
        let spacing = self.camera.spacing_mm();
        // Scatter varies slowly: about 3 mm a cell is plenty.
        let wide = whole(3.0 / spacing + 0.5).max(1);
        let coarse_wide = (wide / self.factor).max(1);
        let scatter = self.exposure.scattered(
            &signal.reduced(self.factor * coarse_wide),
            &self.trunk.soft.reduced(coarse_wide),
            spacing * (self.factor * coarse_wide) as f32,
        );
        let scatter_factor = (self.factor * coarse_wide) as f32;
        let scatter = scatter.enlarged(scatter_factor, false, self.width);
        self.each_row(&mut signal, |row, line| {
            let mut added = vec![0.0; line.len()];
            scatter.row(row, &mut added);
            for (value, added) in line.iter_mut().zip(added) {
                *value += added.max(0.0);
            }
            self.exposure.add_noise(row, line, spacing);
        });
        let mut density = signal.blurred(self.exposure.blur_mm / spacing);
        drop(signal);
        self.each_row(&mut density, |_, line| {
            for value in line {
                *value = -value.max(2e-5).ln();
            }
        });
        self.present(density)
    }

    /// Unscattered signal: 1 where nothing is in the way.
    fn primary(&self) -> Plane {
        let mut soft = Plane::new(self.width, self.height);
        let mut bone = Plane::new(self.width, self.height);
        let grain = texture::of_bone(self.spec.seed, &self.trunk.soft, self.camera.spacing_mm() * self.factor as f32);
        let rows_each = self.height.div_ceil(self.threads).max(1);
        let cells = rows_each * self.width;
        let grain = &grain;
        std::thread::scope(|scope| {
            for (i, (soft, bone)) in soft.data.chunks_mut(cells).zip(bone.data.chunks_mut(cells)).enumerate() {
                let band = Band { first_row: i * rows_each, width: self.width, soft, bone };
                scope.spawn(move || self.fill(band, grain));
            }
        });
        soft
    }

    fn fill(&self, mut band: Band<'_>, grain: &Plane) {
        for segment in &self.segments {
            segment.add_to(&self.camera, &mut band);
        }
        marker::add(self.spec.seed, &self.camera, [self.width, self.height], &mut band);
        self.transmit(&mut band, grain);
    }

    /// Turns the masses of a band into signal, which takes the place of the soft tissue.
    fn transmit(&self, band: &mut Band<'_>, grain: &Plane) {
        let factor = self.factor as f32;
        let (mut soft, mut fat, mut uneven) = (vec![0.0; self.width], vec![0.0; self.width], vec![0.0; self.width]);
        let enlarged = [&self.trunk.soft, &self.trunk.fat, grain].map(|plane| plane.enlarged(factor, true, self.width));
        let rows = band.soft.chunks_mut(self.width).zip(band.bone.chunks(self.width));
        for (i, (line, bone)) in rows.enumerate() {
            let row = band.first_row + i;
            for (plane, line) in enlarged.iter().zip([&mut soft, &mut fat, &mut uneven]) {
                plane.row(row, line);
            }
            for (x, value) in line.iter_mut().enumerate() {
                let mass = (*value + soft[x]).max(0.0);
                let mineral = (bone[x] * uneven[x]).max(0.0);
                *value = self.exposure.beam.transmitted(mass, fat[x].max(0.0), mineral);
            }
        }
    }

    fn each_row(&self, plane: &mut Plane, work: impl Fn(usize, &mut [f32]) + Sync) {
        each_row(&mut plane.data, plane.width, self.threads, work);
    }

    /// The processing of a digital system: compresses what varies slowly, sharpens what is fine, and maps
    /// the body to the range of stored values.
    fn present(self, mut density: Plane) -> Radiograph {
        let factor = self.factor;
        let spacing = self.camera.spacing_mm() * factor as f32;
        let coarse = density.reduced(factor);
        let body: Vec<usize> = (0..coarse.data.len())
            .filter(|&i| self.cell(&self.trunk.soft, &coarse, i) + self.cell(&self.trunk.fat, &coarse, i) > 3.0)
            .collect();
        let mut values: Vec<f32> = body.iter().map(|&i| coarse.data[i]).collect();
        let darkest = quantile(&mut values, 0.004);
        let typical = quantile(&mut values, 0.5);
        let mut slow = coarse.clone();
        for value in &mut slow.data {
            // Direct exposure would pull the body's border down.
            *value = value.max(darkest);
        }
        let slow = slow.blurred(28.0 / spacing);
        let fine = coarse.blurred(1.6 / spacing);
        let middle = coarse.blurred(9.0 / spacing);
        let exposure = &self.exposure;
        let enlarged = [&slow, &fine, &middle].map(|plane| plane.enlarged(factor as f32, false, self.width));
        self.each_row(&mut density, |row, line| {
            let [slow_line, fine_line, middle_line] = std::array::from_fn(|i| {
                let mut out = vec![0.0; line.len()];
                enlarged[i].row(row, &mut out);
                out
            });
            for (x, value) in line.iter_mut().enumerate() {
                let detail = (*value - fine_line[x]).clamp(-0.25, 0.25);
                let structure = (fine_line[x] - middle_line[x]).clamp(-0.13, 0.13);
                *value +=
                    exposure.sharpening * (detail + 1.2 * structure) - exposure.compression * (slow_line[x] - typical);
            }
        });
        let shown = density.reduced(factor);
        let mut values: Vec<f32> = body.iter().map(|&i| shown.data[i.min(shown.data.len() - 1)]).collect();
        let (low, high) = (quantile(&mut values, 0.004), quantile(&mut values, 0.995));
        let range = high - low;
        let (low, high) = (low + exposure.floor * range, low + exposure.ceiling * range);
        self.store(&density, low, high)
    }

    fn cell(&self, plane: &Plane, like: &Plane, index: usize) -> f32 {
        let (x, y) = (index % like.width.max(1), index / like.width.max(1));
        plane.data.get(y * plane.width + x).copied().unwrap_or(0.0)
    }

    fn store(self, density: &Plane, low: f32, high: f32) -> Radiograph {
        let bits_stored = self.spec.bits_stored.clamp(8, 16);
        let top = f32::from(u16::MAX >> (16 - bits_stored));
        // A margin on both sides keeps the darkest air and the densest metal from being cut off.
        let (from, to) = (0.06 * top, 0.94 * top);
        let mut pixels = vec![0_u16; density.data.len()];
        for (pixel, value) in pixels.iter_mut().zip(&density.data) {
            let t = (value - low) / (high - low).max(1e-3);
            let bent = if t > 0.0 { t.powf(self.exposure.gamma) } else { t };
            let level = (from + (to - from) * shoulder(bent)).clamp(0.0, top).round();
            let level = if self.spec.photometric_monochrome1 { top - level } else { level };
            *pixel = stored(level);
        }
        let (mask, opacity) = self.masks();
        let lungs = self.full(&self.trunk.lung, LUNG_FIELD_CM);
        let middle = 0.5 * top;
        Radiograph {
            rows: u32::try_from(self.height).unwrap_or(u32::MAX),
            columns: u32::try_from(self.width).unwrap_or(u32::MAX),
            pixels,
            bits_stored,
            monochrome1: self.spec.photometric_monochrome1,
            mask,
            lungs,
            pixel_spacing_mm: self.camera.spacing_mm(),
            window_centre: middle.round(),
            window_width: (0.92 * top).round(),
            truth: Truth {
                seed: self.spec.seed,
                sex: self.patient.sex,
                age_years: self.patient.age_years,
                kvp: self.exposure.kvp,
                source_to_detector_mm: crate::camera::SOURCE_TO_DETECTOR_MM,
                source_to_patient_mm: crate::camera::SOURCE_TO_PATIENT_MM,
                opacity,
            },
        }
    }

    fn full(&self, plane: &Plane, threshold: f32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.width * self.height);
        let mut line = vec![0.0; self.width];
        let enlarged = plane.enlarged(self.factor as f32, false, self.width);
        for row in 0..self.height {
            enlarged.row(row, &mut line);
            out.extend(line.iter().map(|&v| u8::from(v >= threshold)));
        }
        out
    }

    fn masks(&self) -> (Option<Vec<u8>>, Option<OpacityTruth>) {
        let Some(spec) = self.spec.opacity else { return (None, None) };
        let added = &self.trunk.added;
        let peak = added.data.iter().copied().fold(0.0, f32::max);
        let mask = self.full(added, (MASK_PART * peak).max(MASK_MASS));
        let (mut area, mut column, mut row, mut mass) = (0_u32, 0.0_f64, 0.0_f64, 0.0_f64);
        for (i, _) in mask.iter().enumerate().filter(|(_, m)| **m == 1) {
            let (x, y) = (i % self.width, i / self.width);
            area += 1;
            column += x as f64;
            row += y as f64;
            let cell = (y / self.factor) * added.width + x / self.factor;
            mass += f64::from(added.data.get(cell).copied().unwrap_or(0.0));
        }
        let mean = |sum: f64| narrow(sum / f64::from(area.max(1)));
        let truth = OpacityTruth { spec, area_pixels: area, middle: [mean(column), mean(row)], added_mass: mean(mass) };
        (Some(mask), Some(truth))
    }
}

/// The upper end of the tone curve bends over, so that the densest parts keep some difference.
fn shoulder(t: f32) -> f32 {
    const BEND: f32 = 0.85;
    if t < BEND { t } else { 1.0 - (1.0 - BEND) * (-(t - BEND) / (1.0 - BEND)).exp() }
}

#[expect(clippy::cast_possible_truncation, reason = "a mean of pixel numbers fits f32")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the stored range by the caller, and the cast saturates"
)]
fn stored(level: f32) -> u16 {
    level as u16
}
