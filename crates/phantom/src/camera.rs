use crate::spec::{Patient, PhantomSpec};
use crate::vector::{Vec3, v};

/// Distance from the focal spot to the detector, mm.
pub(crate) const SOURCE_TO_DETECTOR_MM: f32 = 1800.0;
/// Distance from the focal spot to the middle of the patient, mm.
pub(crate) const SOURCE_TO_PATIENT_MM: f32 = SOURCE_TO_DETECTOR_MM - MIDDLE_TO_DETECTOR_MM;
const MIDDLE_TO_DETECTOR_MM: f32 = 140.0;

/// The diverging rays, seen from the patient.
///
/// The anatomy is built once for a reference person; size, build and position of the actual one are an
/// affine map, so a ray stays straight and only its length per step changes.
pub(crate) struct Camera {
    /// The focal spot, in the reference person's space.
    pub(crate) source: Vec3,
    corner: Vec3,
    per_column: Vec3,
    per_row: Vec3,
    world_corner: Vec3,
    spacing_mm: f32,
}

/// One ray: from the focal spot, `span` away, to its pixel.
#[derive(Clone, Copy)]
pub(crate) struct Ray {
    pub(crate) source: Vec3,
    pub(crate) span: Vec3,
    /// Length of the whole ray in real millimetres.
    pub(crate) length_mm: f32,
}

impl Ray {
    /// Where along the ray (0 to 1) the plane at depth `z` is met.
    pub(crate) fn part_at(&self, z: f32) -> f32 {
        (z - self.source.z) / self.span.z
    }

    pub(crate) fn at(&self, part: f32) -> Vec3 {
        self.source + self.span * part
    }
}

impl Camera {
    pub(crate) fn new(spec: &PhantomSpec, patient: &Patient) -> Self {
        let spacing_mm = spec.pixel_spacing_mm(patient);
        let (sin, cos) = patient.rotation_degrees.to_radians().sin_cos();
        let (sin_tilt, cos_tilt) = patient.lean_degrees.to_radians().sin_cos();
        let inverse_scale = v(1.0 / patient.scale.x, 1.0 / patient.scale.y, 1.0 / patient.scale.z);
        let into_body = |p: Vec3| {
            let p = v(cos * p.x + sin * p.z, p.y, cos * p.z - sin * p.x);
            v(p.x, cos_tilt * p.y + sin_tilt * p.z, cos_tilt * p.z - sin_tilt * p.y).scaled(inverse_scale)
        };
        let centre = v(patient.offset_mm[0], patient.offset_mm[1], 0.0);
        let world_corner = v(
            centre.x - 0.5 * spec.columns as f32 * spacing_mm + 0.5 * spacing_mm,
            centre.y - 0.5 * spec.rows as f32 * spacing_mm + 0.5 * spacing_mm,
            -MIDDLE_TO_DETECTOR_MM,
        );
        let world_source = v(centre.x, centre.y, SOURCE_TO_PATIENT_MM);
        Self {
            source: into_body(world_source),
            corner: into_body(world_corner),
            per_column: into_body(v(spacing_mm, 0.0, 0.0)),
            per_row: into_body(v(0.0, spacing_mm, 0.0)),
            world_corner: world_corner - world_source,
            spacing_mm,
        }
    }

    pub(crate) fn spacing_mm(&self) -> f32 {
        self.spacing_mm
    }

    /// The ray to a pixel, its centre at whole numbers.
    pub(crate) fn ray(&self, column: f32, row: f32) -> Ray {
        let end = self.corner + self.per_column * column + self.per_row * row;
        let world = self.world_corner + v(column * self.spacing_mm, row * self.spacing_mm, 0.0);
        Ray { source: self.source, span: end - self.source, length_mm: world.length() }
    }

    /// Column and row where a point of the anatomy is seen.
    pub(crate) fn project(&self, point: Vec3) -> (f32, f32) {
        // Solve source + s (point - source) = corner + column * per_column + row * per_row.
        let normal = self.per_column.cross(self.per_row);
        let direction = point - self.source;
        let s = (self.corner - self.source).dot(normal) / direction.dot(normal);
        let on_detector = self.source + direction * s - self.corner;
        // The axes are orthogonal in the world but not in the reference space: solve by cross products.
        let scale = 1.0 / normal.dot(normal);
        let column = on_detector.cross(self.per_row).dot(normal) * scale;
        let row = self.per_column.cross(on_detector).dot(normal) * scale;
        (column, row)
    }

    /// Steps of the point at part `part` of the ray, per column and per row.
    pub(crate) fn steps_at(&self, part: f32) -> (Vec3, Vec3) {
        (self.per_column * part, self.per_row * part)
    }
}
