use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::http;
use crate::peer::{run, workspace};
use crate::process::{Server, wait_for};

/// The binary that `cargo test --workspace` built beside this test.
fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).expect("tests lie in deps/ of their profile");
    let binary = profile.join("dokuei");
    assert!(binary.is_file(), "{} is not built; run cargo build first", binary.display());
    binary
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(workspace()).env("NO_COLOR", "1");
    command
}

/// Runs `dokuei` and gives back what it wrote to standard output.
///
/// # Panics
/// When it exits with another code than 0.
#[must_use]
pub fn dokuei(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(&mut command(arguments));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "dokuei {arguments:?}: {status}\n{stderr}");
    String::from_utf8_lossy(&stdout).into_owned()
}

/// Runs `dokuei` that is to fail: its exit code and what it wrote to standard error.
///
/// # Panics
/// When it succeeds or is ended by a signal.
#[must_use]
pub fn dokuei_failing(arguments: &[&str]) -> (i32, String) {
    let output = run(&mut command(arguments));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "dokuei {arguments:?} succeeded\n{stderr}");
    (output.status.code().expect("an exit code"), stderr)
}

/// The `[[user]]` entry that `dokuei user` makes.
///
/// # Panics
/// When it fails.
#[must_use]
pub fn user_entry(name: &str, passcode: &str) -> String {
    let mut child = command(&["user", name]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    writeln!(child.stdin.take().expect("a pipe"), "{passcode}").expect("it reads the passcode");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "dokuei user: {}", output.status);
    String::from_utf8(output.stdout).expect("TOML")
}

/// Runs `dokuei` however it ends: its exit code and what it wrote to standard output.
///
/// # Panics
/// When it is ended by a signal.
#[must_use]
pub fn dokuei_ending(arguments: &[&str]) -> (i32, String) {
    let output = run(&mut command(arguments));
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Begins a `dokuei` that ends by itself or by a signal; what it writes goes to `log`.
#[must_use]
pub fn dokuei_begun(arguments: &[&str], log: &Path) -> Server {
    Server::start(command(arguments), log)
}

/// A running `dokuei serve`.
#[derive(Debug)]
pub struct Node {
    /// The port it listens on.
    pub port: u16,
    folder: PathBuf,
    server: Server,
}

impl Node {
    /// Starts a node whose files lie in `folder`, on a port it chooses, with `config` behind its own `[node]`
    /// section.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, config: &str) -> Self {
        Self::start_in(folder, config, &[])
    }

    /// As [`start`](Self::start), with further variables in the environment.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_in(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(folder).expect("create the node's folder");
        let text = format!(
            "[node]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\npreallocate = \"0 B\"\n[limits]\ndisk_free_min = \"16 MiB\"\n{config}",
            folder.join("data")
        );
        std::fs::write(folder.join("dokuei.toml"), text).expect("write a configuration");
        let mut node = Self { port: 0, folder: folder.to_owned(), server: Self::spawn(folder, environment) };
        node.wait_until_listening();
        node
    }

    fn spawn(folder: &Path, environment: &[(&str, &str)]) -> Server {
        let config = folder.join("dokuei.toml");
        let path = config.to_str().expect("temporary folders have plain names");
        let mut serve = command(&["serve", "--json", "--config", path]);
        serve.envs(environment.iter().copied());
        Server::start(serve, &folder.join("node.log"))
    }

    fn wait_until_listening(&mut self) {
        let mut address = None;
        let server = &mut self.server;
        wait_for("the node to listen", || {
            assert!(server.is_running(), "the node ended:\n{}", server.log());
            address = server.log().lines().find_map(listening);
            address.is_some()
        });
        self.port = address.expect("waited for it");
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again on the same folder.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn restart(&mut self) {
        self.restart_in(&[]);
    }

    /// As [`restart`](Self::restart), with further variables in the environment.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn restart_in(&mut self, environment: &[(&str, &str)]) {
        self.server = Self::spawn(&self.folder, environment);
        self.wait_until_listening();
    }

    /// The port it listens on for TLS.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.log().lines().find_map(|line| port_of(line, "tls_address")).expect("the node listens for TLS")
    }

    /// The port it answers HTTP on.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn http_port(&self) -> u16 {
        self.log().lines().find_map(|line| port_of(line, "http_address")).expect("the node answers HTTP")
    }

    /// What it answers to GET: status and text.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn get(&self, path: &str) -> (u16, String) {
        let (status, body) = http::request(self.http_port(), "GET", path, b"").expect("the node answers");
        (status, String::from_utf8(body).expect("it answers in UTF-8"))
    }

    /// The value of a metric with just these labels, such as `dokuei_queue_jobs{stage="match"}`; 0 when it has no such
    /// sample.
    ///
    /// # Panics
    /// When it has no metrics.
    #[must_use]
    pub fn metric(&self, sample: &str) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Lets it read its configuration again, and waits until it says `words`.
    ///
    /// # Panics
    /// When it never does.
    pub fn reload(&self, words: &str) {
        let before = self.log().len();
        run(Command::new("kill").arg("-HUP").arg(self.server.id().to_string()));
        wait_for(words, || self.log().get(before..).is_some_and(|log| log.contains(words)));
    }

    /// Asks it to drain, and gives back its exit code.
    #[must_use]
    pub fn terminate(&mut self) -> Option<i32> {
        run(Command::new("kill").arg("-TERM").arg(self.server.id().to_string()));
        self.server.exit_code()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.server.is_running()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Its data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("dokuei.toml")
    }

    /// `dokuei COMMAND … --data-dir … --json`, parsed.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let data_dir = self.data_dir();
        let folder = data_dir.to_str().expect("temporary folders have plain names");
        let text = dokuei(&[arguments, &["--json", "--data-dir", folder]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// As [`ask`](Self::ask); `None` when it fails, as with a name that nothing has.
    #[must_use]
    pub fn try_ask(&self, arguments: &[&str]) -> Option<Value> {
        let data_dir = self.data_dir();
        let place = ["--json", "--data-dir", data_dir.to_str().expect("temporary folders have plain names")];
        let output = run(&mut command(&[arguments, &place].concat()));
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// A count of `dokuei status --json`, such as `["instances", "reported"]`.
    #[must_use]
    pub fn count<const DEPTH: usize>(&self, path: [&str; DEPTH]) -> u64 {
        let status = self.ask(&["status"]);
        path.iter().fold(&status, |value, key| &value[key]).as_u64().unwrap_or(0)
    }

    /// Waits until nothing waits: each received instance has its end.
    ///
    /// # Panics
    /// After five minutes, or when the node ends.
    pub fn wait_until_settled(&mut self, received: u64) {
        wait_for("every instance to have its end", || {
            assert!(self.is_running(), "the node ended:\n{}", self.log());
            self.count(["instances", "received"]) >= received && self.count(["instances", "pending"]) == 0
        });
    }
}

/// The port in the log line that says where the node listens.
fn listening(line: &str) -> Option<u16> {
    port_of(line, "address")
}

fn port_of(line: &str, field: &str) -> Option<u16> {
    let event: Value = serde_json::from_str(line).ok()?;
    let fields = &event["fields"];
    (fields["message"] == "listening").then_some(())?;
    fields[field].as_str()?.rsplit_once(':')?.1.parse().ok()
}
