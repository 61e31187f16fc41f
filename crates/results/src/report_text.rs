use std::fmt::Write;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dokuei_dataset::{CharacterSets, Dataset};

use crate::SrClass;

/// A Structured Report as people read it: a heading, whom and what it is about, then the tree, an item a line.
///
/// It reads any content tree (PS3.3 C.17.3), not only ours; what it has no words for it names.
#[must_use]
pub fn report_text(report: &Dataset) -> String {
    let reader = Reader::of(report);
    let mut out = String::new();
    reader.heading(report, &mut out);
    reader.children(report, 0, &mut out);
    out
}

/// Reads the texts of a data set.
pub(crate) struct Reader {
    /// The items' texts are in the sets of the data set around them.
    sets: CharacterSets,
}

/// Deeper trees than this are cut; none of the standard's templates comes near.
const DEPTH_MAX: usize = 32;

impl Reader {
    pub(crate) fn of(data: &Dataset) -> Self {
        Self { sets: CharacterSets::of(data) }
    }

    fn heading(&self, report: &Dataset, out: &mut String) {
        let class = match report.uid(tags::SOP_CLASS_UID).as_ref().and_then(|uid| SrClass::from_uid(uid.as_str())) {
            Some(SrClass::Comprehensive3D) => "Comprehensive 3D SR",
            Some(SrClass::Comprehensive) => "Comprehensive SR",
            Some(SrClass::Enhanced) => "Enhanced SR",
            None if is_key_object_selection(report) => "Key Object Selection",
            None => "SR",
        };
        let title = self.name(report);
        let flags: Vec<String> =
            [tags::COMPLETION_FLAG, tags::VERIFICATION_FLAG, tags::PRELIMINARY_FLAG, tags::CONTENT_QUALIFICATION]
                .into_iter()
                .filter_map(|tag| self.text(report, tag))
                .collect();
        // Writing to a String cannot fail.
        writeln!(out, "{title} ({class}; {})", flags.join(", ").to_lowercase()).ok();
        self.circumstances(report, out);
    }

    /// Whom an object is about, and when and by whom it was made.
    pub(crate) fn circumstances(&self, object: &Dataset, out: &mut String) {
        let text = |tag| self.text(object, tag).unwrap_or_else(|| "-".to_owned());
        let when =
            |date, time| format!("{} {}", spaced(&text(date), '-', [4, 2, 2]), spaced(&text(time), ':', [2, 2, 2]));
        let made = match object.contains(tags::PRESENTATION_CREATION_DATE) {
            true => when(tags::PRESENTATION_CREATION_DATE, tags::PRESENTATION_CREATION_TIME),
            false => when(tags::CONTENT_DATE, tags::CONTENT_TIME),
        };
        let lines = [
            format!("Patient    {}, ID {}", person(&text(tags::PATIENT_NAME)), text(tags::PATIENT_ID)),
            format!(
                "Study      {}, {}, accession {}",
                when(tags::STUDY_DATE, tags::STUDY_TIME),
                text(tags::STUDY_DESCRIPTION),
                text(tags::ACCESSION_NUMBER)
            ),
            format!("Made       {made} by {} {}", text(tags::MANUFACTURER_MODEL_NAME), text(tags::SOFTWARE_VERSIONS)),
        ];
        for line in lines {
            out.push_str(&line);
            out.push('\n');
        }
        out.push('\n');
    }

    fn children(&self, item: &Dataset, depth: usize, out: &mut String) {
        if depth >= DEPTH_MAX {
            out.push_str(&"  ".repeat(depth));
            out.push_str("(deeper items are not shown)\n");
            return;
        }
        for child in item.items(tags::CONTENT_SEQUENCE) {
            let value = self.value(child);
            let mut lines = value.lines().map(str::trim_end);
            let first = lines.next().unwrap_or_default();
            let colon = if first.is_empty() { "" } else { ": " };
            // Writing to a String cannot fail.
            writeln!(out, "{:indent$}{}{colon}{first}", "", self.name(child), indent = depth * 2).ok();
            for line in lines {
                writeln!(out, "{:indent$}{line}", "", indent = depth * 2 + 4).ok();
            }
            self.children(child, depth + 1, out);
        }
    }

    fn name(&self, item: &Dataset) -> String {
        let name = item.items(tags::CONCEPT_NAME_CODE_SEQUENCE).first();
        name.map_or_else(|| self.nameless(item).to_owned(), |code| self.code(code))
    }

