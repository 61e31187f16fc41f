//! `dokuei export`: what is stored, as plain DICOM files.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use dokuei_store::{Integrity, ShownInstance, StoreReader, StoredFile};
use dokuei_types::InstanceId;
use serde_json::json;

use crate::args::Export;
use crate::inspect::{attach, chosen, unreadable};
use crate::outcome::{self, Failure, line, say};

pub(crate) fn run(arguments: &Export) -> Result<(), Failure> {
    let reader = attach(&arguments.place)?;
    let mut account = Account::default();
    chosen(&reader, &arguments.ids, |id| one(&reader, id, arguments, &mut account))?;
    let Account { written, there, trouble } = account;
    let also = if there > 0 { format!(", {there} were there already") } else { String::new() };
    say(format!("{written} files written to {}{also}", arguments.out.display()));
    if trouble == 0 {
        return Ok(());
    }
    Err(Failure::work(format!("{trouble} files are not there as they were stored; see above")))
}

/// What became of the files.
#[derive(Default)]
struct Account {
    written: usize,
    /// Were there already, the same to the byte.
    there: usize,
    /// Could not be written, or are not what was stored.
    trouble: usize,
}

/// Writes an instance and, where asked for, its results. What is wrong with a file is said, and the others follow.
fn one(reader: &StoreReader, id: InstanceId, arguments: &Export, account: &mut Account) -> Result<(), Failure> {
    let Some(shown) = reader.show(id).map_err(|error| unreadable(&error))? else { return Ok(()) };
    if shown.removed_at.is_some() {
        say(format!("instance {id} is no longer kept"));
        return Ok(());
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
    let copied: Vec<_> =
        files.into_iter().map(|(file, sop_instance, path)| (file, sop_instance, copy(file, &path), path)).collect();
    // What cannot be read at all has failed where it was copied. What was removed meanwhile may be half a copy.
    let checked = reader.check_bytes(id).unwrap_or_default();
    for (file, sop_instance, copied, path) in copied {
        let is = |integrity| checked.iter().any(|found| found.file == *file && found.integrity == integrity);
        if is(Integrity::Removed) {
            say(format!("instance {id}: {sop_instance} is no longer kept"));
            if matches!(copied, Ok(true)) {
                drop(std::fs::remove_file(&path));
            }
            continue;
        }
        let is_damaged = is(Integrity::Damaged);
        account.trouble = account.trouble.saturating_add(usize::from(is_damaged || copied.is_err()));
        match copied {
            Ok(true) => {
                account.written = account.written.saturating_add(1);
                tell(&shown, sop_instance, &path, arguments.place.json);
            }
            Ok(false) => account.there = account.there.saturating_add(1),
            Err(error) => say(format!("instance {id}: {error}")),
        }
        if is_damaged {
            say(format!("instance {id}: what is kept of {sop_instance} is damaged, and so is {}", path.display()));
        }
    }
    Ok(())
}

/// Copies to a new file, which has its name once it is whole; `false` where the same bytes are there already. Others are
/// never overwritten.
fn copy(file: &StoredFile, path: &Path) -> Result<bool, String> {
    let unread = |error: io::Error| format!("read {}: {error}", file.path.display());
    let unwritten = |error: io::Error| format!("write {}: {error}", path.display());
    if path.exists() {
        let same = same(file.reader().map_err(unread)?, File::open(path).map_err(unwritten)?).map_err(unwritten)?;
        return if same { Ok(false) } else { Err(format!("{} is there with other bytes", path.display())) };
    }
    let mut source = file.reader().map_err(unread)?;
    let part = path.with_extension("part");
    let copied = io::copy(&mut source, &mut File::create(&part).map_err(unwritten)?).map_err(unwritten)?;
    if copied != file.length {
        drop(std::fs::remove_file(&part));
        return Err(unread(io::ErrorKind::UnexpectedEof.into()));
    }
    std::fs::rename(&part, path).map_err(unwritten)?;
    Ok(true)
}

/// Whether both give the same bytes.
fn same(one: impl Read, other: impl Read) -> io::Result<bool> {
    let (mut one, mut other) = (BufReader::new(one).bytes(), BufReader::new(other).bytes());
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (one, other) if one != other => return Ok(false),
            _ => {}
        }
    }
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
