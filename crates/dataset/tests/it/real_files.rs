use std::fs::File;

use dokuei_dataset::{Limits, read_file};
use dokuei_testkit::real_dicom;

#[test]
fn real_files_are_read_as_another_reader_reads_them() {
    let Some(folder) = real_dicom() else { return };
    let mut refused = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "csv") {
            continue;
        }
        let ours = read_file(&File::open(&path).unwrap(), &Limits::default());
        let theirs =
            dicom_object::OpenFileOptions::new().read_until(dicom_dictionary_std::tags::PIXEL_DATA).open_file(&path);
        match (ours, theirs) {
            (Ok((_, header)), Ok(theirs)) => {
                for element in
                    theirs.iter().filter(|e| (4..0x7FE0).contains(&e.header().tag.group()) && e.header().tag.1 != 0)
                {
                    assert!(header.dataset.contains(element.header().tag), "{name}: {}", element.header().tag);
                }
            }
            (Err(error), Ok(_)) => refused.push(format!("{name}: {error}")),
            (_, Err(_)) => {}
        }
    }
    assert!(refused.is_empty(), "{}\n{}", refused.len(), refused.join("\n"));
}