    /// What an item is called that has no name, as the objects of a key object selection have none (PS3.16 TID 2010).
    fn nameless(&self, item: &Dataset) -> &'static str {
        match self.text(item, tags::VALUE_TYPE).as_deref() {
            Some("IMAGE") => "Image",
            Some("COMPOSITE") => "Object",
            Some("WAVEFORM") => "Waveform",
            _ => "(unnamed)",
        }
    }

    /// The meaning, or the value where there is no meaning.
    pub(crate) fn code(&self, code: &Dataset) -> String {
        [tags::CODE_MEANING, tags::CODE_VALUE, tags::LONG_CODE_VALUE, tags::URN_CODE_VALUE]
            .into_iter()
            .find_map(|tag| self.text(code, tag))
            .unwrap_or_else(|| "(no code)".to_owned())
    }

    fn value(&self, item: &Dataset) -> String {
        let text = |tag| self.text(item, tag).unwrap_or_default();
        let kind = text(tags::VALUE_TYPE);
        match kind.as_str() {
            "CONTAINER" => String::new(),
            "TEXT" => text(tags::TEXT_VALUE),
            "CODE" => item.items(tags::CONCEPT_CODE_SEQUENCE).first().map(|c| self.code(c)).unwrap_or_default(),
            "NUM" => self.number(item),
            "UIDREF" => text(tags::UID),
            "PNAME" => person(&text(tags::PERSON_NAME)),
            "DATE" => spaced(&text(tags::DATE), '-', [4, 2, 2]),
            "TIME" => spaced(&text(tags::TIME), ':', [2, 2, 2]),
            "DATETIME" => text(tags::DATE_TIME),
            "IMAGE" | "COMPOSITE" | "WAVEFORM" => self.reference(item),
            "SCOORD" | "SCOORD3D" => self.coordinates(item),
            "" => reference_within(item),
            other => format!("({other})"),
        }
    }

    fn number(&self, item: &Dataset) -> String {
        let Some(measured) = item.items(tags::MEASURED_VALUE_SEQUENCE).first() else {
            return "(no value)".to_owned();
        };
        let unit = measured.items(tags::MEASUREMENT_UNITS_CODE_SEQUENCE).first();
        let unit = unit.and_then(|code| self.text(code, tags::CODE_VALUE)).unwrap_or_default();
        let value = self.text(measured, tags::NUMERIC_VALUE).unwrap_or_default();
        // Units of UCUM in braces are annotations, and 1 is no unit.
        match unit.trim_matches(['{', '}']) {
            "" | "1" => value,
            unit => format!("{value} {unit}"),
        }
    }

    fn reference(&self, item: &Dataset) -> String {
        let reference = item.items(tags::REFERENCED_SOP_SEQUENCE).first();
        reference.map_or_else(|| "(no reference)".to_owned(), |reference| self.instance(reference))
    }

    /// The instance that an item refers to, and its frames where it names some.
    pub(crate) fn instance(&self, reference: &Dataset) -> String {
        let instance = self.text(reference, tags::REFERENCED_SOP_INSTANCE_UID).unwrap_or_default();
        let frames = self.text(reference, tags::REFERENCED_FRAME_NUMBER);
        let frames = frames.map(|f| format!(", frame {}", f.replace('\\', ", "))).unwrap_or_default();
        format!("{instance}{frames}")
    }

    /// The shape and the rectangle around it, since nobody reads a hundred vertices.
    pub(crate) fn coordinates(&self, item: &Dataset) -> String {
        let shape = self.text(item, tags::GRAPHIC_TYPE).unwrap_or_default().to_lowercase();
        let values = item.floats(tags::GRAPHIC_DATA);
        let (points, rest) = values.as_chunks::<2>();
        let Some(([x, y], true)) = points.first().map(|first| (*first, rest.is_empty())) else {
            return format!("{shape}, {} numbers", values.len());
        };
        let (mut low, mut high) = ([x, y], [x, y]);
        for [x, y] in points {
            low = [low[0].min(*x), low[1].min(*y)];
            high = [high[0].max(*x), high[1].max(*y)];
        }
        let ([left, top], [right, bottom]) = (low, high);
        format!("{shape} of {} points, columns {left:.0} to {right:.0}, rows {top:.0} to {bottom:.0}", points.len())
    }

    /// A value without what would command a terminal; lines stay.
    pub(crate) fn text(&self, item: &Dataset, tag: Tag) -> Option<String> {
        let text = item.text_in(tag, &self.sets)?.replace("\r\n", "\n").replace('\r', "\n");
        Some(text.replace(|character: char| character.is_control() && character != '\n', " "))
    }
}

fn is_key_object_selection(report: &Dataset) -> bool {
    report.text(tags::SOP_CLASS_UID).as_deref() == Some(uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE)
}

/// A person's name with spaces between the components it has.
fn person(name: &str) -> String {
    let group = |group: &str| group.split('^').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    name.split('=').map(group).collect::<Vec<_>>().join("=")
}

/// An item given by reference: where it stands in the tree, counted from 1 at each level (PS3.3 C.17.3.2.5).
fn reference_within(item: &Dataset) -> String {
    let place: Vec<String> =
        item.ints(tags::REFERENCED_CONTENT_ITEM_IDENTIFIER).iter().map(ToString::to_string).collect();
    format!("(see item {})", place.join("."))
}

/// DA or TM with separators; anything else, a part of a time included, as it is.
fn spaced(text: &str, separator: char, parts: [usize; 3]) -> String {
    let whole = text.split('.').next().unwrap_or(text);
    if whole.len() != parts.iter().sum::<usize>() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut rest = whole;
    parts
        .iter()
        .filter_map(|length| {
            let (part, tail) = rest.split_at_checked(*length)?;
            rest = tail;
            Some(part)
        })
        .collect::<Vec<_>>()
        .join(&separator.to_string())
}
