//! A storage in memory, a listener around it, and a peer that does what a test says byte by byte.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AbortRQSource, AssociationAC, AssociationRQ, MAXIMUM_PDU_SIZE, PDataValue, PDataValueType, Pdu,
    PresentationContextProposed, UserVariableItem, read_pdu, write_pdu,
};
use dokuei_dimse::message::{CommandSet, store_request};
use dokuei_dimse::{
    Counters, Implementation, IncomingInstance, ListenerConfig, Listeners, Refusal, RequestorConfig, StorageService,
    StoreRequest, Users, bind, serve,
};
use dokuei_types::{AeTitle, DimseStatus, Uid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CT: &str = uids::CT_IMAGE_STORAGE;
pub(crate) const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

pub(crate) fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

pub(crate) fn ae(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

/// Bytes that tell where they are and which `seed` they were made from.
pub(crate) fn pattern(seed: usize, length: usize) -> Vec<u8> {
    let unit: Vec<u8> = (0..251).map(|n| u8::try_from((n + seed * 7) % 251).unwrap()).collect();
    let mut bytes = unit.repeat(length / unit.len() + 1);
    bytes.truncate(length);
    bytes
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) sop_class: Uid,
    pub(crate) sop_instance: Uid,
    pub(crate) transfer_syntax: Uid,
    pub(crate) data: Vec<u8>,
}

/// A storage in memory that can be told to refuse, and to wait before it commits.
pub(crate) struct Memory {
    pub(crate) kept: Arc<Mutex<Vec<Kept>>>,
    pub(crate) refuse_begin: AtomicBool,
    /// Refuse once an instance has more bytes than this.
    pub(crate) room: AtomicUsize,
    pub(crate) congested: AtomicBool,
    /// A commit takes a permit.
    pub(crate) commits: Arc<Semaphore>,
    pub(crate) committing: Arc<AtomicUsize>,
    pub(crate) discarded: Arc<AtomicUsize>,
    pub(crate) begun: AtomicUsize,
    /// The most instances that were begun and neither kept nor discarded.
    pub(crate) most_at_a_time: AtomicUsize,
    /// Instances that are kept only once their own permit is there.
    pub(crate) held: Arc<Mutex<HashMap<Uid, Arc<Semaphore>>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            kept: Arc::default(),
            refuse_begin: AtomicBool::new(false),
            room: AtomicUsize::new(usize::MAX),
            congested: AtomicBool::new(false),
            commits: Arc::new(Semaphore::new(1_000_000)),
            committing: Arc::default(),
            discarded: Arc::default(),
            begun: AtomicUsize::new(0),
            most_at_a_time: AtomicUsize::new(0),
            held: Arc::default(),
        }
    }
}

impl Memory {
    pub(crate) fn kept(&self) -> Vec<Kept> {
        self.kept.lock().unwrap().clone()
    }

    /// Lets nothing be kept until there are permits.
    pub(crate) fn hold_commits(&self) {
        self.commits.forget_permits(usize::MAX);
    }

    /// Holds one instance back until [`Memory::let_go`].
    pub(crate) fn hold(&self, instance: &str) {
        self.held.lock().unwrap().insert(uid(instance), Arc::new(Semaphore::new(0)));
    }

    pub(crate) fn let_go(&self, instance: &str) {
        self.held.lock().unwrap()[&uid(instance)].add_permits(1);
    }
}

pub(crate) struct Arriving {
    entry: Option<Kept>,
    room: usize,
    kept: Arc<Mutex<Vec<Kept>>>,
    commits: Arc<Semaphore>,
    held: Arc<Mutex<HashMap<Uid, Arc<Semaphore>>>>,
    committing: Arc<AtomicUsize>,
    discarded: Arc<AtomicUsize>,
}

pub(crate) struct Proof;

impl StorageService for Memory {
    type Incoming = Arriving;

    fn begin(&self, request: StoreRequest<'_>) -> Result<Arriving, Refusal> {
        if self.refuse_begin.load(SeqCst) {
            return Err(Refusal::new(DimseStatus::OUT_OF_RESOURCES, "disk is full"));
        }
        let begun = self.begun.fetch_add(1, SeqCst) + 1;
        let over = self.kept.lock().unwrap().len() + self.discarded.load(SeqCst);
        self.most_at_a_time.fetch_max(begun.saturating_sub(over), SeqCst);
        Ok(Arriving {
            entry: Some(Kept {
                sop_class: request.sop_class.clone(),
                sop_instance: request.sop_instance.clone(),
                transfer_syntax: request.transfer_syntax.clone(),
                data: Vec::new(),
            }),
            room: self.room.load(SeqCst),
            kept: self.kept.clone(),
            commits: self.commits.clone(),
            held: self.held.clone(),
            committing: self.committing.clone(),
            discarded: self.discarded.clone(),
        })
    }

