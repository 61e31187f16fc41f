//! Everything that can be measured: ours, the references, and other people's where they are installed.

mod listing;
mod node;
mod orthanc;
mod peers;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;

use crate::load::Peer;
use crate::process::{Ports, Server, wait_for};
use crate::reference::Keeping;

pub(crate) use listing::{Expected, Listing};
pub(crate) use peers::tool;

const START_MAX: Duration = Duration::from_secs(60);

/// What is installed where, as far as the command line says.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Programs {
    /// The node; by default the release build, brought up to date.
    #[arg(long, value_name = "PATH")]
    pub(crate) node: Option<PathBuf>,
    /// `dicom-storescp` of dicom-rs; by default looked for on PATH.
    #[arg(long, value_name = "PATH")]
    pub(crate) dicom_rs: Option<PathBuf>,
    /// `dicom-ai-router`; by default left out.
    #[arg(long, value_name = "PATH")]
    pub(crate) ai_router: Option<PathBuf>,
    /// A Python that has pynetdicom; by default that of target/peers.
    #[arg(long, value_name = "PATH")]
    pub(crate) python: Option<PathBuf>,
}

/// What makes one receiver differ from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    Reference(Keeping),
    Node { durability: &'static str },
    Storescp { is_tuned: bool },
    Orthanc,
    Pynetdicom,
    DicomRs,
    AiRouter,
}

/// A receiver that can be started.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) name: &'static str,
    kind: Kind,
    program: PathBuf,
}

/// Where a receiver works: its own folder and ports.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    port: u16,
    http_port: u16,
    /// What `log` reserves on the disk.
    pub(crate) segment_bytes: u64,
    /// Keys of the node's `[limits]`.
    pub(crate) node_limits: &'static str,
}

/// A receiver that runs.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    receiver: &'a Receiver,
    place: Place,
    server: Server,
}

/// Everything there is, by name; `+` is tuned as far as its options go.
const ALL: [(&str, Kind); 13] = [
    ("dokuei", Kind::Node { durability: "fsync" }),
    ("dokuei-os", Kind::Node { durability: "os" }),
    ("disk", Kind::Disk),
    ("null", Kind::Reference(Keeping::Null)),
    ("write", Kind::Reference(Keeping::Write)),
    ("sync", Kind::Reference(Keeping::Sync)),
    ("log", Kind::Reference(Keeping::Log)),
    ("storescp", Kind::Storescp { is_tuned: false }),
    ("storescp+", Kind::Storescp { is_tuned: true }),
    ("orthanc+", Kind::Orthanc),
    ("pynetdicom", Kind::Pynetdicom),
    ("dicom-rs+", Kind::DicomRs),
    ("ai-router", Kind::AiRouter),
];

impl Receiver {
    /// Those of `names`, or all, that are installed; a line for each that is not.
    ///
    /// # Errors
    /// When a name is none of ours, or the node cannot be built.
    pub(crate) fn installed(names: &[String], programs: &Programs) -> io::Result<Vec<Self>> {
        if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|(known, _)| known == name)) {
            let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
            return Err(io::Error::other(format!("no receiver {unknown}; there are {}", known.join(", "))));
        }
        let wanted = ALL.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name));
        let mut installed = Vec::new();
        for (name, kind) in wanted {
            match kind.program(programs)? {
                Ok(program) => installed.push(Self { name, kind: *kind, program }),
                Err(how) => eprintln!("without {name}: {how}"),
            }
        }
        Ok(installed)
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When it is not installed.
    pub(crate) fn named(name: &str, programs: &Programs) -> io::Result<Self> {
        let one = Self::installed(&[name.to_owned()], programs)?.pop();
        one.ok_or_else(|| io::Error::other(format!("{name} is needed for this")))
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it is the disk itself, which nobody sends to.
    pub(crate) fn is_disk(&self) -> bool {
        self.kind == Kind::Disk
    }

    /// Starts it and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not come up; with its last words.
    pub(crate) fn start(&self, place: &Place) -> io::Result<Running<'_>> {
        fs::create_dir_all(place.stored())?;
        let command = self.command(place)?;
        let mut running = Running {
            receiver: self,
            place: place.clone(),
            server: Server::start(command, &place.folder.join("log"))?,
        };
        let address = running.peer().address;
        let connected = wait_for(START_MAX, || {
            let connected = TcpStream::connect(address).is_ok();
            (connected || running.server.has_ended()).then_some(connected)
        });
        if connected == Some(true) {
            return Ok(running);
        }
        Err(io::Error::other(format!("{} does not listen: {}", self.name, running.server.last_words())))
    }

    fn command(&self, place: &Place) -> io::Result<Command> {
        match self.kind {
            Kind::Disk => Err(io::Error::other("a disk takes no associations")),
            Kind::Reference(keeping) => Ok(reference(&self.program, keeping, place)),
            Kind::Node { durability } => node::command(&self.program, durability, place),
            Kind::Storescp { is_tuned } => Ok(peers::storescp(&self.program, is_tuned, place)),
            Kind::Orthanc => orthanc::command(&self.program, place),
            Kind::Pynetdicom => Ok(peers::pynetdicom(&self.program, place)),
            Kind::DicomRs => Ok(peers::dicom_rs(&self.program, place)),
            Kind::AiRouter => peers::ai_router(&self.program, place),
        }
    }

    fn ae_title(&self) -> &'static str {
        match self.kind {
            Kind::Node { .. } => "DOKUEI",
            Kind::Orthanc => "ORTHANC",
            Kind::AiRouter => "AIROUTER",
            Kind::Disk | Kind::Reference(_) | Kind::Storescp { .. } | Kind::Pynetdicom | Kind::DicomRs => "ANY-SCP",
        }
    }
}

