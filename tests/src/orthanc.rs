use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::http;
use crate::peer::tool;
use crate::process::{Server, free_port, wait_for};

/// Orthanc with its state in a temporary folder: a PACS, and a modality by its REST interface.
#[derive(Debug)]
pub struct Orthanc {
    /// Its DICOM port.
    pub port: u16,
    /// The port of its REST interface.
    pub http_port: u16,
    server: Server,
}

impl Orthanc {
    /// Starts it with a modality named `dokuei` at `node_port`, on the DICOM port `port`, and with `lua` as its
    /// script; or says why not.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, port: u16, node_port: u16, lua: &str) -> Option<Self> {
        let orthanc = tool("Orthanc")?;
        std::fs::create_dir_all(folder).expect("create Orthanc's folder");
        let http_port = free_port();
        std::fs::write(folder.join("route.lua"), lua).expect("write a script");
        let config = json!({
            "Name": "PACS",
            "DicomAet": "ORTHANC",
            "DicomPort": port,
            "HttpPort": http_port,
            "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false,
            "StorageDirectory": folder.join("storage"),
            "IndexDirectory": folder.join("index"),
            "DicomAlwaysAllowEcho": true,
            "DicomAlwaysAllowStore": true,
            "DicomModalities": { "dokuei": ["DOKUEI", "127.0.0.1", node_port] },
            "LuaScripts": [folder.join("route.lua")],
            "Plugins": [],
        });
        let file = folder.join("orthanc.json");
        std::fs::write(&file, config.to_string()).expect("write a configuration");
        let mut command = Command::new(orthanc);
        command.arg(&file);
        let server = Server::start(command, &folder.join("orthanc.log"));
        let orthanc = Self { port, http_port, server };
        wait_for("Orthanc to answer", || http::request(http_port, "GET", "/system", b"").is_some());
        Some(orthanc)
    }

    /// A GET of its REST interface.
    ///
    /// # Panics
    /// When it does not answer with JSON.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        let (_, body) = self.request("GET", path, b"");
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The bytes of a stored instance as a file.
    #[must_use]
    pub fn file(&self, instance: &str) -> Vec<u8> {
        self.request("GET", &format!("/instances/{instance}/file"), b"").1
    }

    /// Gives it a file, as a modality's own memory would hold it.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn upload(&self, file: &Path) -> String {
        let bytes = std::fs::read(file).expect("read the file to upload");
        let (status, body) = self.request("POST", "/instances", &bytes);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).expect("Orthanc answers with JSON");
        answer["ID"].as_str().expect("an instance has an ID").to_owned()
    }

    /// Lets it C-STORE an instance to the node; whether that succeeded.
    #[must_use]
    pub fn send_to_node(&self, instance: &str) -> bool {
        self.request("POST", "/modalities/dokuei/store", instance.as_bytes()).0 == 200
    }

    /// Lets it ask the node for commitment to an instance; where its result can be got.
    ///
    /// # Panics
    /// When the node does not take the request.
    #[must_use]
    pub fn ask_commitment(&self, instance: &str) -> String {
        let asked = json!({ "Resources": [instance], "Timeout": 20 }).to_string();
        let (status, body) = self.request("POST", "/modalities/dokuei/storage-commitment", asked.as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).expect("Orthanc answers with JSON");
        answer["Path"].as_str().expect("a transaction has a path").to_owned()
    }

    /// The attributes of every instance it holds, by keyword.
    #[must_use]
    pub fn instances(&self) -> Vec<Value> {
        let list = self.get("/instances");
        let ids = list.as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.map(|id| self.get(&format!("/instances/{id}/simplified-tags"))).collect()
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        http::request(self.http_port, method, path, body)
            .unwrap_or_else(|| panic!("Orthanc does not answer:\n{}", self.server.log()))
    }
}
