//! DICOM files named on the command line.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use dicom_dictionary_std::uids;
use dokuei_dataset::{FileMeta, FileSection, Header, Limits, MetaFields, ReadAt, file_meta, read_file, read_file_meta};
use dokuei_dimse::StoreRequest;
use dokuei_store::{StoredFile, Unsealing};
use dokuei_types::{AeTitle, Uid};

use crate::outcome::Failure;

/// A file and what its header says.
pub(crate) struct DicomFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) meta: FileMeta,
    pub(crate) header: Header,
}

/// Opens a file and reads its header.
pub(crate) fn open(path: &Path) -> Result<DicomFile, Failure> {
    let doing = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::because(&doing, &error))?;
    let (meta, header) = read_file(&file, &Limits::default()).map_err(|error| Failure::because(&doing, &error))?;
    Ok(DicomFile { path: path.to_owned(), file, meta, header })
}

/// The files named, and those below the folders named, in a stable order. `true` marks those named themselves.
pub(crate) fn collect(paths: &[PathBuf]) -> Result<Vec<(PathBuf, bool)>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let kind = std::fs::metadata(path).map_err(|error| Failure::because(&path.display().to_string(), &error))?;
        if kind.is_dir() {
            walk(path, &mut files)?;
        } else {
            files.push((path.clone(), true));
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, bool)>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::because(&folder.display().to_string(), &error);
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(failed)?;
    entries.sort();
    for path in entries {
        // Links to folders could lead in circles.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, files)?;
        } else if path.is_file() {
            files.push((path, false));
        }
    }
    Ok(())
}

/// File Meta Information in front of what a peer sends to `receiver` (PS3.10 § 7.1).
pub(crate) fn meta_of(request: &StoreRequest<'_>, receiver: &AeTitle) -> Vec<u8> {
    file_meta(&MetaFields {
        sop_class: request.sop_class.as_str(),
        sop_instance: request.sop_instance.as_str(),
        transfer_syntax: request.transfer_syntax.as_str(),
        source_ae: Some(request.calling_ae.as_str()),
        sending_ae: Some(request.calling_ae.as_str()),
        receiving_ae: Some(receiver.as_str()),
    })
}

/// What is needed to send a file as it is.
pub(crate) struct Sendable {
    pub(crate) file: StoredFile,
    pub(crate) sop_class: Uid,
    pub(crate) sop_instance: Uid,
    pub(crate) transfer_syntax: Uid,
    pub(crate) data_set_offset: u64,
    /// Tells of the data set's bytes whether they are those that were stored, where that is known.
    pub(crate) unsealing: Option<Unsealing>,
}

/// As [`sendable`], for a whole file on the disk.
pub(crate) fn sendable_at(path: &Path) -> Option<Sendable> {
    sendable(StoredFile::whole(path.to_owned()).ok()?).ok().flatten()
}

/// What is needed to send a Part 10 file; `None` when it is no instance (other files, a DICOMDIR).
///
/// # Errors
/// The operating system's, and those of [`StoredFile::read`].
pub(crate) fn sendable(file: StoredFile) -> io::Result<Option<Sendable>> {
    let section = FileSection::new(file.open()?, file.offset, file.length);
    // What is wrong with a data set is the receiver's to judge; it is read only where the meta information is silent.
    let limits = Limits::default();
    let read = read_file_meta(&section, &limits).and_then(|meta| match (&meta.sop_class, &meta.sop_instance) {
        (Some(_), Some(_)) => Ok(meta),
        _ => read_file(&section, &limits).map(|(meta, _)| meta),
    });
    let meta = match read {
        Ok(meta) => meta,
        Err(error) => return error.of_the_medium().map_or(Ok(None), Err),
    };
    let sop_class = meta.sop_class.filter(|uid| uid.as_str() != uids::MEDIA_STORAGE_DIRECTORY_STORAGE);
    let (Some(sop_class), Some(sop_instance), Ok(transfer_syntax)) =
        (sop_class, meta.sop_instance, Uid::new(&meta.transfer_syntax))
    else {
        return Ok(None);
    };
    let mut unsealing = file.unsealing();
    if let Some(unsealing) = &mut unsealing {
        // Meta information is as short as its limit.
        let mut beginning = vec![0; usize::try_from(meta.data_set_offset).unwrap_or_default()];
        section.read_exact_at(&mut beginning, 0)?;
        unsealing.take(&beginning)?;
    }
    Ok(Some(Sendable {
        file,
        sop_class,
        sop_instance,
        transfer_syntax,
        data_set_offset: meta.data_set_offset,
        unsealing,
    }))
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;
    use dokuei_dataset::{MetaFields, file_meta};

    use super::*;

    #[test]
    fn a_broken_data_set_is_sent_as_it_is() {
        let mut file = file_meta(&MetaFields {
            sop_class: uids::CT_IMAGE_STORAGE,
            sop_instance: "1.2.3",
            transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
            source_ae: None,
            sending_ae: None,
            receiving_ae: None,
        });
        let data_set_offset = file.len() as u64;
        // A value that claims more bytes than there are.
        file.extend_from_slice(&[0x10, 0, 0x10, 0, b'P', b'N', 0xFF, 0xFF, b'A']);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.dcm");
        std::fs::write(&path, file).unwrap();
        let sendable = sendable_at(&path).unwrap();
        assert_eq!(sendable.sop_instance.as_str(), "1.2.3");
        assert_eq!(sendable.data_set_offset, data_set_offset);
    }
}
