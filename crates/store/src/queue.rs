use std::ops::{Deref, DerefMut};

use crate::error::StoreError;
use crate::waiting::Waiting;
use crate::writer::Request;

/// A request in the writer's queue.
pub(crate) enum Queued {
    /// In the memory of the queue itself: many wait when many arrive.
    Arrival(Waiting),
    Other(Box<dyn Request>),
}

impl Queued {
    /// Tells it what came of it, once it is durable or certain not to be.
    pub(crate) fn finish(self, outcome: Result<(), StoreError>) {
        match self {
            Self::Arrival(waiting) => Box::new(waiting).finish(outcome),
            Self::Other(request) => request.finish(outcome),
        }
    }
}

impl<R: Request + 'static> From<R> for Queued {
    fn from(request: R) -> Self {
        Self::Other(Box::new(request))
    }
}

impl Deref for Queued {
    type Target = dyn Request;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Arrival(waiting) => waiting,
            Self::Other(request) => request.as_ref(),
        }
    }
}

impl DerefMut for Queued {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Arrival(waiting) => waiting,
            Self::Other(request) => request.as_mut(),
        }
    }
}
