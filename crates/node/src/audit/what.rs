use dokuei_store::JOURNAL_WORDS;

/// What happens around the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Started,
    Stopped,
    Reloaded,
    AssociationOpened,
    AssociationClosed,
    AssociationRefused,
    CommitmentAsked,
    CommitmentTold,
    CommitmentGivenUp,
    ProcedureStep,
    InstancesAvailable,
    /// A file was full.
    Continued,
    /// Lines could not be written.
    Lost,
}

impl What {
    const ALL: [Self; 13] = [
        Self::Started,
        Self::Stopped,
        Self::Reloaded,
        Self::AssociationOpened,
        Self::AssociationClosed,
        Self::AssociationRefused,
        Self::CommitmentAsked,
        Self::CommitmentTold,
        Self::CommitmentGivenUp,
        Self::ProcedureStep,
        Self::InstancesAvailable,
        Self::Continued,
        Self::Lost,
    ];

    /// The word in the trail.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Reloaded => "reloaded",
            Self::AssociationOpened => "association_opened",
            Self::AssociationClosed => "association_closed",
            Self::AssociationRefused => "association_refused",
            Self::CommitmentAsked => "commitment_asked",
            Self::CommitmentTold => "commitment_told",
            Self::CommitmentGivenUp => "commitment_given_up",
            Self::ProcedureStep => "procedure_step",
            Self::InstancesAvailable => "instances_available",
            Self::Continued => "continued",
            Self::Lost => "lost",
        }
    }
}

/// All words for events that a trail may have, what happens to instances included.
pub(crate) fn words() -> Vec<&'static str> {
    What::ALL.map(What::as_str).into_iter().chain(JOURNAL_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_is_explained() {
        let docs = include_str!("../../../../docs/audit.md");
        let table = docs.split("| event | when | further |").nth(1).unwrap().split("\n\n").next().unwrap();
        let cells = table.lines().filter_map(|row| row.split('|').nth(1));
        let explained: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        assert_eq!(explained.iter().collect::<BTreeSet<_>>(), words().iter().collect::<BTreeSet<_>>());
        assert_eq!(explained.len(), words().len(), "each once");
    }
}
