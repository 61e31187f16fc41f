//! What `check` says of this machine: the data folder and its disk, the ports, the audit trail.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dokuei_store::{Access, Disk, RealDisk};

use crate::check::{Checked, Verdict};
use crate::config;
use crate::send::words;
use crate::site::Site;

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

/// The data folder's disk, or that of the nearest folder above one that is not there yet.
fn disk(site: &Site) -> Checked {
    let folder = &site.file.config.node.data_dir;
    let needed = site.file.config.limits.disk_free_min;
    let outcome = match RealDisk.free_bytes(&existing(folder)) {
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

fn existing(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/")).to_owned()
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
