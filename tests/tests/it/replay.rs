use dokuei_tests::{Node, Storescp, dokuei, dokuei_ending, wait_for};
use tempfile::tempdir;

use crate::radiographs::write;

#[test]
fn what_one_of_two_archives_has_lost_is_sent_to_it_again() {
    let folder = tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| Storescp::start(&folder.path().join(name)));
    let (Some(first), Some(second)) = (first, second) else { return };
    let destination = |name: &str, port: u16| {
        format!("[[destination]]\nname = \"{name}\"\nae_title = \"PACS\"\naddress = \"127.0.0.1:{port}\"\n")
    };
    let config = format!(
        "{}{}[[route]]\nname = \"copies\"\nsend_images = [\"first\", \"second\"]\n",
        destination("first", first.port),
        destination("second", second.port)
    );
    let mut node = Node::start(&folder.path().join("node"), &config);
    let images = folder.path().join("images");
    write(&images, 3);
    let address = format!("127.0.0.1:{}", node.port);
    drop(dokuei(&["send", &address, images.to_str().unwrap()]));
    node.wait_until_settled(3);
    for file in first.files().iter().chain(&second.files()) {
        std::fs::remove_file(file).unwrap();
    }

    let data_dir = node.data_dir();
    let place = ["--data-dir", data_dir.to_str().unwrap()];
    let part = ["replay", "--destination", "first", "--since", "1h"];
    let listed = dokuei(&[&part[..], &["--dry-run"], &place].concat());
    assert_eq!(listed.lines().filter(|line| line.ends_with("deliver original to first")).count(), 3, "{listed}");
    assert!(listed.ends_with("without --dry-run: 3 objects are sent once more\n"), "{listed}");
    assert_eq!(node.ask(&["replay", "--until", "1h"])["sent_again"], 0, "nothing is as old");
    assert_eq!(node.ask(&part)["sent_again"], 3);
    wait_for("the first archive to have them again", || first.files().len() == 3);
    node.wait_until_settled(3);
    assert_eq!(second.files().len(), 0, "the second one was not meant");

    let (code, _) = dokuei_ending(&[&["replay", "--destination", "frist"], &place[..]].concat());
    assert_eq!(code, 1);
    let (code, _) = dokuei_ending(&[&["replay"], &place[..]].concat());
    assert_eq!(code, 64, "a replay of nothing in particular");
}
