//! The content tree of the report: one file a template (PS3.16 Annex A).

mod group;
mod tid1001;
mod tid1204;
mod tid1410;
mod tid1500;
mod tid1501;
mod tid1502;
mod tid1600;
mod tid2010;
mod tid300;
mod tid4019;

pub(crate) use tid300::percent;
pub(crate) use tid1500::imaging_measurement_report;
pub(crate) use tid1600::spacing_mm;
pub(crate) use tid2010::key_object_selection;
pub(crate) use tid4019::{algorithm_parameters, or_unknown};
