//! `dokuei verify`: whether the bytes on the disk are still those that were stored.

use dokuei_store::{CheckedFile, Integrity, StoreReader};
use serde_json::json;

use crate::args::Verify;
use crate::inspect::{NEW_INDEX, attach, chosen, unreadable};
use crate::outcome::{self, Failure, line, say};

/// Before the files, which only an index that is whole names all.
fn check_index(reader: &StoreReader) -> Result<(), Failure> {
    match reader.check_index().map_err(|error| unreadable(&error))? {
        None => Ok(()),
        Some(fault) => Err(Failure::work(format!("the index is damaged: {fault}")).help(NEW_INDEX)),
    }
}

pub(crate) fn run(arguments: &Verify) -> Result<(), Failure> {
    let reader = attach(&arguments.place)?;
    if arguments.ids.is_empty() {
        check_index(&reader)?;
    }
    let (mut intact, mut removed, mut bad) = (0_usize, 0_usize, 0_usize);
    chosen(&reader, &arguments.ids, |id| {
        for checked in reader.check_bytes(id).map_err(|error| unreadable(&error))? {
            match checked.integrity {
                Integrity::Intact => intact = intact.saturating_add(1),
                Integrity::Removed => removed = removed.saturating_add(1),
                Integrity::Damaged | Integrity::Missing => bad = bad.saturating_add(1),
            }
            let CheckedFile { role, file, integrity } = &checked;
            if arguments.place.json {
                outcome::json(&json!({ "instance": id, "role": role, "file": file, "integrity": integrity }), false);
            } else if matches!(integrity, Integrity::Damaged | Integrity::Missing) {
                let word = if *integrity == Integrity::Damaged { "damaged" } else { "missing" };
                line(format!(
                    "instance {id}  {role} {word}: {} bytes at {} of {}",
                    file.length,
                    file.offset,
                    file.path.display()
                ));
            }
        }
        Ok(())
    })?;
    say(format!("{intact} files intact, {bad} damaged or missing, {removed} no longer kept"));
    if bad > 0 {
        return Err(Failure::work(format!("{bad} files are not what was stored"))
            .help("have the sender send these instances again, and look at the disk's health"));
    }
    Ok(())
}
