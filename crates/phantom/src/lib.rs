//! Computed radiographs with known findings, as images and as DICOM; never network or models.
//!
//! Rays diverge from a focal spot 1.8 m away through a person made of solids (lungs, heart, great
//! vessels, diaphragm, skin, fat) and of thousands of tubes (ribs, vertebrae, vessels, bronchi). Along
//! each ray the masses of soft tissue, fat and bone add up; tabulated attenuation at four energies
//! turns them into signal; scatter, quantum noise, blur and the processing of a digital system follow.
//!
//! A consolidation is air in a part of a lung replaced by fluid before the rays are cast, so its mask is
//! known exactly: it is where the added mass is seen.

mod attenuation;
mod body;
mod cage;
mod camera;
mod detector;
mod dicom;
mod draw;
mod identity;
mod march;
mod marker;
mod mediastinum;
mod opacity;
mod plane;
mod radiograph;
mod rows;
mod shapes;
mod skeleton;
mod solids;
mod spec;
mod table;
mod texture;
mod tube;
mod vector;
mod vessels;

pub use dicom::{to_data_set, to_dicom, to_dicom_in};
pub use identity::{CharacterSet, DicomIdentity, ImageClass, PersonName};
pub use radiograph::{OpacityTruth, Radiograph, Truth};
pub use spec::{OpacitySpec, Pattern, PhantomSpec, Sex, Side, Zone};
