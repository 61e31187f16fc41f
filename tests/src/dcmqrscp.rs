use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::peer::tool;
use crate::process::{Server, free_port, wait_for};

/// DCMTK's archive: keeps what it is sent, and answers C-FIND, C-MOVE and C-GET.
#[derive(Debug)]
pub struct Dcmqrscp {
    /// Its port.
    pub port: u16,
    _server: Server,
}

impl Dcmqrscp {
    /// Starts it as `ARCHIVE` with its files in `folder`; it knows `DOKUEI` at `node_port`. Or says why not.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, node_port: u16) -> Option<Self> {
        Self::start_on(folder, free_port(), node_port)
    }

    /// As [`start`](Self::start), on a port chosen before.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_on(folder: &Path, port: u16, node_port: u16) -> Option<Self> {
        let dcmqrscp = tool("dcmqrscp")?;
        let images = folder.join("images");
        std::fs::create_dir_all(&images).expect("create the archive's folder");
        let config = format!(
            "NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n\
             HostTable BEGIN\nnode = (DOKUEI, 127.0.0.1, {node_port})\nHostTable END\n\
             VendorTable BEGIN\nVendorTable END\n\
             AETable BEGIN\nARCHIVE {} RW (100, 1024mb) ANY\nAETable END\n",
            images.display()
        );
        let file = folder.join("dcmqrscp.cfg");
        std::fs::write(&file, config).expect("write a configuration");
        let mut command = Command::new(dcmqrscp);
        command.arg("-c").arg(&file);
        let server = Server::start(command, &folder.join("dcmqrscp.log"));
        wait_for("dcmqrscp to listen", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        Some(Self { port, _server: server })
    }
}
