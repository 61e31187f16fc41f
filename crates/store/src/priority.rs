use serde::{Deserialize, Serialize};

/// What goes first when more waits than can be done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before everything else.
    Urgent,
    /// Clinical work.
    #[default]
    Routine,
    /// When nothing else waits.
    Research,
}

impl Priority {
    /// As the index holds it.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Urgent => 0,
            Self::Routine => 1,
            Self::Research => 2,
        }
    }

    pub(crate) fn from_number(number: i64) -> Self {
        [Self::Urgent, Self::Routine].into_iter().find(|known| known.number() == number).unwrap_or(Self::Research)
    }

    /// The last place in a queue of what is urgent.
    pub(crate) const URGENT_RANK_MAX: i64 = 1;

    /// Place in a queue, the lowest first. Of the same priority, what is `bulk` goes later: one radiograph must not wait
    /// for the two thousand slices of a study.
    pub(crate) fn rank(self, bulk: bool) -> i64 {
        self.number().saturating_mul(2).saturating_add(i64::from(bulk))
    }
}
