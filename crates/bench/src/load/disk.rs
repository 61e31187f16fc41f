//! The line no receiver that syncs a file for each object passes: the same objects in the same number of threads, to
//! files and their fdatasync, without a network.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use super::{Load, Tally};

impl Load {
    /// Writes copies of `object` below `folder` until time or bytes are used up.
    ///
    /// # Errors
    /// When a thread cannot be started. What goes wrong with a file is in the tally.
    pub(crate) fn write_to_disk(&self, folder: &Path, object: &[u8]) -> io::Result<Tally> {
        let object_bytes = object.len() as u64;
        self.in_threads(|thread, tally| {
            let begun = Instant::now();
            for sequence in 0..self.instances_max(object_bytes) {
                if sequence > 0 && begun.elapsed() >= self.time {
                    break;
                }
                let sent = Instant::now();
                let mut file = File::create(folder.join(format!("{thread}-{sequence}")))?;
                file.write_all(object)?;
                file.sync_data()?;
                tally.answered(0, Some(sent), Instant::now(), object_bytes);
            }
            Ok(())
        })
    }
}
