use std::path::Path;

/// Compares a section of a document of the workspace with what the code says, between the lines
/// `<!-- begin NAME -->` and `<!-- end NAME -->`. With `DOKUEI_WRITE` in the environment it is written instead.
///
/// # Panics
/// When the section is missing, or differs and is not to be written.
pub fn check_generated(document: &str, name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    let text = std::fs::read_to_string(&path).expect("the document is there");
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = text.split_once(&begin).expect("the section begins");
    let (section, after) = rest.split_once(&end).expect("the section ends");
    if section == expected {
        return;
    }
    assert!(
        std::env::var_os("DOKUEI_WRITE").is_some(),
        "{document} is not what the code says of {name}; DOKUEI_WRITE=1 cargo test writes it:\n{expected}"
    );
    std::fs::write(&path, format!("{before}{begin}{expected}{end}{after}")).expect("write the document");
}
