//! DCMTK's tools as they come, in both roles. Skipped where they are not installed (`apt-get install dcmtk`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dokuei_dimse::{Association, ProposedContext, RequestorConfig, StoreItem, echo};
use dokuei_types::DimseStatus;
use tokio::process::{Child, Command};

use crate::support::{CT, EXPLICIT, Node, OneUser, PATIENCE, ae, implementation, uid, until};

fn missing(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if missing {
        println!("skipped: {tool} is not installed (apt-get install dcmtk)");
    }
    missing
}

/// A folder that is removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dokuei-dimse-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn element(group: u16, element: u16, vr: &str, value: &[u8], padding: u8) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), element.to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    let padded = value.len() + value.len() % 2;
    if matches!(vr, "OB" | "OW") {
        bytes.extend([0, 0]);
        bytes.extend(u32::try_from(padded).unwrap().to_le_bytes());
    } else {
        bytes.extend(u16::try_from(padded).unwrap().to_le_bytes());
    }
    bytes.extend(value);
    if padded > value.len() {
        bytes.push(padding);
    }
    bytes
}

/// A data set as small as tools accept, in Explicit VR Little Endian.
fn data_set(instance: &str) -> Vec<u8> {
    [
        element(0x0008, 0x0016, "UI", CT.as_bytes(), 0),
        element(0x0008, 0x0018, "UI", instance.as_bytes(), 0),
        element(0x0008, 0x0060, "CS", b"CT", b' '),
        element(0x0010, 0x0010, "PN", b"Test^Synthetic", b' '),
        element(0x0010, 0x0020, "LO", b"T1", b' '),
        element(0x0020, 0x000D, "UI", b"1.2.3.4", 0),
        element(0x0020, 0x000E, "UI", b"1.2.3.4.5", 0),
        element(0x7FE0, 0x0010, "OW", &[7; 4000], 0),
    ]
    .concat()
}

fn file(instance: &str) -> Vec<u8> {
    let meta = [
        element(0x0002, 0x0001, "OB", &[0, 1], 0),
        element(0x0002, 0x0002, "UI", CT.as_bytes(), 0),
        element(0x0002, 0x0003, "UI", instance.as_bytes(), 0),
        element(0x0002, 0x0010, "UI", EXPLICIT.as_bytes(), 0),
        element(0x0002, 0x0012, "UI", b"1.2.3.4", 0),
    ]
    .concat();
    let length = u32::try_from(meta.len()).unwrap();
    [vec![0; 128], b"DICM".to_vec(), element(0x0002, 0x0000, "UL", &length.to_le_bytes(), 0), meta, data_set(instance)]
        .concat()
}

async fn run(tool: &str, arguments: &[&str], node: &Node, files: &[&Path]) {
    let port = node.address.port().to_string();
    let output = Command::new(tool)
        .args(arguments)
        .args(["-aet", "PEER", "-aec", "NODE", "127.0.0.1", &port])
        .args(files)
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends").unwrap();
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    assert!(output.status.success(), "{tool}: {words}");
    // At debug level these are the words of a complaint.
    assert!(!words.lines().any(|line| line.starts_with("E:") || line.starts_with("W:")), "{tool}: {words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_senders_have_no_complaint() {
    if ["echoscu", "storescu", "dcmsend"].into_iter().any(missing) {
        return;
    }
    let node = Node::start(|_| {});
    let folder = Folder::new("send");
    let instances: Vec<String> = (1..=5).map(|n| format!("1.2.3.4.5.{n}")).collect();
    let paths: Vec<PathBuf> = instances.iter().map(|instance| folder.0.join(instance)).collect();
    for (path, instance) in paths.iter().zip(&instances) {
        std::fs::write(path, file(instance)).unwrap();
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    run("echoscu", &["-d", "--repeat", "3"], &node, &[]).await;
    run("storescu", &["-d"], &node, &paths).await;
    run("storescu", &["-d", "-pdu", "4096", "--required"], &node, &paths).await;
    run("dcmsend", &["-d"], &node, &paths).await;
    let kept = node.memory.kept();
    assert_eq!(kept.len(), 15);
    for kept in &kept {
        assert_eq!(kept.data, data_set(kept.sop_instance.as_str()), "data set bytes unchanged");
    }
    let counters = node.counters.snapshot();
    assert_eq!((counters.echoes, counters.instances, counters.refused, counters.aborted), (3, 15, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_users_are_known_and_told_so() {
    if missing("storescu") {
        return;
    }
    let node = Node::start(|config| config.users = Some(Arc::new(OneUser)));
    let folder = Folder::new("user");
    let path = folder.0.join("instance");
    std::fs::write(&path, file("1.2.3.4.5.1")).unwrap();
    run("storescu", &["-d", "--user", "Jo", "--password", "sesame", "--pos-response"], &node, &[&path]).await;
    assert_eq!(node.memory.kept().len(), 1);
}

async fn storescp(folder: &Folder) -> (Child, RequestorConfig) {
    let free: SocketAddr = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let child = Command::new("storescp")
        .args(["-aet", "SCP", "-od"])
        .arg(&folder.0)
        .arg(free.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let config = RequestorConfig::new(free.to_string(), ae("SCP"), ae("PEER"), implementation());
    let up = tokio::time::timeout(PATIENCE, async {
        while echo(&config).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    up.await.expect("storescp comes up");
    (child, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn its_receiver_takes_what_we_send_without_its_stall() {
    if missing("storescp") {
        return;
    }
    const INSTANCES: u32 = 100;
    /// What a delayed acknowledgement costs an instance here: 22 a second are all that others get.
    const STALL: Duration = Duration::from_millis(40);
    let folder = Folder::new("receive");
    let (_child, config) = storescp(&folder).await;
    let report = echo(&config).await.unwrap();
    assert_eq!((report.status, report.peer.maximum_length), (DimseStatus::SUCCESS, 16_384));
    assert!(report.peer.implementation_version_name.unwrap().starts_with("OFFIS_DCMTK"));

    let context = ProposedContext::of(uid(CT), uid(EXPLICIT));
    let mut association = Association::request(&config, &[context]).await.unwrap();
    let begin = Instant::now();
    for number in 1..=INSTANCES {
        let instance = format!("1.2.3.4.6.{number}");
        let data = data_set(&instance);
        let outcome = association
            .store(StoreItem {
                sop_class: &uid(CT),
                sop_instance: &uid(&instance),
                transfer_syntax: &uid(EXPLICIT),
                data_set: data.as_slice(),
                length: data.len() as u64,
            })
            .await
            .unwrap();
        assert_eq!(outcome.status, DimseStatus::SUCCESS);
    }
    let taken = begin.elapsed();
    println!("{INSTANCES} instances to storescp as it comes: {taken:?}");
    assert!(taken < INSTANCES * STALL, "{taken:?}: TCP_QUICKACK has no effect");
    association.release().await.unwrap();
    until("all files are there", || folder.files() == INSTANCES as usize).await;
}
