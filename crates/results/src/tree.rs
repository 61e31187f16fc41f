//! Content items as data (PS3.3 C.17.3), and their encoding. Every item of a report has a concept name: some
//! viewers cannot read a tree with an anonymous one. Those of a key object note must not have one.

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dokuei_dataset::Dataset;
use dokuei_types::Uid;

use crate::codes::Concept;
use crate::header::{OwnText, Reference, reference_item};

/// How an item relates to the one it is in (PS3.3 C.17.3.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relationship {
    Contains,
    HasConceptMod,
    HasObsContext,
    HasAcqContext,
    InferredFrom,
    SelectedFrom,
}

impl Relationship {
    fn term(self) -> &'static str {
        match self {
            Self::Contains => "CONTAINS",
            Self::HasConceptMod => "HAS CONCEPT MOD",
            Self::HasObsContext => "HAS OBS CONTEXT",
            Self::HasAcqContext => "HAS ACQ CONTEXT",
            Self::InferredFrom => "INFERRED FROM",
            Self::SelectedFrom => "SELECTED FROM",
        }
    }
}

/// The values that the templates here use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A heading; its Template Identifier if a template starts here.
    Container {
        template: Option<&'static str>,
    },
    Text(String),
    Code(Concept),
    /// A decimal string and its unit.
    Number {
        value: String,
        unit: Concept,
    },
    /// DA.
    Date(String),
    Uid(Uid),
    Image(Reference),
    /// An instance that is no image.
    Composite(Reference),
    /// `[column, row]` vertices in pixels of the image, closed.
    Polyline(Vec<[f32; 2]>),
}

/// A content item and what is in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) relationship: Relationship,
    pub(crate) name: Option<Concept>,
    pub(crate) value: Value,
    pub(crate) children: Vec<Item>,
}

impl Item {
    pub(crate) fn new(relationship: Relationship, name: Concept, value: Value) -> Self {
        Self { relationship, name: Some(name), value, children: Vec::new() }
    }

    /// An item whose value says all, as the references of a key object note (PS3.16 TID 2010).
    pub(crate) fn unnamed(relationship: Relationship, value: Value) -> Self {
        Self { relationship, name: None, value, children: Vec::new() }
    }

    /// A heading in another heading.
    pub(crate) fn heading(name: Concept, template: Option<&'static str>) -> Self {
        Self::new(Relationship::Contains, name, Value::Container { template })
    }

    pub(crate) fn with(mut self, child: Item) -> Self {
        self.children.push(child);
        self
    }

    pub(crate) fn with_all(mut self, children: impl IntoIterator<Item = Item>) -> Self {
        self.children.extend(children);
        self
    }

    /// Every instance the item and what is in it refer to, in the order of the tree.
    pub(crate) fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        let mut rest = vec![self];
        while let Some(item) = rest.pop() {
            if let Value::Image(reference) | Value::Composite(reference) = &item.value {
                found.push(reference);
            }
            rest.extend(item.children.iter().rev());
        }
        found
    }

    /// Writes the item's own attributes into `data`: the root goes into the data set itself.
    pub(crate) fn put(&self, data: &mut Dataset, text: OwnText) {
        data.put_text(tags::VALUE_TYPE, VR::CS, self.value_type());
        if let Some(name) = &self.name {
            data.put_items(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![code_item(name, &text)]);
        }
        self.put_value(data, text);
        if !self.children.is_empty() {
            // Depth is the templates', never the input's.
            let children = self.children.iter().map(|child| child.encode(text)).collect();
            data.put_items(tags::CONTENT_SEQUENCE, children);
        }
    }

    fn encode(&self, text: OwnText) -> Dataset {
        let mut item = Dataset::new();
        item.put_text(tags::RELATIONSHIP_TYPE, VR::CS, self.relationship.term());
        self.put(&mut item, text);
        item
    }

    fn value_type(&self) -> &'static str {
        match self.value {
            Value::Container { .. } => "CONTAINER",
            Value::Text(_) => "TEXT",
            Value::Code(_) => "CODE",
            Value::Number { .. } => "NUM",
            Value::Date(_) => "DATE",
            Value::Uid(_) => "UIDREF",
            Value::Image(_) => "IMAGE",
            Value::Composite(_) => "COMPOSITE",
            Value::Polyline(_) => "SCOORD",
        }
    }

    fn put_value(&self, data: &mut Dataset, text: OwnText) {
        match &self.value {
            Value::Container { template } => {
                data.put_text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
                if let Some(template) = template {
                    data.put_items(tags::CONTENT_TEMPLATE_SEQUENCE, vec![template_item(template)]);
                }
            }
            Value::Text(value) => data.put_text(tags::TEXT_VALUE, VR::UT, &text.fit(value, VR::UT)),
            Value::Code(code) => data.put_items(tags::CONCEPT_CODE_SEQUENCE, vec![code_item(code, &text)]),
            Value::Number { value, unit } => {
                let mut measured = Dataset::new();
                measured.put_text(tags::NUMERIC_VALUE, VR::DS, value);
                measured.put_items(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![code_item(unit, &text)]);
                data.put_items(tags::MEASURED_VALUE_SEQUENCE, vec![measured]);
            }
            Value::Date(date) => data.put_text(tags::DATE, VR::DA, date),
            Value::Uid(uid) => data.put_text(tags::UID, VR::UI, uid.as_str()),
            Value::Image(reference) | Value::Composite(reference) => {
                data.put_items(tags::REFERENCED_SOP_SEQUENCE, vec![reference_item(reference)]);
            }
            Value::Polyline(vertices) => {
                data.put_text(tags::GRAPHIC_TYPE, VR::CS, "POLYLINE");
                data.put_f32(tags::GRAPHIC_DATA, vertices.as_flattened());
            }
        }
    }
}

