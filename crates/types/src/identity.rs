use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Uid;

/// The store's own number of a received instance, given once and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub i64);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a model's output may be used as a product or is research (Content Qualification, 0018,9004).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentQualification {
    /// Cleared for clinical use.
    Product,
    /// Everything else; the honest default.
    Research,
}

/// What a report says of the algorithm that wrote it (PS3.16 TID 4019).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Algorithm Name (111001, DCM), such as `cxr-pneumonia`.
    pub name: String,
    /// Algorithm Version (111003, DCM).
    pub version: String,
    /// Algorithm Manufacturer (122405, DCM).
    pub vendor: String,
    /// Device UID of the algorithm; another one for every release.
    pub device_uid: Uid,
    /// SHA-256 of the weights, lower-case hexadecimal.
    pub weights_sha256: String,
    /// Research or product.
    pub qualification: ContentQualification,
}

/// What result objects say of the node that made them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// AE title of the node, used as station name.
    pub ae_title: String,
    /// Manufacturer (0008,0070).
    pub manufacturer: String,
    /// Manufacturer's Model Name (0008,1090).
    pub model_name: String,
    /// Device Serial Number (0018,1000).
    pub serial_number: String,
    /// Software Versions (0018,1020).
    pub software_version: String,
    /// Device UID (0018,1002) of this node.
    pub device_uid: Uid,
}