    fn is_congested(&self) -> bool {
        self.congested.load(SeqCst)
    }
}

impl IncomingInstance for Arriving {
    type Committed = Proof;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let data = &mut self.entry.as_mut().unwrap().data;
        if data.len() + bytes.len() > self.room {
            return Err(Refusal::new(DimseStatus::OUT_OF_RESOURCES, "no space left on the disk"));
        }
        data.extend_from_slice(bytes);
        Ok(())
    }

    async fn commit(mut self) -> Result<Proof, Refusal> {
        self.committing.fetch_add(1, SeqCst);
        let own = self.held.lock().unwrap().get(&self.entry.as_ref().unwrap().sop_instance).cloned();
        if let Some(own) = own {
            own.acquire_owned().await.unwrap().forget();
        }
        self.commits.clone().acquire_owned().await.unwrap().forget();
        self.kept.lock().unwrap().push(self.entry.take().unwrap());
        Ok(Proof)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if self.entry.is_some() {
            self.discarded.fetch_add(1, SeqCst);
        }
    }
}

/// Knows Jo, whose passcode is sesame.
#[derive(Debug)]
pub(crate) struct OneUser;

impl Users for OneUser {
    fn recognizes(&self, name: &str, passcode: Option<&[u8]>) -> bool {
        name == "Jo" && passcode == Some(b"sesame")
    }

    fn is_quick(&self, _name: &str, _passcode: &[u8]) -> bool {
        false
    }
}

/// A listener on a free port of loopback.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) memory: Arc<Memory>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) config: watch::Sender<Arc<ListenerConfig>>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

pub(crate) fn implementation() -> Implementation {
    Implementation { class_uid: uid("1.2.3.4"), version_name: "TEST_1".into() }
}

impl Node {
    pub(crate) fn start(change: impl FnOnce(&mut ListenerConfig)) -> Self {
        Self::with(Memory::default(), change)
    }

    pub(crate) fn with(memory: Memory, change: impl FnOnce(&mut ListenerConfig)) -> Self {
        Self::on(|plain| Listeners { plain: Some(plain), tls: None }, memory, change)
    }

    /// On a TLS port, with what the test sets.
    pub(crate) fn start_tls(change: impl FnOnce(&mut ListenerConfig)) -> Self {
        Self::on(|tls| Listeners { plain: None, tls: Some(tls) }, Memory::default(), change)
    }

    fn on(
        listeners: impl FnOnce(TcpListener) -> Listeners,
        memory: Memory,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Self {
        let mut config = ListenerConfig::new(ae("NODE"), implementation());
        config.timeouts.closing = Duration::from_secs(2);
        change(&mut config);
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let memory = Arc::new(memory);
        let counters = Arc::new(Counters::default());
        let (config, reader) = watch::channel(Arc::new(config));
        let shutdown = CancellationToken::new();
        let served =
            tokio::spawn(serve(listeners(listener), reader, memory.clone(), counters.clone(), shutdown.clone()));
        Self { address, memory, counters, config, shutdown, served }
    }

    pub(crate) fn requestor(&self) -> RequestorConfig {
        RequestorConfig::new(self.address.to_string(), ae("NODE"), ae("PEER"), implementation())
    }

    /// The listener must still answer, whatever happened to it.
    pub(crate) async fn check_alive(&self) {
        let report = dokuei_dimse::echo(&self.requestor()).await.unwrap();
        assert_eq!(report.status, DimseStatus::SUCCESS);
    }
}

/// A peer that does what the test says.
pub(crate) struct Script {
    pub(crate) stream: TcpStream,
}

pub(crate) fn proposed(id: u8, abstract_syntax: &str, transfer_syntax: &str) -> PresentationContextProposed {
    PresentationContextProposed {
        id,
        abstract_syntax: abstract_syntax.into(),
        transfer_syntaxes: vec![transfer_syntax.into()],
    }
}

pub(crate) fn request(contexts: Vec<PresentationContextProposed>, max_length: u32) -> AssociationRQ {
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "PEER".into(),
        called_ae_title: "NODE".into(),
        application_context_name: uids::DICOM_APPLICATION_CONTEXT.into(),
        presentation_contexts: contexts,
        user_variables: vec![UserVariableItem::MaxLength(max_length)],
    }
}

pub(crate) fn bytes_of(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, pdu).unwrap();
    bytes
}

