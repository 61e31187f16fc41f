use dokuei_tests::{Node, dokuei};
use serde_json::Value;
use tempfile::tempdir;

use crate::radiographs::write;

const ROUTES: &str = r#"
[[route]]
name = "chest"
when = ["modality in ['CR', 'DX']"]
models = ["cxr-pneumonia"]
[[route]]
name = "ct"
when = ["modality == 'CT'"]
models = ["cxr-pneumonia"]
"#;

fn messages(node: &Node) -> Vec<String> {
    let events = node.log();
    let events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| event["fields"]["message"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a_reload_says_what_changed_and_a_broken_one_changes_nothing() {
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), ROUTES);
    let before = std::fs::read_to_string(node.config()).unwrap();

    std::fs::write(node.config(), before.replace("modality == 'CT'", "modalty == 'CT'")).unwrap();
    node.reload("configuration not reloaded");
    assert!(node.log().contains("did you mean `modality`?"), "{}", node.log());

    let after = before.replace("modality == 'CT'", "modality == 'MR'").replace("16 MiB", "17 MiB");
    let after = after + "[[peer]]\nae_title = \"MR\"\n[[user]]\nname = \"MR\"\n";
    std::fs::write(node.config(), after).unwrap();
    node.reload("configuration reloaded");
    let said: Vec<String> = messages(&node)
        .into_iter()
        .filter_map(|line| line.strip_prefix("configuration: ").map(str::to_owned))
        .collect();
    assert_eq!(
        said,
        ["limits changed: disk_free_min", "peer \"MR\" added", "route \"ct\" changed: when", "user \"MR\" added"]
    );
    assert!(messages(&node).iter().any(|line| line == "takes effect at the next start"));
}

#[test]
fn a_node_keeps_its_name_until_the_next_start() {
    let folder = tempdir().unwrap();
    let node = Node::start(folder.path(), "");
    let before = std::fs::read_to_string(node.config()).unwrap();
    std::fs::write(node.config(), before.replace("[node]", "[node]\nae_title = \"OTHER\"")).unwrap();
    node.reload("configuration reloaded");
    assert!(messages(&node).iter().any(|line| line == "configuration: node changed: ae_title"), "{}", node.log());
    let address = format!("127.0.0.1:{}", node.port);
    assert!(!dokuei(&["echo", &address, "--called", "DOKUEI"]).is_empty());
}

#[test]
fn a_backtest_reads_beside_the_running_node() {
    let folder = tempdir().unwrap();
    let mut node = Node::start(&folder.path().join("node"), ROUTES);
    write(&folder.path().join("images"), 2);
    let images = folder.path().join("images");
    drop(dokuei(&["send", &format!("127.0.0.1:{}", node.port), images.to_str().unwrap()]));
    node.wait_until_settled(2);
    let other = folder.path().join("other.toml");
    std::fs::write(&other, ROUTES.replace("chest", "thorax")).unwrap();
    let found = node.ask(&["backtest", "--config", other.to_str().unwrap(), "--since", "1h"]);
    assert_eq!(found["compared"], 2, "{found:#}");
    assert_eq!(found["routes"]["chest"]["lost"], 2);
    assert_eq!(found["routes"]["thorax"]["gained"], 2);
    assert_eq!(found["routes"]["thorax"]["gained_examples"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["no_route"]["gained"], 0);
    let data_dir = node.data_dir();
    let said = dokuei(&["backtest", "--config", other.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]);
    assert!(said.contains("2 instances received since"), "{said}");
}
