use dokuei_types::Band;

use super::letters::NO_BREAK;
use crate::{Change, Changed, Explanation, Trend, UNCHANGED_WITHIN_POINTS};

/// The language of the words drawn into the secondary capture. The report is coded, and its texts are English
/// whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Japanese.
    Japanese,
}

/// Lines break at spaces only.
pub(super) struct Words {
    /// What stands before a percentage.
    pub(super) certainty: &'static str,
    /// What stands before the model's name.
    pub(super) model: &'static str,
    /// In place of a model's name that cannot be written.
    pub(super) see_report: &'static str,
    /// In place of a condition's name that cannot be written.
    pub(super) finding: &'static str,
    pub(super) warning: &'static str,
}

const ENGLISH: Words = Words {
    certainty: "certainty",
    model: "AI model",
    see_report: "named in the report",
    finding: "Finding",
    warning: "AI output, not\u{a0}verified, not\u{a0}for\u{a0}diagnosis",
};

const JAPANESE: Words = Words {
    certainty: "確信度",
    model: "AIモデル",
    see_report: "報告書に記載",
    finding: "所見",
    warning: "AI出力 医師未確認 診断には使用不可",
};

/// Conditions as chest radiographs are read for, by the meaning of their codes.
const CONDITIONS: [(&str, &str); 22] = [
    ("Atelectasis", "無気肺"),
    ("Cardiomegaly", "心拡大"),
    ("Consolidation", "浸潤影"),
    ("Effusion", "胸水"),
    ("Emphysema", "肺気腫"),
    ("Fibrosis", "肺線維症"),
    ("Fracture", "骨折"),
    ("Ground glass opacity", "すりガラス影"),
    ("Infiltrate", "浸潤影"),
    ("Infiltration", "浸潤影"),
    ("Lung nodule", "肺結節"),
    ("Mass", "腫瘤"),
    ("Nodule", "結節"),
    ("Opacity", "陰影"),
    ("Pleural effusion", "胸水"),
    ("Pleural thickening", "胸膜肥厚"),
    ("Pneumonia", "肺炎"),
    ("Pneumothorax", "気胸"),
    ("Pulmonary edema", "肺水腫"),
    ("Pulmonary emphysema", "肺気腫"),
    ("Pulmonary nodule", "肺結節"),
    ("Tuberculosis", "結核"),
];

impl Language {
    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Japanese => &JAPANESE,
        }
    }

    pub(super) fn band(self, band: Band) -> &'static str {
        match (self, band) {
            (Self::English, band) => band.as_str(),
            (Self::Japanese, Band::Low) => "低",
            (Self::Japanese, Band::Medium) => "中",
            (Self::Japanese, Band::High) => "高",
        }
    }

    /// What was said of a finding before, and what became of it.
    pub(super) fn changed(self, changed: &Changed<'_>) -> String {
        let (certainty, date, change) = (changed.certainty(), changed.date, changed.change);
        match self {
            Self::English => format!("earlier {certainty}{NO_BREAK}% on {date}, {change}"),
            Self::Japanese => format!("前回 {certainty}{NO_BREAK}% ({date}) {}", in_japanese(change)),
        }
    }

    /// What the colours of a map measure, in a few words.
    pub(super) fn map_title(self, explanation: Explanation) -> &'static str {
        let [english, japanese] = match explanation {
            Explanation::ClassActivation | Explanation::GradientClassActivation => ["class activation", "クラス活性化"],
            Explanation::Saliency => ["saliency", "顕著性"],
            Explanation::Occlusion => ["occlusion sensitivity", "遮蔽感度"],
            Explanation::ModelOutput | Explanation::None => ["model map", "モデル出力"],
        };
        match self {
            Self::English => english,
            Self::Japanese => japanese,
        }
    }

    /// A condition's name; as it stands where there is no translation.
    pub(super) fn condition(self, meaning: &str) -> &str {
        let known = CONDITIONS.iter().find(|(english, _)| english.eq_ignore_ascii_case(meaning));
        match (self, known) {
            (Self::Japanese, Some((_, japanese))) => japanese,
            _ => meaning,
        }
    }
}

fn in_japanese(change: Change) -> String {
    let points = change.points();
    match change.trend() {
        Trend::Increased => format!("{points:.1}ポイント上昇"),
        Trend::Unchanged => format!("{UNCHANGED_WITHIN_POINTS}ポイント以内で変化なし ({points:+.1})"),
        Trend::Decreased => format!("{:.1}ポイント低下", points.abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::letters::can_write;
    use super::*;

    #[test]
    fn the_fonts_have_every_character_that_is_used() {
        for language in [Language::English, Language::Japanese] {
            let Words { certainty, model, see_report, finding, warning } = language.words();
            let bands = [Band::Low, Band::Medium, Band::High].map(|band| language.band(band));
            let titles = [
                Explanation::ClassActivation,
                Explanation::GradientClassActivation,
                Explanation::Saliency,
                Explanation::Occlusion,
                Explanation::ModelOutput,
                Explanation::None,
            ]
            .map(|explanation| language.map_title(explanation));
            let names = CONDITIONS.map(|(english, _)| language.condition(english));
            let before = crate::testing::finding("pneumonia", 0.5);
            for after in [0.1, 0.5, 0.9] {
                let (date, change) = (jiff::civil::date(2025, 11, 20), Change::between(before.probability, after));
                let text = language.changed(&Changed { before: &before, date, change });
                assert!(can_write(&text), "{text}");
            }
            let words = [*certainty, model, see_report, finding, warning];
            for text in words.into_iter().chain(bands).chain(titles).chain(names) {
                assert!(can_write(text), "{text}");
            }
        }
    }

    #[test]
    fn conditions_are_found_whatever_their_case() {
        assert_eq!(Language::Japanese.condition("pleural Effusion"), "胸水");
        assert_eq!(Language::English.condition("pleural Effusion"), "pleural Effusion");
        assert_eq!(Language::Japanese.condition("Rare thing"), "Rare thing");
    }
}
