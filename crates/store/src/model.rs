use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

numbers! {
    /// The number of an entry in the work queue.
    JobId,
    /// The number of one model's work on one instance for one route.
    TaskId,
    /// The number of a series or study that is waited for on behalf of one route.
    UnitId,
    /// The number of what one model version said of one instance.
    ResultId,
    /// The number of an entry in the outbox: one object for one destination.
    DeliveryId,
    /// The number of a request for storage commitment.
    CommitmentId,
    /// The number of a performed procedure step or an instance availability notification.
    HintId,
}
