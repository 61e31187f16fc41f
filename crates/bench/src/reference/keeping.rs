use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dokuei_dataset::{MetaFields, file_meta};

use super::Keeping;
use super::group_commit::Segment;
use crate::wire::command::Command;

/// Shorter fragments are gathered; longer ones go from the socket's buffer to the file.
const GATHERED_BYTES: usize = 32 << 10;

/// What a record of a segment is gathered to before it is written.
const RECORD_PIECE_BYTES: usize = 1 << 20;

/// Keeps instances in a folder.
#[derive(Debug)]
pub(crate) struct Keeper {
    keeping: Keeping,
    folder: PathBuf,
    segment: Option<Arc<Segment>>,
}

/// An instance that is arriving.
#[derive(Debug)]
pub(super) enum Kept<'a> {
    Nothing,
    File { file: BufWriter<File>, sync: bool },
    Record { segment: &'a Segment, piece: Vec<u8> },
}

impl Keeper {
    /// `segment_bytes` is what a [`Keeping::Log`] reserves on the disk.
    pub(crate) fn new(keeping: Keeping, folder: &Path, segment_bytes: u64) -> io::Result<Self> {
        let log = keeping == Keeping::Log;
        let segment = log.then(|| Segment::create(&folder.join("segment"), segment_bytes)).transpose()?;
        Ok(Self { keeping, folder: folder.to_owned(), segment })
    }

    /// Begins a Part 10 file, or a record that holds one.
    pub(super) fn begin(&self, command: &Command, transfer_syntax: &str) -> io::Result<Kept<'_>> {
        let meta = || {
            file_meta(&MetaFields {
                sop_class: command.sop_class,
                sop_instance: command.sop_instance,
                transfer_syntax,
                source_ae: None,
                sending_ae: None,
                receiving_ae: None,
            })
        };
        Ok(match (self.keeping, &self.segment) {
            (Keeping::Write | Keeping::Sync, _) => {
                let path = self.folder.join(format!("{}.dcm", digits_and_dots(command.sop_instance)));
                let mut file = BufWriter::with_capacity(GATHERED_BYTES, File::create(path)?);
                file.write_all(&meta())?;
                Kept::File { file, sync: self.keeping == Keeping::Sync }
            }
            (Keeping::Log, Some(segment)) => Kept::Record { segment, piece: meta() },
            (Keeping::Null | Keeping::Log, _) => Kept::Nothing,
        })
    }
}

/// A peer's text is no path.
fn digits_and_dots(uid: &str) -> String {
    uid.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect()
}

impl Kept<'_> {
    pub(super) fn append(&mut self, fragment: &[u8]) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::File { file, .. } => file.write_all(fragment),
            Self::Record { segment, piece } => {
                if piece.len() + fragment.len() > RECORD_PIECE_BYTES {
                    segment.append(piece)?;
                    piece.clear();
                }
                piece.extend_from_slice(fragment);
                Ok(())
            }
        }
    }

    /// Ends the instance; it is as durable as it will be.
    pub(super) fn commit(self) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::File { file, sync } => {
                let file = file.into_inner()?;
                if sync { file.sync_data() } else { Ok(()) }
            }
            Self::Record { segment, piece } => {
                segment.append(&piece)?;
                segment.commit()
            }
        }
    }
}
