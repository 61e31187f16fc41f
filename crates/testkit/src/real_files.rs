use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of real files and validators that is not part of the product: `DOKUEI_SHARED`, or `shared` beside the
/// workspace. `None`, with a line that says so, where there is none.
#[must_use]
pub fn real_files() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("DOKUEI_SHARED").map_or(beside, PathBuf::from);
    if folder.join("data/dicom/MANIFEST.csv").is_file() {
        return Some(folder);
    }
    println!("skipped: no folder of real files (set DOKUEI_SHARED)");
    None
}

/// The real DICOM files among them.
#[must_use]
pub fn real_dicom() -> Option<PathBuf> {
    real_files().map(|folder| folder.join("data/dicom"))
}

/// What the manifest in a folder says of each file, by the names in its first line; none where it cannot be read.
#[must_use]
pub fn manifest(folder: &Path) -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(folder.join("MANIFEST.csv")).unwrap_or_default();
    let mut lines = text.lines().map(fields);
    let names = lines.next().unwrap_or_default();
    lines.map(|values| names.iter().cloned().zip(values).collect()).collect()
}

/// The fields of a line of CSV, which may be quoted.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => {
                if let Some(field) = fields.last_mut() {
                    field.push(character);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    #[test]
    fn quoted_commas_separate_nothing() {
        assert_eq!(super::fields("a,\"b, c\",,d"), ["a", "b, c", "", "d"]);
    }
}
