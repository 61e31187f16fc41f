//! How well scores agree with labels: areas, intervals, calibration, limits; never files, images or models.
//!
//! Every interval is one of 95 % and takes the images of a patient together: many images of few patients say
//! less than as many images of as many patients. Nothing is drawn at random: the same cases give the same figures.
//!
//! | file | holds |
//! |---|---|
//! | `auroc` | the area under the ROC curve, its interval, the paired difference of two |
//! | `roc` | the curve itself |
//! | `proportion` | a share of images, with its interval |
//! | `operating` | what a limit does: confusion, sensitivity, specificity, predictive values |
//! | `calibration` | whether a probability of 30 % means 30 % |
//! | `figures` | all of it for one set of cases |

mod auroc;
mod calibration;
mod figures;
mod normal;
mod operating;
mod proportion;
mod roc;

pub use auroc::{Auroc, Paired, auroc, paired};
pub use calibration::{Bin, Calibration, calibration};
pub use figures::{Cell, Figures};
pub use operating::{Operating, Predictive, operating};
pub use proportion::{Proportion, proportion};
pub use roc::roc;

/// How intervals of areas are computed, in words for those who read the figures.
pub const INTERVAL: &str = "95 % by DeLong's variance with the images of a patient taken together \
    (DeLong 1988, Obuchowski 1997), symmetric in the logit of the area";

/// One scored and labelled image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Higher means more likely positive; for calibration a probability, 0 to 1.
    pub score: f64,
    /// What the label says.
    pub positive: bool,
    /// Whose image it is: any number, the same for images of the same patient.
    pub patient: usize,
}
