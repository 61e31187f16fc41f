//! What `check` says of this machine: the data folder and its disk, the ports, the audit trail.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;

use dokuei_store::{Access, Disk, RealDisk, nearest};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::check::{Checked, Verdict};
use crate::config::{self, Limits};
use crate::send::words;
use crate::site::Site;

/// The connection, and a file while it sends; twice, for an association that has ended and is not closed yet.
const FILES_OF_AN_ASSOCIATION: usize = 4;
/// The index, the log, models, deliveries, and as much again.
const FILES_OF_THE_NODE: usize = 256;
/// However few files there may be.
const CONNECTIONS_PENDING_MIN: usize = 16;

/// Looks, and writes nothing; what a running node has is not tried.
pub(crate) fn check(site: &Site) -> Vec<Checked> {
    let folder = &site.file.config.node.data_dir;
    let access = dokuei_store::access(folder);
    let is_running = matches!(access, Ok(Access::Taken { .. }));
    let mut checked = vec![self::folder(folder, access), disk(site)];
    if !is_running {
        checked.extend(ports(site));
    }
    checked.extend(audit(site));
    checked.push(files(&site.file.config.limits));
    checked.extend(config::unused_variables().into_iter().map(|name| Checked {
        what: format!("environment variable {name}"),
        verdict: Verdict::Warning,
        words: "it sets nothing: docs/config.md lists the keys that variables set".to_owned(),
    }));
    checked
}

fn folder(folder: &Path, access: Result<Access, Error>) -> Checked {
    let path = folder.display();
    let outcome = match access {
        Ok(Access::Free) => Ok(format!("{path} is there")),
        Ok(Access::Absent) => Ok(format!("{path} is made at the start")),
        Ok(Access::Taken { holder }) => {
            let holder = holder.map(|process| format!(", process {process}")).unwrap_or_default();
            Ok(format!("{path} belongs to a running node{holder}; its ports were not tried"))
        }
        Err(error) => Err(format!("{path} cannot be used: {}; give another data_dir, or its rights", words(&error))),
    };
    Checked::of("data folder", outcome)
}

/// How many files this process may have open, connections among them; `None` for any number.
pub(crate) fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Lets this process have as many open as it may allow itself.
pub(crate) fn raise_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the number of files that may be open stays as it is");
    }
}

/// How many connections may wait to associate where so many files may be open, so that none is wanting for images.
pub(crate) fn connections_pending_max(limits: &Limits, files: u64) -> usize {
    let others = limits.associations.saturating_mul(FILES_OF_AN_ASSOCIATION).saturating_add(FILES_OF_THE_NODE);
    usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(others).max(CONNECTIONS_PENDING_MIN)
}

/// What a start could allow itself.
fn files(limits: &Limits) -> Checked {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let pending = maximum.map_or(usize::MAX, |files| connections_pending_max(limits, files));
    let (verdict, words) = match maximum {
        Some(files) if pending < limits.connections_pending => (
            Verdict::Warning,
            format!(
                "{files} may be open at a time, so that {pending} connections may wait to associate, not {}: raise the hard \
                 limit (LimitNOFILE of systemd, ulimit -Hn), or lower limits.connections_pending",
                limits.connections_pending
            ),
        ),
        Some(files) => (Verdict::Ok, format!("{files} may be open at a time")),
        None => (Verdict::Ok, "any number may be open".to_owned()),
    };
    Checked { what: "open files".to_owned(), verdict, words }
}

/// The data folder's disk, or that of the nearest folder above one that is not there yet.
fn disk(site: &Site) -> Checked {
    let folder = &site.file.config.node.data_dir;
    let needed = site.file.config.limits.disk_free_min;
    let outcome = match RealDisk.free_bytes(&nearest(folder)) {
        Ok(free) if free < needed.0 => Err(format!(
            "{} MiB are free for {}, disk_free_min is {needed}: every image would be refused",
            free >> 20,
            folder.display()
        )),
        Ok(free) => Ok(format!("{} MiB free for {}", free >> 20, folder.display())),
        Err(error) => Err(words(&error)),
    };
    Checked::of("disk", outcome)
}

/// The ports that cannot be had.
fn ports(site: &Site) -> Vec<Checked> {
    let config = &site.file.config;
    let tls = config.tls.as_ref().map(|tls| tls.as_ref().listen);
    let ports = [("node.listen", Some(config.node.listen)), ("tls.listen", tls), ("http.listen", config.http.listen)];
    let in_vain = |(key, address): (&str, Option<SocketAddr>)| {
        let address = address?;
        let error = dokuei_dimse::bind(address).err()?;
        Some(Checked::of(key, Err(format!("cannot listen on {address}: {}; {}", words(&error), remedy(&error)))))
    };
    ports.into_iter().filter_map(in_vain).collect()
}

/// What to do about a port that cannot be had.
pub(crate) fn remedy(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "another program has the port: end it, or give another port",
        ErrorKind::AddrNotAvailable => {
            "no interface of this machine has the address: write one it has, or 0.0.0.0 for all"
        }
        ErrorKind::PermissionDenied => "a port below 1024 needs the right to bind it (CAP_NET_BIND_SERVICE)",
        _ => "give another address or port",
    }
}

/// The file of the audit trail, where it cannot be written.
fn audit(site: &Site) -> Option<Checked> {
    let config = &site.file.config;
    let path = config.node.data_dir.join(config.audit.file.as_ref()?);
    let folder = path.parent().unwrap_or(&path);
    let why = if path.is_dir() {
        "is a folder".to_owned()
    } else if folder.exists() || folder == config.node.data_dir {
        dokuei_store::may_write(if path.exists() { &path } else { folder }).err().map(|error| words(&error))?
    } else {
        format!("has no folder: make {}", folder.display())
    };
    Some(Checked::of("audit trail", Err(format!("{} {why}", path.display()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_wait_leave_files_for_images() {
        let limits = Limits { associations: 64, connections_pending: 1024, ..Limits::default() };
        let pending = |files| connections_pending_max(&limits, files);
        assert_eq!((pending(1024), pending(100), pending(524_288)), (512, 16, 523_776));
    }
}
