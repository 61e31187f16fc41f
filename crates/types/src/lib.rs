//! The vocabulary every crate shares: AE titles, UIDs, identities, findings, regions, ends.
//! It never does I/O and knows no async.

mod ae_title;
mod end;
mod finding;
mod identity;
mod status;
mod uid;
mod units;

pub use ae_title::{AeTitle, AeTitleError};
pub use end::{DeclineReason, End};
pub use finding::{Band, Code, Finding, Region};
pub use identity::{ContentQualification, InstanceId, ModelIdentity, NodeIdentity};
pub use status::DimseStatus;
pub use uid::{Uid, UidError, derived_uid};
pub use units::{ByteRate, ByteSize, Interval, UnitError};