pub(crate) fn value(context: u8, is_command: bool, is_last: bool, data: &[u8]) -> PDataValue {
    PDataValue {
        presentation_context_id: context,
        value_type: if is_command { PDataValueType::Command } else { PDataValueType::Data },
        is_last,
        data: data.to_vec(),
    }
}

pub(crate) fn data_pdu(values: Vec<PDataValue>) -> Vec<u8> {
    bytes_of(&Pdu::PData { data: values })
}

/// A C-STORE of `data` in one PDU for the command and one for the data set.
pub(crate) fn store_pdus(context: u8, message_id: u16, instance: &str, data: &[u8]) -> Vec<u8> {
    let command = store_request(message_id, &uid(CT), &uid(instance));
    let mut bytes = data_pdu(vec![value(context, true, true, &command)]);
    bytes.extend(data_pdu(vec![value(context, false, true, data)]));
    bytes
}

impl Script {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Connected, associated with CT in context 1, PDUs of any length.
    pub(crate) async fn associated(address: SocketAddr) -> Self {
        let mut script = Self::connect(address).await;
        let answer = script.associate(&request(vec![proposed(1, CT, EXPLICIT)], 0)).await;
        assert_eq!(answer.presentation_contexts.len(), 1);
        script
    }

    pub(crate) async fn associate(&mut self, request: &AssociationRQ) -> AssociationAC {
        self.send(&bytes_of(&request.clone().into())).await;
        match self.pdu().await {
            Some(Pdu::AssociationAC(answer)) => answer,
            other => panic!("no A-ASSOCIATE-AC but {other:?}"),
        }
    }

    /// As [`Script::associated`], with so many operations at a time agreed on.
    pub(crate) async fn associated_with_window(address: SocketAddr, window: u16) -> Self {
        let mut script = Self::connect(address).await;
        let mut request = request(vec![proposed(1, CT, EXPLICIT)], 0);
        let [high, low] = window.to_be_bytes();
        request.user_variables.push(UserVariableItem::Unknown(0x53, vec![high, low, 0, 1]));
        let answer = script.associate(&request).await;
        assert!(answer.user_variables.contains(&UserVariableItem::Unknown(0x53, vec![high, low, 0, 1])));
        script
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next PDU as it came; `None` at the end of the connection.
    pub(crate) async fn bytes(&mut self) -> Option<Vec<u8>> {
        let read = async {
            let mut bytes = vec![0; 6];
            self.stream.read_exact(&mut bytes).await.ok()?;
            let length = u32::from_be_bytes(bytes[2..6].try_into().unwrap());
            bytes.resize(6 + length as usize, 0);
            self.stream.read_exact(&mut bytes[6..]).await.ok()?;
            Some(bytes)
        };
        timeout(PATIENCE, read).await.expect("the node answers or closes")
    }

    /// The next PDU; `None` at the end of the connection.
    pub(crate) async fn pdu(&mut self) -> Option<Pdu> {
        read_pdu(&mut self.bytes().await?.as_slice(), MAXIMUM_PDU_SIZE, false).unwrap()
    }

    /// The next command set, of however many fragments.
    pub(crate) async fn command(&mut self) -> CommandSet {
        let mut bytes = Vec::new();
        loop {
            let Some(Pdu::PData { data }) = self.pdu().await else { panic!("no command") };
            for value in data {
                assert_eq!(value.value_type, PDataValueType::Command);
                bytes.extend(value.data);
                if value.is_last {
                    return CommandSet::parse(bytes).unwrap();
                }
            }
        }
    }

    /// The next message: its command and its data set.
    pub(crate) async fn message(&mut self) -> (CommandSet, Vec<u8>) {
        let command = self.command().await;
        let mut data = Vec::new();
        while command.has_data_set() {
            let Some(Pdu::PData { data: values }) = self.pdu().await else { panic!("no data set") };
            let ends = values.iter().any(|value| value.is_last);
            data.extend(values.into_iter().flat_map(|value| value.data));
            if ends {
                break;
            }
        }
        (command, data)
    }

    /// The status of the response to this message.
    pub(crate) async fn status(&mut self, message_id: u16) -> u16 {
        let command = self.command().await;
        assert_eq!(command.responds_to(), Some(message_id));
        command.status().unwrap().0
    }

    pub(crate) async fn check_aborted(&mut self, expected: AbortRQSource) {
        assert_eq!(self.pdu().await, Some(Pdu::AbortRQ { source: expected }));
    }

    pub(crate) async fn check_closed(&mut self) {
        assert_eq!(self.pdu().await, None);
    }

    pub(crate) async fn release(&mut self) {
        self.send(&bytes_of(&Pdu::ReleaseRQ)).await;
        assert_eq!(self.pdu().await, Some(Pdu::ReleaseRP));
    }
}