impl Kind {
    /// Its program, or how to get it.
    fn program(self, programs: &Programs) -> io::Result<Result<PathBuf, &'static str>> {
        Ok(match self {
            Self::Disk | Self::Reference(_) => Ok(std::env::current_exe()?),
            Self::Node { .. } => Ok(node::program(programs.node.as_deref())?),
            Self::Storescp { .. } => tool("storescp").ok_or("apt-get install dcmtk"),
            Self::Orthanc => tool("Orthanc").ok_or("apt-get install orthanc"),
            Self::Pynetdicom => peers::python(programs.python.as_deref())
                .ok_or("python3 -m venv target/peers && target/peers/bin/pip install -r tests/peers/requirements.txt"),
            Self::DicomRs => {
                let named = programs.dicom_rs.clone().or_else(|| tool("dicom-storescp"));
                named.ok_or("cargo install dicom-storescp, or --dicom-rs PATH")
            }
            Self::AiRouter => programs.ai_router.clone().ok_or("pip install dicom-ai-router, and --ai-router PATH"),
        })
    }
}

/// Ourselves again, in a process whose time and memory are its own.
fn reference(program: &Path, keeping: Keeping, place: &Place) -> Command {
    let name = keeping.to_possible_value().map(|value| value.get_name().to_owned());
    let mut command = Command::new(program);
    command.arg("reference").arg(name.unwrap_or_default()).arg(place.stored());
    command.arg(place.port.to_string()).arg(place.segment_bytes.to_string());
    command
}

impl Place {
    /// A folder of its own below `root`.
    pub(crate) fn new(root: &Path, ports: &mut Ports) -> io::Result<Self> {
        let (port, http_port) = (ports.next()?, ports.next()?);
        let folder = root.join(port.to_string());
        Ok(Self { folder, port, http_port, segment_bytes: 0, node_limits: "" })
    }

    /// Where what is received lies, and nothing else.
    pub(crate) fn stored(&self) -> PathBuf {
        self.folder.join("stored")
    }

    /// Frees the disk. The files stay, empty: where many were just deleted ext4 is slow to create others, and the
    /// next receiver would pay for it.
    pub(crate) fn empty(&self) {
        for file in listing::files(&self.folder) {
            drop(fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(0)));
        }
    }
}

impl Running<'_> {
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    pub(crate) fn peer(&self) -> Peer<'static> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.place.port));
        Peer { address, ae_title: self.receiver.ae_title() }
    }

    /// Ends it, and says what it has stored; nothing where it keeps no account.
    pub(crate) fn finish(mut self) -> io::Result<Option<Listing>> {
        let told = match self.receiver.kind {
            Kind::Orthanc => Some(orthanc::listing(self.place.http_port)?),
            _ => None,
        };
        if self.server.has_ended() {
            return Err(io::Error::other(format!("{} has ended: {}", self.receiver.name, self.server.last_words())));
        }
        self.server.stop();
        match self.receiver.kind {
            Kind::Orthanc => Ok(told),
            Kind::Node { .. } => node::listing(&self.receiver.program, &self.place).map(Some),
            Kind::Reference(Keeping::Null | Keeping::Log) => Ok(None),
            _ => Listing::of_files(&self.place.stored()).map(Some),
        }
    }
}
