//! Model packages, the engine, explanation maps, calibration and bands; never DICOM files or disk layout.
//!
//! [`Package`] reads a folder (or files embedded in a binary), [`Model::load`] refuses what does not
//! fit its manifest, and each worker keeps a [`Session`]. What a [`Session`] computes depends on the
//! tensor, the package and the site's [`Overrides`] alone: the same input gives the same bits again
//! on the same machine.

mod calibration;
mod contour;
mod engine;
mod error;
mod explain;
mod manifest;
mod model;
pub mod npy;
mod package;
mod quality;
mod regions;
mod self_test;
mod verify;

pub use engine::{Head, Inspection, TensorInfo, inspect};
pub use error::{EngineFault, InferError, LoadError};
pub use manifest::{
    Accepts, Activation, Bands, Calibration, CamWeights, Explanation, Familiarity, FindingOverride, FindingSpec,
    GraphNames, Identity, Manifest, ManifestError, OverrideError, Overrides, Platt, RegionOptions, Requirement,
    SelfTest,
};
pub use model::{Inference, Model, Session, TensorInference};
pub use package::{Package, PackageError};
pub use self_test::Deviation;
pub use verify::{VerifiedFamiliarity, VerifiedFinding, VerifyReport, verify};
