use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dokuei_testkit::real_files;

use crate::process::{Server, free_port, wait_for};

/// Says that a test is skipped, or fails where `DOKUEI_REQUIRE_PEERS` is set.
fn missing(what: &str, how: &str) {
    assert!(std::env::var_os("DOKUEI_REQUIRE_PEERS").is_none(), "{what} is required: {how}");
    println!("skipped: {what} is not here; {how}");
}

/// The path of a program of DCMTK or Orthanc, or `None` with a line that says how to get it.
///
/// # Panics
/// When it is missing and required.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        missing(name, "apt-get install dcmtk orthanc");
    }
    found
}

/// The path of a program of DCMTK, where it was built with TLS.
///
/// # Panics
/// When it is missing and required.
#[must_use]
pub fn tls_tool(name: &str) -> Option<PathBuf> {
    let found = tool(name)?;
    let version = run(Command::new(&found).arg("--version"));
    if String::from_utf8_lossy(&version.stdout).contains("OpenSSL") {
        return Some(found);
    }
    missing(&format!("{name} with TLS"), "this DCMTK was built without OpenSSL; Debian's has it");
    None
}

/// A Python that has pydicom and pynetdicom, or `None` with a line that says how to get one.
///
/// # Panics
/// When it is missing and required.
#[must_use]
pub fn pydicom() -> Option<PathBuf> {
    let own = workspace().join("target/peers/bin/python");
    let python = std::env::var_os("DOKUEI_PEERS_PYTHON").map_or(own, PathBuf::from);
    let usable = Command::new(&python).args(["-c", "import pydicom, pynetdicom"]).output();
    if usable.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    missing(
        "pynetdicom",
        "python3 -m venv target/peers && target/peers/bin/pip install -r tests/peers/requirements.txt",
    );
    None
}

/// The script that runs every installed validator on a folder, where both are there.
#[must_use]
pub fn validators() -> Option<PathBuf> {
    let script = real_files()?.join("validators/validate_dicom.sh");
    let home = std::env::var_os("DCMVAL_HOME").map_or_else(|| PathBuf::from("/opt/dcmval"), PathBuf::from);
    if script.is_file() && home.join("venv").is_dir() {
        return Some(script);
    }
    println!("skipped: the validators are not installed");
    None
}

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("run {command:?}: {error}"))
}

/// DCMTK's storage SCP as a PACS that keeps what it gets as files.
#[derive(Debug)]
pub struct Storescp {
    /// Its port.
    pub port: u16,
    folder: PathBuf,
    _server: Server,
}

impl Storescp {
    /// Starts it with its files in `folder`, or says why not.
    ///
    /// # Panics
    /// When it does not answer a C-ECHO.
    #[must_use]
    pub fn start(folder: &Path) -> Option<Self> {
        Self::start_on(folder, free_port())
    }

    /// As [`start`](Self::start), on a port chosen before.
    ///
    /// # Panics
    /// When it does not answer a C-ECHO.
    #[must_use]
    pub fn start_on(folder: &Path, port: u16) -> Option<Self> {
        tool("storescp")?;
        Self::start_with(folder, port, &[])
    }

    /// As [`start`](Self::start), over TLS: it shows `identity` (key and certificate) and asks for one of `authority`.
    ///
    /// # Panics
    /// When it does not answer a C-ECHO.
    #[must_use]
    pub fn start_tls(folder: &Path, identity: [&Path; 2], authority: &Path) -> Option<Self> {
        tls_tool("storescp")?;
        let [key, certificate] = identity.map(Path::as_os_str);
        let options = ["+tls".as_ref(), key, certificate, "+cf".as_ref(), authority.as_os_str()];
        Self::start_with(folder, free_port(), &options)
    }

    /// With `options` that echoscu takes as well.
    fn start_with(folder: &Path, port: u16, options: &[&OsStr]) -> Option<Self> {
        let (storescp, echoscu) = (tool("storescp")?, tool("echoscu")?);
        std::fs::create_dir_all(folder).expect("create the PACS's folder");
        let mut command = Command::new(storescp);
        command
            .args(options)
            .arg("--fork")
            .arg("+xa")
            .arg("-od")
            .arg(folder)
            .arg("-aet")
            .arg("PACS")
            .arg(port.to_string());
        let server = Server::start(command, &folder.with_extension("log"));
        wait_for("storescp to answer", || {
            run(Command::new(&echoscu).args(options).arg("127.0.0.1").arg(port.to_string())).status.success()
        });
        Some(Self { port, folder: folder.to_owned(), _server: server })
    }

    /// What it has stored: paths of Part 10 files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        files.sort();
        files
    }
}
