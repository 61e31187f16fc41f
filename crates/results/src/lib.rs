//! Findings and a source header become a Structured Report and a secondary capture; never network or model code.
//!
//! The report is an Imaging Measurement Report (PS3.16 TID 1500) and is the result; the secondary capture
//! is a picture of it for places that show pictures only. Both lie in the study that was analysed, each in a
//! series of its own, and repeat the patient, study and request attributes of the source byte for byte in its
//! character set; own text is ASCII, which every character set holds.
//!
//! Nothing here reads a clock or draws a random number: the same [`ReportInput`] gives the same bytes.
//!
//! | folder | holds |
//! |---|---|
//! | `header/` | the modules that every object has: patient, study, series, equipment, references |
//! | `templates/` | the content tree of the report, one file a template, over `tree` and `codes` |
//! | `capture/` | the picture: colours, blending, outlines, caption; with the same pens the charts of an evaluation |
//! | `page/` | the page: an encapsulated PDF |
//! | `presentation/` | the presentation state: outlines and text over the source |
//! | `segmentation/` | the segmentation: the marked regions as bits |

mod capture;
mod codes;
mod comparison;
mod decimal;
mod error;
mod header;
mod input;
mod key_objects;
mod loop_guard;
mod object_text;
mod outline;
mod page;
mod presentation;
mod report;
mod report_text;
mod role;
mod same_patient;
mod segmentation;
mod segmentation_text;
mod taken;
mod templates;
#[cfg(test)]
mod testing;
mod tree;

pub use capture::{
    CaptureStyle, Chart, ColourScale, Curve, Language, RgbPicture, SourcePicture, capture_picture, chart_picture,
    secondary_capture,
};
pub use comparison::{Change, Comparison, Prior, Trend, UNCHANGED_WITHIN_POINTS};
use comparison::{Changed, NO_PRIOR};
pub use error::ResultError;
pub use input::{Explanation, Object, ObjectReference, Outcome, ReportInput, SourceImage, SrClass};
pub use key_objects::{RejectReason, Withdrawal, key_object_note, rejection_note};
pub use loop_guard::{made_by_algorithm, written_by_us};
pub use object_text::object_text;
pub use page::{PagePicture, result_page};
pub use presentation::presentation_state;
pub use report::structured_report;
pub use report_text::report_text;
pub use role::Role;
pub use same_patient::{Doubt, other_patient, same_patient};
pub use segmentation::segmentation;
pub use segmentation_text::segmentation_text;
pub use taken::taken;
