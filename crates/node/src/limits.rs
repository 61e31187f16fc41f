//! What a configuration says that is well-formed and cannot be meant: limits that let nothing in, one port for two.

use std::net::SocketAddr;
use std::time::Duration;

use dokuei_types::{ByteSize, Interval};

use crate::config::{ConfigFile, Problem};

/// Threads that work at a time, at most.
const WORKERS_MAX: usize = 1024;
/// Shortest PDU offered: what is shorter holds no C-STORE request together.
const PDU_MIN: ByteSize = ByteSize(4 << 10);
/// Longest PDU offered: its length is a number of 32 bits (PS3.8 § D.1).
const PDU_MAX: ByteSize = ByteSize(u32::MAX as u64);
/// A command set of a C-STORE request fits.
const COMMAND_SET_MIN: ByteSize = ByteSize(1 << 10);

/// Finds what cannot be meant.
pub(crate) fn check(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let config = &file.config;
    let limits = &config.limits;
    let mut wrong = |key: &str, is_wrong: bool, value: String, allowed: String| {
        if is_wrong {
            let problem = file.problem_at(key, format!("`{key}` is {value}, which lets nothing in"));
            problems.push(problem.help(format!("write {allowed}")));
        }
    };
    let count = |key, value: u64| (format!("limits.{key}"), value);
    for (key, value) in [
        count("associations", limits.associations as u64),
        count("associations_per_peer", limits.associations_per_peer as u64),
        count("connections_pending", limits.connections_pending as u64),
        count("queue_depth", limits.queue_depth),
        count("pixels_per_frame", limits.pixels_per_frame),
        count("instance_size", limits.instance_size.0),
    ] {
        wrong(&key, value == 0, "0".to_owned(), "1 or more".to_owned());
    }
    let (size, allowed) = (limits.command_set_size, format!("{COMMAND_SET_MIN} or more"));
    wrong("limits.command_set_size", size.0 < COMMAND_SET_MIN.0, size.to_string(), allowed);
    for (key, time) in [
        ("limits.associate_timeout", limits.associate_timeout),
        ("limits.idle_timeout", limits.idle_timeout),
        ("limits.stall_timeout", limits.stall_timeout),
    ] {
        wrong(key, time.0 == Duration::ZERO, time.to_string(), "a time such as \"30s\"".to_owned());
    }
    let size = limits.pdu_length;
    if !(PDU_MIN.0..=PDU_MAX.0).contains(&size.0) {
        let problem = file.problem_at("limits.pdu_length", format!("no peer can be offered PDUs of {size}"));
        problems.push(problem.help(format!("write {PDU_MIN} or more, and less than {}", ByteSize(4 << 30))));
    }
    if let Some(workers) = config.node.workers.filter(|workers| !(1..=WORKERS_MAX).contains(workers)) {
        let problem = file.problem_at("node.workers", format!("{workers} threads cannot work"));
        problems.push(problem.help(format!("write a number from 1 to {WORKERS_MAX}, or leave it out")));
    }
    entries(file, problems);
    ports(file, problems);
}

fn entries(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let config = &file.config;
    let destinations = config.destinations.iter().map(|entry| (entry.span(), &entry.as_ref().name));
    let routes = config.routes.iter().map(|entry| (entry.span(), &entry.as_ref().name));
    let users = config.users.iter().map(|entry| (entry.span(), &entry.as_ref().name));
    for (span, name) in destinations.chain(routes).chain(users) {
        if name.trim().is_empty() {
            problems.push(file.problem(file.find(span, "name", name), "a name has letters"));
        }
    }
    for entry in &config.destinations {
        let destination = entry.as_ref();
        for (key, Interval(time)) in [("timeout", destination.timeout), ("confirm_within", destination.confirm_within)]
        {
            if time == Duration::ZERO {
                let problem = file.problem(file.find(entry.span(), key, ""), "no peer answers in no time");
                problems.push(problem.help("write a time such as \"30s\""));
            }
        }
    }
}

fn ports(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let config = &file.config;
    let all = [
        ("node.listen", Some(config.node.listen)),
        ("tls.listen", config.tls.as_ref().map(|tls| tls.as_ref().listen)),
        ("http.listen", config.http.listen),
    ];
    let all: Vec<(&str, SocketAddr)> = all.into_iter().filter_map(|(key, address)| Some((key, address?))).collect();
    for (index, (key, address)) in all.iter().enumerate() {
        for (before, other) in all.iter().take(index) {
            if collide(*address, *other) {
                let words = format!("`{key}` has the port of `{before}`, {other}");
                problems.push(file.problem_at(key, words).help("give each a port of its own"));
            }
        }
    }
}

/// Whether no two sockets can listen there.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (here, there) = (one.ip(), other.ip());
    let overlap = here == there || here.is_unspecified() || there.is_unspecified();
    one.port() == other.port() && one.port() != 0 && overlap && one.is_ipv4() == other.is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_text;

    fn said(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        check(&from_text("dokuei.toml", text.to_owned()).unwrap(), &mut problems);
        problems.into_iter().map(|problem| format!("{:?}", miette::Report::new(problem))).collect()
    }

    #[test]
    fn what_lets_nothing_in_is_found_at_its_line() {
        for (text, words) in [
            ("[limits]\nassociations = 0\n", ["dokuei.toml:2", "write 1 or more"]),
            ("[limits]\nqueue_depth = 0\n", ["dokuei.toml:2", "limits.queue_depth"]),
            ("[limits]\ncommand_set_size = \"10 B\"\n", ["dokuei.toml:2", "1 KiB or more"]),
            ("[limits]\npdu_length = \"0 B\"\n", ["dokuei.toml:2", "4 KiB or more"]),
            ("[limits]\npdu_length = \"8 GiB\"\n", ["dokuei.toml:2", "less than 4 GiB"]),
            ("[limits]\nidle_timeout = \"0s\"\n", ["dokuei.toml:2", "30s"]),
            ("[node]\nworkers = 100000\n", ["dokuei.toml:2", "1 to 1024"]),
            ("[http]\nlisten = \"0.0.0.0:11112\"\n", ["dokuei.toml:2", "port of `node.listen`"]),
            ("[[user]]\nname = \" \"\n", ["dokuei.toml:2", "a name has letters"]),
            (
                "[[destination]]\nname = \"a\"\nae_title = \"A\"\naddress = \"a:1\"\ntimeout = \"0s\"\n",
                ["dokuei.toml:5", "no peer answers"],
            ),
        ] {
            let said = said(text);
            let [one] = said.as_slice() else { panic!("{text}: {said:?}") };
            words.iter().for_each(|word| assert!(one.contains(word), "{word} is not in\n{one}"));
        }
        assert_eq!(said(include_str!("../../../config/dokuei.toml")), [] as [String; 0]);
        assert_eq!(said("[http]\nlisten = \"127.0.0.2:11112\"\n"), [] as [String; 0]);
    }
}
