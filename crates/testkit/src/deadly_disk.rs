use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dokuei_store::{Disk, RealDisk, Step};

/// A disk whose process dies at a step of a given number, as in a power cut just before it.
#[derive(Debug)]
pub struct DeadlyDisk(AtomicI64);

impl DeadlyDisk {
    /// Dies before the step `number`, from 1; never when there are fewer.
    #[must_use]
    pub fn at(number: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(number)))
    }
}

impl Disk for DeadlyDisk {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn before(&self, _step: Step, _path: &Path) -> io::Result<()> {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
        Ok(())
    }
}
