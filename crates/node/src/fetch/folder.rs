//! Instances as files of a folder: under a temporary name until they are whole and on stable storage.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use dokuei_dimse::{IncomingInstance, Refusal, StorageService, StoreRequest};
use dokuei_types::DimseStatus;
use tempfile::NamedTempFile;

use crate::files;

/// Bytes that wait in memory for a write.
const BUFFER: usize = 256 * 1024;

/// Keeps what arrives in one folder.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes the folder when it is not there.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned() })
    }
}

/// One instance on its way in.
pub(super) struct Arriving {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl StorageService for Folder {
    type Incoming = Arriving;

    fn begin(&self, request: StoreRequest<'_>) -> Result<Arriving, Refusal> {
        let file = tempfile::Builder::new().prefix(".incoming-").tempfile_in(&self.path).map_err(refusal)?;
        let mut file = BufWriter::with_capacity(BUFFER, file);
        let meta = files::meta_of(&request, request.called_ae);
        file.write_all(&meta).map_err(refusal)?;
        // A UID is digits and dots, and with its extension no path upwards.
        Ok(Arriving { file, path: self.path.join(format!("{}.dcm", request.sop_instance)) })
    }
}

impl IncomingInstance for Arriving {
    type Committed = ();

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.file.write_all(bytes).map_err(refusal)
    }

    fn may_block(&self, count: usize) -> bool {
        count > self.file.capacity().saturating_sub(self.file.buffer().len())
    }

    async fn commit(self) -> Result<(), Refusal> {
        let kept = tokio::task::spawn_blocking(move || keep(self.file, &self.path)).await;
        kept.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(refusal)
    }
}

/// Bytes first, then the name: a file that is there is whole.
fn keep(file: BufWriter<NamedTempFile>, path: &Path) -> io::Result<()> {
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// A7xx, out of resources (PS3.4 § B.2.3).
pub(super) fn refusal(error: io::Error) -> Refusal {
    Refusal::new(DimseStatus::OUT_OF_RESOURCES, error.to_string())
}

#[cfg(test)]
mod tests {
    use dicom_dictionary_std::uids;
    use dokuei_types::AeTitle;

    use super::*;
    use crate::files::sendable_at;
    use crate::keys::known;

    fn begin(folder: &Folder, instance: &str) -> Arriving {
        let title = AeTitle::new("PACS").unwrap();
        folder
            .begin(StoreRequest {
                calling_ae: &title,
                called_ae: &title,
                peer: ([127, 0, 0, 1], 104).into(),
                sop_class: &known(uids::CT_IMAGE_STORAGE),
                sop_instance: &known(instance),
                transfer_syntax: &known(uids::EXPLICIT_VR_LITTLE_ENDIAN),
                move_originator: None,
                association: 0,
            })
            .unwrap()
    }

    #[tokio::test]
    async fn a_file_is_there_once_it_is_whole_and_nothing_is_left_of_one_that_is_not() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(&place.path().join("out")).unwrap();
        let names =
            || -> Vec<_> { std::fs::read_dir(&folder.path).unwrap().map(|entry| entry.unwrap().file_name()).collect() };
        let mut broken_off = begin(&folder, "1.2.3");
        broken_off.write(&[0; 1000]).unwrap();
        assert_eq!((names().len(), names().contains(&"1.2.3.dcm".into())), (1, false));
        drop(broken_off);
        assert!(names().is_empty());
        // The same instance twice: the later one stands.
        for data in [&b"first"[..], b"second"] {
            let mut whole = begin(&folder, "1.2.3");
            assert!(!whole.may_block(data.len()) && whole.may_block(BUFFER));
            whole.write(data).unwrap();
            whole.commit().await.unwrap();
            assert_eq!(names(), ["1.2.3.dcm"]);
            let path = folder.path.join("1.2.3.dcm");
            let read = sendable_at(&path).unwrap();
            assert_eq!(read.sop_instance.as_str(), "1.2.3");
            assert_eq!(std::fs::read(&path).unwrap()[usize::try_from(read.data_set_offset).unwrap()..], *data);
        }
    }
}
