//! Senders whose network tears their bytes apart and breaks off anywhere, with the real listener and the real store.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use dokuei_dimse::{Association, Counters, ListenerConfig, ProposedContext, StoreItem, serve};
use dokuei_store::{Arrival, Store, StoreConfig};
use dokuei_testkit::{Random, Seed, replayed};
use dokuei_types::{AeTitle, Interval, Uid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Moves, Receiver};
use crate::requestor;

/// Connections that a case makes, half of them at a time with another.
const CONNECTIONS: usize = 8;
const CASES: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_however_connections_break() {
    for case in replayed().map_or(0..CASES, |case| case..case + 1) {
        let seed = Seed::of(case);
        check(&mut seed.random()).await;
    }
}

async fn check(random: &mut Random) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path()).await;
    let mut acknowledged = BTreeSet::new();
    for _ in 0..CONNECTIONS / 2 {
        let both = [node.push(random).await, node.push(random).await];
        for pushing in both {
            acknowledged.extend(pushing.await.unwrap());
        }
    }
    // By the straight way everything comes through, whatever was lost on the other.
    let direct = push(node.address, (0..CONNECTIONS).collect()).await;
    assert_eq!(direct.len(), CONNECTIONS);
    node.shut_down().await;

    let stored: BTreeMap<String, Vec<u8>> = node.stored();
    assert_eq!(stored.len(), CONNECTIONS);
    for number in direct.union(&acknowledged) {
        assert!(stored[&uid(*number)].ends_with(&data_set(*number)), "{number} is not what was sent");
    }
    node.check_nothing_is_left(folder.path());
}

struct Node {
    store: Store,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: std::sync::Mutex<Option<JoinHandle<()>>>,
    _config: watch::Sender<Arc<ListenerConfig>>,
}

impl Node {
    async fn start(folder: &Path) -> Self {
        let store = Store::open(StoreConfig { disk_free_min: 0, ..StoreConfig::new(folder) }).unwrap();
        let socket = dokuei_dimse::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let (config, watched) =
            watch::channel(Arc::new(ListenerConfig::new(AeTitle::new("NODE").unwrap(), requestor::implementation())));
        let receiver = Arc::new(Receiver::new(store.clone(), AeTitle::new("NODE").unwrap(), Moves::new(0)));
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(socket, watched, receiver, Arc::new(Counters::default()), shutdown.clone()));
        Self { store, address, shutdown, serving: std::sync::Mutex::new(Some(serving)), _config: config }
    }

    /// Sends some instances over a connection that breaks off at some place of either direction.
    async fn push(&self, random: &mut Random) -> JoinHandle<BTreeSet<usize>> {
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = proxy.local_addr().unwrap();
        let reach = [600, 20_000, 300_000, 3_000_000][random.below(4)];
        let left = 200 + random.below(reach);
        let there = Line { pieces: 1 + left / [1, 50, 500][random.below(3)], left };
        let back = Line { pieces: 7, left: 100 + random.below(600) };
        let node = self.address;
        tokio::spawn(async move {
            let (sender, _) = proxy.accept().await.unwrap();
            let receiver = TcpStream::connect(node).await.unwrap();
            // Or small pieces would wait for one another.
            [&sender, &receiver].into_iter().for_each(|stream| stream.set_nodelay(true).unwrap());
            let ((from_sender, to_sender), (from_node, to_node)) = (sender.into_split(), receiver.into_split());
            // What ends first drops both connections.
            tokio::select! {
                () = there.carry(from_sender, to_node) => {}
                () = back.carry(from_node, to_sender) => {}
            }
        });
        // Neighbours send the same ones, often at the same time.
        let first = random.below(CONNECTIONS);
        let numbers = (first..first + 4).map(|number| number % CONNECTIONS).collect();
        tokio::spawn(push(address, numbers))
    }

    async fn shut_down(&self) {
        self.shutdown.cancel();
        let serving = self.serving.lock().unwrap().take();
        serving.unwrap().await.unwrap();
    }

    /// Part 10 files by SOP Instance UID, each there once.
    fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        let settled = self.store.lease(dokuei_store::JobKind::Settle, 1, std::time::Duration::ZERO);
        assert_eq!(settled.unwrap(), [], "behind it the index knows of all arrivals");
        for stored in self.store.reader().newest(1_000).unwrap() {
            let file = stored.file.read().unwrap();
            assert!(all.insert(stored.sop_instance, file).is_none(), "there twice");
        }
        all
    }

    /// No file that was begun, and no buffer that is not given back: there are sixteen large ones.
    fn check_nothing_is_left(&self, folder: &Path) {
        let begun = || std::fs::read_dir(folder.join("incoming")).unwrap().count();
        assert_eq!(begun(), 0);
        let mut incoming: Vec<_> = (0..16).map(|_| self.store.receive(arrival()).unwrap()).collect();
        incoming.iter_mut().for_each(|incoming| incoming.write(&[1; 500_000]).unwrap());
        assert_eq!(begun(), 0, "memory is missing");
    }
}

/// One direction of a connection.
struct Line {
    /// Bytes that are passed on at a time, at most.
    pieces: usize,
    /// Bytes until it breaks off.
    left: usize,
}

impl Line {
    async fn carry(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; self.pieces];
        while self.left > 0 {
            let room = self.left.min(self.pieces);
            match from.read(&mut buffer[..room]).await {
                Ok(count) if count > 0 && to.write_all(&buffer[..count]).await.is_ok() => self.left -= count,
                _ => return,
            }
        }
    }
}

/// Sends over one association; the numbers of what was acknowledged.
async fn push(address: SocketAddr, numbers: Vec<usize>) -> BTreeSet<usize> {
    let to = address.to_string().parse().unwrap();
    let (node, sender) = (AeTitle::new("NODE").unwrap(), AeTitle::new("SENDER").unwrap());
    let config = requestor::with(&to, node, sender, Interval(std::time::Duration::from_secs(30)));
    let Arrival { sop_class, transfer_syntax, .. } = arrival();
    let context = ProposedContext::of(sop_class.clone(), transfer_syntax.clone());
    let mut acknowledged = BTreeSet::new();
    let Ok(mut association) = Association::request(&config, &[context]).await else { return acknowledged };
    for number in numbers {
        let (bytes, sop_instance) = (data_set(number), Uid::new(&uid(number)).unwrap());
        let item = StoreItem {
            sop_class: &sop_class,
            sop_instance: &sop_instance,
            transfer_syntax: &transfer_syntax,
            data_set: bytes.as_slice(),
            length: bytes.len() as u64,
        };
        match association.store(item).await {
            Ok(outcome) => assert!(outcome.status.is_stored(), "{outcome:?}"),
            Err(_) => return acknowledged,
        }
        acknowledged.insert(number);
    }
    drop(association.release().await);
    acknowledged
}

fn uid(number: usize) -> String {
    format!("1.2.99.{number}")
}

/// From a few bytes to a file of its own.
fn data_set(number: usize) -> Vec<u8> {
    let len = [16, 900, 30_000, 66_000, 200_000, 1_000_000, 2_000_000, 4][number % 8];
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

fn arrival() -> Arrival {
    Arrival {
        calling_ae: AeTitle::new("SENDER").unwrap(),
        called_ae: AeTitle::new("NODE").unwrap(),
        peer_addr: "127.0.0.1".into(),
        sop_class: Uid::new("1.2.840.10008.5.1.4.1.1.2").unwrap(),
        sop_instance: Uid::new("1.2.3").unwrap(),
        transfer_syntax: Uid::new("1.2.840.10008.1.2.1").unwrap(),
        file_meta: Vec::new(),
    }
}
