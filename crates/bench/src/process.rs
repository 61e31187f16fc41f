//! Programs that run beside us. They share our process group, so that Ctrl-C ends them too.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::procfs::tree;

/// Between two looks at a condition nobody tells us of.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// From SIGTERM to SIGKILL.
const PATIENCE: Duration = Duration::from_secs(40);

/// Looks until there is something, at most for `time_max`.
pub(crate) fn wait_for<T>(time_max: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if since.elapsed() > time_max {
            return None;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// A program in the background that is ended with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` with both its outputs going to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> io::Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn();
        let named = |error| io::Error::other(format!("start {}: {error}", command.get_program().display()));
        let child = child.map_err(named)?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it has printed.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(400)..]);
        text.trim().replace('\n', " / ")
    }

    /// Lets it and its children end by themselves, and ends them where they do not.
    pub(crate) fn stop(&mut self) {
        if self.has_ended() {
            return;
        }
        self.signal("TERM");
        if wait_for(PATIENCE, || self.has_ended().then_some(())).is_none() {
            self.kill();
        }
    }

    fn kill(&mut self) {
        if !self.has_ended() {
            self.signal("KILL");
            drop(self.child.wait());
        }
    }

    /// To it and its children, while it is not waited for and the numbers therefore are theirs.
    fn signal(&self, name: &str) {
        let ids = tree(self.id()).into_iter().map(|id| id.to_string());
        drop(Command::new("kill").args(["-s", name]).args(ids).stderr(Stdio::null()).status());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports nobody listens on, each given once, below those the kernel gives to outgoing connections.
#[derive(Debug)]
pub(crate) struct Ports(std::ops::Range<u16>);

impl Ports {
    pub(crate) fn new() -> Self {
        // Where two run at a time they begin apart.
        let begin = 10_000 + u16::try_from(std::process::id() % 90).unwrap_or_default() * 100;
        Self(begin..32_000)
    }

    pub(crate) fn next(&mut self) -> io::Result<u16> {
        let mut free = self.0.by_ref().filter(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
        free.next().ok_or_else(|| io::Error::other("no free port below 32000"))
    }
}
