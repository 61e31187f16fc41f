use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use dokuei_store::{Disk, RealDisk, Step};
use dokuei_testkit::Random;

use super::child::{DATA, SHADOW};
use super::wal;
use crate::support::read_some;

/// Steps of a child's life at most; one that has fewer ends by itself.
const STEPS: usize = 200;

/// A disk that ends its process at a step, is full now and then, and keeps a second copy of what is durable:
/// segments byte range by byte range, files of their own by a second name, of the index how far it was synced.
pub(super) struct PowerDisk {
    steps_left: AtomicI64,
    /// Of so many steps one fails; 0: none.
    fails_one_in: usize,
    random: Mutex<Random>,
    data: PathBuf,
    shadow: PathBuf,
}

impl PowerDisk {
    /// All that is in the folder already is durable.
    pub(super) fn new(folder: &Path, random: &mut Random) -> Self {
        let (data, shadow) = (folder.join(DATA), folder.join(SHADOW));
        for name in ["segments", "objects"] {
            fs::create_dir_all(shadow.join(name)).unwrap();
        }
        let this = Self {
            steps_left: AtomicI64::new(1 + random.below(STEPS) as i64),
            fails_one_in: [0, 0, 20][random.below(3)],
            random: Mutex::new(Random::new(random.below(1 << 30) as u64)),
            data,
            shadow,
        };
        for segment in list(&this.data.join("segments")) {
            let len = fs::metadata(&segment).unwrap().len();
            this.durable(&segment, 0..len);
        }
        this.link_objects();
        this.mark_index();
        this
    }

    fn link_objects(&self) {
        for object in list(&self.data.join("objects/000001")) {
            let name = self.shadow.join("objects").join(object.file_name().unwrap());
            // Both threads of the log may come by at the same time, and a duplicate may just have gone.
            if let Err(error) = fs::hard_link(&object, name) {
                assert!(matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound), "{error}");
            }
        }
    }

    fn mark_index(&self) {
        if let Some(position) = wal::position(&self.data) {
            append(&self.shadow.join("wal"), &position);
        }
    }
}

impl Disk for PowerDisk {
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }

    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        if self.steps_left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
        if step == Step::SyncFolder && path.parent().is_some_and(|parent| parent.ends_with("objects")) {
            self.link_objects();
        }
        let fails = self.fails_one_in > 0 && self.random.lock().unwrap().below(self.fails_one_in) == 0;
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_some(&mut self.random.lock().unwrap(), file, buffer, offset)
    }

    fn durable(&self, path: &Path, bytes: Range<u64>) {
        let Some(name) = path.file_name().filter(|name| Path::new(name).extension().is_some_and(|ext| ext == "log"))
        else {
            return self.mark_index();
        };
        let mut held = vec![0; usize::try_from(bytes.end - bytes.start).unwrap()];
        File::open(path).unwrap().read_exact_at(&mut held, bytes.start).unwrap();
        let copy = self.shadow.join("segments").join(name);
        let copy = OpenOptions::new().write(true).create(true).truncate(false).open(copy).unwrap();
        copy.write_all_at(&held, bytes.start).unwrap();
        let line = format!("{} {} {}\n", name.to_string_lossy(), bytes.start, bytes.end);
        append(&self.shadow.join("ranges"), line.as_bytes());
    }
}

/// The disk as it is, but for what it reads in one go.
pub(super) struct ReadingDisk(Mutex<Random>);

impl ReadingDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Random::new(seed)))
    }
}

impl Disk for ReadingDisk {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn before(&self, _step: Step, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_some(&mut self.0.lock().unwrap(), file, buffer, offset)
    }
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// The files of a folder, which need not be there.
pub(super) fn list(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
