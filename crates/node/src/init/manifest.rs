//! The text of a `model.toml`.

use std::fmt::Write as _;

use uuid::Uuid;

use super::answers::{Answers, Finding};

/// Side and distance of the squares of an occlusion map, as shares of the tensor: some hundred runs an image.
const SQUARES: usize = 14;

/// Everything but `[selftest]`.
pub(crate) fn text(answers: &Answers, weights_sha256: &str) -> String {
    let Answers { name, version, vendor, licence, intended_use, when, input, output, geometry, .. } = answers;
    let mut text = format!(
        "format = 1\n\n[model]\nname = {}\nversion = {}\nvendor = {}\nlicence = {}\n\
         # A new one for every release.\ndevice_uid = \"2.25.{}\"\nweights_sha256 = \"{weights_sha256}\"\n\
         intended_use = {}\nqualification = \"research\"\n\n\
         # Say here which images it must not see; limits of quality are listed in docs/model-package.md.\n\
         [accepts]\nwhen = [{}]\n\n[graph]\ninput = {}\noutput = {}\n\n",
        quoted(name),
        quoted(version),
        quoted(vendor),
        quoted(licence),
        Uuid::new_v4().as_u128(),
        quoted(intended_use),
        when.iter().map(|condition| quoted(condition)).collect::<Vec<_>>().join(", "),
        quoted(input),
        quoted(output),
    );
    let Answers { channels, height, width, mean, scale, .. } = answers;
    // Writing to a String cannot fail.
    write!(
        text,
        "[input]\nchannels = {channels}\nheight = {height}\nwidth = {width}\ngeometry = {}\nresampling = \"bilinear\"\n\
         intensity = \"voi\"\nmean = {mean:?}\nscale = {scale:?}\n\n",
        quoted(geometry)
    )
    .ok();
    for finding in &answers.findings {
        text.push_str(&section(finding, &answers.activation));
    }
    text.push_str(&explanation(answers));
    text
}

fn section(finding: &Finding, activation: &str) -> String {
    let Finding { name, index, threshold } = finding;
    let name = machine_name(name);
    let calibration = match threshold {
        Some(threshold) => {
            format!(
                "# 50 % is where its maker says that it counts as present.\ncalibration = {{ points = [[0.0, 0.0], [{threshold:?}, 0.5], [1.0, 1.0]] }}\n"
            )
        }
        None => "# Not calibrated: `dokuei models evaluate` shows what its percentages are worth.\n".to_owned(),
    };
    // Designators that begin with 99 are private.
    format!(
        "[[finding]]\nname = {}\nindex = {index}\nactivation = {}\n{calibration}\
         # A code of this package; put a standard one in its place, such as SNOMED CT's (scheme \"SCT\").\n\
         concept = {{ value = {}, scheme = \"99DOKUEI\", meaning = {} }}\n\
         bands = {{ medium = 0.3, high = 0.65 }}\nmarking_threshold = 0.5\n\n",
        quoted(&name),
        quoted(activation),
        quoted(&code_value(&name)),
        quoted(&meaning(&finding.name)),
    )
}

fn explanation(answers: &Answers) -> String {
    match &answers.head {
        Some(head) => format!(
            "# Set full_scale to the map's usual peak on positive images, so that weak evidence looks weak.\n\
             [explanation]\nkind = \"cam\"\nfeatures = {}\nweights = {}\n",
            quoted(&head.features),
            quoted(&head.weights)
        ),
        None => {
            let (height, width) = (answers.height, answers.width);
            match stride(height, width) {
                Some(stride) => format!(
                    "# Hides one square after another: many runs, and only where a finding is marked.\n\
                     [explanation]\nkind = \"occlusion\"\npatch = {}\nstride = {stride}\n",
                    (stride * 3 / 2).min(height.min(width))
                ),
                None => "[explanation]\nkind = \"none\"\n".to_owned(),
            }
        }
    }
}

/// The smallest divisor of both sides that keeps to a bearable number of runs.
fn stride(height: usize, width: usize) -> Option<usize> {
    let longer = height.max(width);
    (1..=height.min(width))
        .find(|stride| height.is_multiple_of(*stride) && width.is_multiple_of(*stride) && longer / stride <= SQUARES)
}

/// As `[a-z0-9_-]+`.
fn machine_name(name: &str) -> String {
    name.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// For people: the words of the name.
fn meaning(name: &str) -> String {
    let words = name.trim().replace(['_', '-'], " ").to_lowercase();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// At most 16 characters (SH, PS3.5 § 6.2).
fn code_value(name: &str) -> String {
    name.to_uppercase().chars().take(16).collect()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use dokuei_inference::{Explanation, Head, Manifest};

    use super::*;

    fn answers(head: Option<Head>) -> Answers {
        Answers {
            name: "mine".into(),
            version: "1".into(),
            vendor: "Somebody \"and\" sons".into(),
            licence: "MIT".into(),
            intended_use: "tests".into(),
            when: vec!["modality in ['CR', 'DX']".into()],
            input: "image".into(),
            output: "scores".into(),
            channels: 3,
            height: 224,
            width: 448,
            geometry: "crop".into(),
            mean: vec![0.485, 0.456, 0.406],
            scale: vec![0.229, 0.224, 0.225],
            findings: vec![
                Finding { name: "Pleural_Thickening".into(), index: 9, threshold: Some(0.0263) },
                Finding { name: "Enlarged Cardiomediastinum".into(), index: 17, threshold: None },
            ],
            activation: "sigmoid".into(),
            head,
        }
    }

    #[test]
    fn what_is_written_is_a_manifest() {
        let head = Head {
            features: "features".into(),
            weights: "classifier.weight".into(),
            output: "scores".into(),
            end: "scores".into(),
            classes: 18,
            activation: None,
        };
        for head in [Some(head), None] {
            let text = text(&answers(head.clone()), &"0".repeat(64));
            let manifest = Manifest::parse(&text, "model.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(manifest.model.vendor, "Somebody \"and\" sons");
            assert_eq!((manifest.input.channels, manifest.input.height, manifest.input.width), (3, 224, 448));
            let names: Vec<(&str, usize, &str)> = manifest
                .findings
                .iter()
                .map(|finding| (finding.name.as_str(), finding.index, finding.concept.meaning.as_str()))
                .collect();
            let expected = [
                ("pleural_thickening", 9, "Pleural thickening"),
                ("enlarged_cardiomediastinum", 17, "Enlarged cardiomediastinum"),
            ];
            assert_eq!(names, expected);
            match (head, manifest.explanation) {
                (Some(_), Explanation::Cam { features, .. }) => assert_eq!(features, "features"),
                (None, Explanation::Occlusion { patch, stride, .. }) => assert_eq!((patch, stride), (48, 32)),
                (_, other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn squares_divide_both_sides() {
        assert_eq!((stride(224, 224), stride(512, 256), stride(320, 320)), (Some(16), Some(64), Some(32)));
        assert_eq!(stride(331, 331), Some(331));
        assert_eq!(stride(331, 224), None);
    }
}
