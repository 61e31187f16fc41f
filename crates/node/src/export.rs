//! `dokuei export`: what is stored, as plain DICOM files.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use dokuei_store::{ShownInstance, StoreReader, StoredFile};
use dokuei_types::InstanceId;
use serde_json::json;

use crate::args::Export;
use crate::inspect::{attach, chosen, unreadable};
use crate::outcome::{self, Failure, line, say};

pub(crate) fn run(arguments: &Export) -> Result<(), Failure> {
    let reader = attach(&arguments.place)?;
    let mut written = 0_usize;
    chosen(&reader, &arguments.ids, |id| {
        written = written.saturating_add(one(&reader, id, arguments)?);
        Ok(())
    })?;
    say(format!("{written} files written to {}", arguments.out.display()));
    Ok(())
}

/// Writes an instance and, where asked for, its results; how many files.
fn one(reader: &StoreReader, id: InstanceId, arguments: &Export) -> Result<usize, Failure> {
    let Some(shown) = reader.show(id).map_err(|error| unreadable(&error))? else { return Ok(0) };
    if shown.removed_at.is_some() {
        say(format!("instance {id} is no longer kept"));
        return Ok(0);
    }
    let folder = arguments.out.join(folder(shown.study.as_deref()));
    std::fs::create_dir_all(&folder).map_err(|error| Failure::because(&folder.display().to_string(), &error))?;
    let mut files = vec![(&shown.file, shown.sop_instance.as_str(), folder.join(format!("{id}.dcm")))];
    if arguments.results {
        let objects = shown.results.iter().flat_map(|result| &result.objects).enumerate();
        files.extend(objects.filter(|(_, object)| object.removed_at.is_none()).map(|(number, object)| {
            let name = format!("{id}-{}-{}.dcm", object.role, number.saturating_add(1));
            (&object.file, object.sop_instance.as_str(), folder.join(name))
        }));
    }
    for (file, sop_instance, path) in &files {
        copy(file, path).map_err(|error| Failure::because(&path.display().to_string(), &error))?;
        tell(&shown, sop_instance, path, arguments.place.json);
    }
    Ok(files.len())
}

/// Copies to a new file: what is there already is never overwritten.
fn copy(file: &StoredFile, path: &Path) -> io::Result<()> {
    let mut source = file.reader()?;
    let copied = io::copy(&mut source, &mut File::create_new(path)?)?;
    if copied == file.length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn tell(shown: &ShownInstance, sop_instance: &str, path: &Path, json: bool) {
    if json {
        outcome::json(&json!({ "instance": shown.id, "sop_instance": sop_instance, "path": path }), false);
    } else {
        line(path.display());
    }
}

/// A study's folder. UIDs come from peers, who may send one that is a path upwards.
fn folder(study: Option<&str>) -> PathBuf {
    let name = study.filter(|uid| uid.starts_with(|first: char| first.is_ascii_digit()));
    PathBuf::from(name.unwrap_or("without-study"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_is_a_folder_inside() {
        for (study, expected) in [
            (Some("1.2.3"), "1.2.3"),
            (Some(".."), "without-study"),
            (Some(""), "without-study"),
            (None, "without-study"),
        ] {
            assert_eq!(folder(study), Path::new(expected));
        }
    }
}