/// Content Template Sequence (PS3.3 C.18.8.1.2), mapping resource DCMR.
fn template_item(template: &str) -> Dataset {
    let mut item = Dataset::new();
    item.put_text(tags::MAPPING_RESOURCE, VR::CS, "DCMR");
    item.put_text(tags::TEMPLATE_IDENTIFIER, VR::CS, template);
    item
}

/// A code sequence item (PS3.3 § 8.1, § 8.2): a value of more than 16 characters goes into Long Code Value,
/// one that is a URN or URL into URN Code Value.
pub(crate) fn code_item(code: &Concept, text: &OwnText) -> Dataset {
    let mut item = Dataset::new();
    let value = text.fit(&code.value, VR::UC);
    let is_urn = value.starts_with("urn:") || value.contains("://");
    if is_urn {
        item.put_text(tags::URN_CODE_VALUE, VR::UR, &value);
    } else if value.chars().count() > 16 {
        item.put_text(tags::LONG_CODE_VALUE, VR::UC, &value);
    } else {
        item.put_text(tags::CODE_VALUE, VR::SH, &value);
    }
    // A URN names its scheme itself (PS3.3 § 8.2).
    if !is_urn || !code.scheme.is_empty() {
        item.put_text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, &text.fit(&code.scheme, VR::SH));
    }
    item.put_text(tags::CODE_MEANING, VR::LO, &text.fit(&code.meaning, VR::LO));
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use dokuei_types::Code;

    fn plain() -> OwnText {
        OwnText::of(&Dataset::new())
    }

    #[test]
    fn a_code_value_goes_where_its_length_allows() {
        let check = |value: &str, tag| {
            let item = code_item(&Concept::from(&Code::new(value, "99X", "m")), &plain());
            assert_eq!(item.text(tag).as_deref(), Some(value));
            assert_eq!(item.len(), 3);
        };
        check("233604007", tags::CODE_VALUE);
        check("12345678901234567", tags::LONG_CODE_VALUE);
        check("urn:oid:1.2.3", tags::URN_CODE_VALUE);
    }

    #[test]
    fn references_come_in_the_order_of_the_tree() {
        let image = |uid: &str| {
            let reference = Reference {
                study: Uid::new("1").unwrap(),
                series: Uid::new("2").unwrap(),
                sop_class: Uid::new("3").unwrap(),
                sop_instance: Uid::new(uid).unwrap(),
                frame: None,
            };
            Item::new(Relationship::Contains, codes::SOURCE, Value::Image(reference))
        };
        let tree = Item::heading(codes::IMAGE_LIBRARY, None)
            .with(Item::heading(codes::IMAGE_LIBRARY_GROUP, None).with(image("1.1")).with(image("1.2")))
            .with(image("1.3"));
        let uids: Vec<_> = tree.references().iter().map(|r| r.sop_instance.as_str()).collect();
        assert_eq!(uids, ["1.1", "1.2", "1.3"]);
    }
}
