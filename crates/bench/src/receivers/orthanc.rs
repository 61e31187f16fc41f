use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Listing, Place};

/// Orthanc at its fastest: no sync of its storage, a thread for each of 16 associations, no Nagle, long PDUs.
pub(super) fn command(program: &Path, place: &Place) -> io::Result<Command> {
    let config = json!({
        "Name": "BENCH",
        "DicomAet": "ORTHANC",
        "DicomPort": place.port,
        "HttpPort": place.http_port,
        "RemoteAccessAllowed": false,
        "AuthenticationEnabled": false,
        "StorageDirectory": place.stored(),
        "IndexDirectory": place.stored(),
        "DicomAlwaysAllowStore": true,
        "Plugins": [],
        "MaximumPduLength": 131_072,
        "DicomThreadsCount": 16,
        "SyncStorageArea": false,
    });
    let file = place.folder.join("orthanc.json");
    fs::write(&file, config.to_string())?;
    let mut command = Command::new(program);
    command.arg(file).env("TCP_NODELAY", "1");
    Ok(command)
}

/// What it counts, by its REST interface.
pub(super) fn listing(http_port: u16) -> io::Result<Listing> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, http_port))?;
    stream.write_all(b"GET /statistics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let statistics: Value = serde_json::from_str(body)?;
    let instances = statistics.get("CountInstances").and_then(Value::as_u64);
    let instances = instances.ok_or_else(|| io::Error::other("Orthanc counts no instances"))?;
    Ok(Listing { instances, bytes: None, undecided: 0 })
}
