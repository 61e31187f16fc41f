//! Which presentation contexts to propose for what is to be sent.

use dicom_dictionary_std::uids;
use dokuei_types::Uid;

/// Contexts one association can have: their IDs are the odd numbers of one byte (PS3.8 § 7.1.1.13).
pub const CONTEXTS_MAX: usize = 128;

/// One context to propose: a SOP class, and the transfer syntaxes the peer may choose from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProposedContext {
    /// Abstract syntax.
    pub abstract_syntax: Uid,
    /// In our order of preference.
    pub transfer_syntaxes: Vec<Uid>,
}

impl ProposedContext {
    /// Exactly this SOP class in this transfer syntax: what sends an object as it is.
    #[must_use]
    pub fn of(sop_class: Uid, transfer_syntax: Uid) -> Self {
        Self { abstract_syntax: sop_class, transfer_syntaxes: vec![transfer_syntax] }
    }

    /// Verification in the two uncompressed little endian syntaxes.
    #[must_use]
    pub fn verification() -> Self {
        Self::plain(uids::VERIFICATION)
    }

    /// Storage Commitment Push Model in the two uncompressed little endian syntaxes.
    #[must_use]
    pub fn storage_commitment() -> Self {
        Self::plain(uids::STORAGE_COMMITMENT_PUSH_MODEL)
    }

    /// An information model for C-FIND, C-MOVE or C-GET (PS3.4 § C.6) in the two uncompressed little endian syntaxes.
    #[must_use]
    pub fn information_model(model: Uid) -> Self {
        Self { abstract_syntax: model, ..Self::verification() }
    }

    fn plain(abstract_syntax: &str) -> Self {
        let known = |uid| Uid::new(uid).expect("a UID of the standard");
        Self {
            abstract_syntax: known(abstract_syntax),
            transfer_syntaxes: vec![known(uids::IMPLICIT_VR_LITTLE_ENDIAN), known(uids::EXPLICIT_VR_LITTLE_ENDIAN)],
        }
    }
}

/// Contexts for everything that is to be sent, split so that each part fits one association.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextPlan {
    /// One entry for each association, of 1 to 128 contexts.
    pub associations: Vec<Vec<ProposedContext>>,
}

impl ContextPlan {
    /// The association (index into `associations`) that an object is to be sent over.
    #[must_use]
    pub fn association_of(&self, sop_class: &Uid, transfer_syntax: &Uid) -> Option<usize> {
        self.associations.iter().position(|contexts| {
            contexts.iter().any(|context| {
                context.abstract_syntax == *sop_class && context.transfer_syntaxes.contains(transfer_syntax)
            })
        })
    }
}

/// Plans one context for each pair of SOP class and transfer syntax, in the order they first come.
#[must_use]
pub fn plan_contexts<'a>(items: impl IntoIterator<Item = (&'a Uid, &'a Uid)>) -> ContextPlan {
    let mut seen = std::collections::HashSet::new();
    let contexts: Vec<ProposedContext> = items
        .into_iter()
        .filter(|pair| seen.insert(*pair))
        .map(|(sop_class, transfer_syntax)| ProposedContext::of(sop_class.clone(), transfer_syntax.clone()))
        .collect();
    ContextPlan { associations: contexts.chunks(CONTEXTS_MAX).map(<[_]>::to_vec).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn just_what_is_sent_and_no_more_than_fits() {
        let classes: Vec<Uid> = (0..150).map(|n| Uid::new(&format!("1.2.{n}")).unwrap()).collect();
        let syntax = Uid::new(uids::EXPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let plan = plan_contexts(classes.iter().chain(&classes).map(|class| (class, &syntax)));
        assert_eq!(plan.associations.iter().map(Vec::len).collect::<Vec<_>>(), [128, 22]);
        assert_eq!(plan.association_of(&classes[127], &syntax), Some(0));
        assert_eq!(plan.association_of(&classes[128], &syntax), Some(1));
        assert_eq!(plan.association_of(&classes[0], &classes[0]), None);
        assert!(plan_contexts([]).associations.is_empty());
    }
}
