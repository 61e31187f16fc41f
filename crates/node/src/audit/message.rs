//! Audit messages of the DICOM Audit Trail Profile (PS3.15 A.5), as XML by the schema of A.5.1.1.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

/// A code and its meaning (PS3.16 Annex D), or of RFC 3881 as PS3.15 A.5.1.2.4 lists them.
type Code = (&'static str, &'static str, &'static str);

const APPLICATION_ACTIVITY: Code = ("110100", "DCM", "Application Activity");
const INSTANCES_TRANSFERRED: Code = ("110104", "DCM", "DICOM Instances Transferred");
const SECURITY_ALERT: Code = ("110113", "DCM", "Security Alert");
const APPLICATION_START: Code = ("110120", "DCM", "Application Start");
const APPLICATION_STOP: Code = ("110121", "DCM", "Application Stop");
const NODE_AUTHENTICATION: Code = ("110126", "DCM", "Node Authentication");
const APPLICATION: Code = ("110150", "DCM", "Application");
const DESTINATION: Code = ("110152", "DCM", "Destination Role ID");
const SOURCE: Code = ("110153", "DCM", "Source Role ID");
const STUDY_INSTANCE_UID: Code = ("110180", "DCM", "Study Instance UID");
const NODE_ID: Code = ("110182", "DCM", "Node ID");
const PATIENT_NUMBER: Code = ("2", "RFC-3881", "Patient Number");

/// Application server (PS3.15 A.5.1.2.1).
const AUDIT_SOURCE_TYPE: &str = "4";
/// An IP address (PS3.15 A.5.1.1, NetworkAccessPointTypeCode); 1 is a name.
const IP_ADDRESS: &str = "2";
const MACHINE_NAME: &str = "1";

/// How an event ended (PS3.15 A.5.2, EventOutcomeIndicator).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    /// The action was refused, or is not done again.
    MinorFailure,
    SeriousFailure,
}

impl Outcome {
    /// As it is written.
    pub(super) fn indicator(self) -> &'static str {
        match self {
            Self::Success => "0",
            Self::MinorFailure => "4",
            Self::SeriousFailure => "8",
        }
    }
}

/// Who reports.
#[derive(Debug, Clone)]
pub(super) struct Reporter {
    /// AE title of the node.
    pub(super) ae_title: String,
    /// The process, as its own logs name it (PS3.15 A.5.2.1).
    pub(super) process: String,
}

/// One end of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer {
    pub(super) ae_title: String,
    /// IP address or name, without the port.
    pub(super) host: String,
}

/// Instances of one study that went from one application to another.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    pub(super) at: Timestamp,
    pub(super) peer: Peer,
    /// Whether the peer sent them.
    pub(super) received: bool,
    /// Whether we had them already, or do not know whether the receiver had.
    pub(super) known: bool,
    pub(super) outcome: Outcome,
    pub(super) study: String,
    pub(super) patient_id: String,
    /// How many instances, by SOP class.
    pub(super) sop_classes: BTreeMap<String, usize>,
}

impl Reporter {
    /// Application Activity (PS3.15 A.5.3.1).
    pub(super) fn activity(&self, at: Timestamp, starts: bool) -> String {
        let kind = if starts { APPLICATION_START } else { APPLICATION_STOP };
        let mut message = Message::new(APPLICATION_ACTIVITY, Some(kind), "E", at, Outcome::Success);
        message.participant(self.of_ours(), false, Some(APPLICATION));
        message.end(self)
    }

    /// Security Alert (PS3.15 A.5.3.11) for a peer that got no association.
    pub(super) fn refusal(&self, at: Timestamp, peer: &Peer) -> String {
        let mut message = Message::new(SECURITY_ALERT, Some(NODE_AUTHENTICATION), "E", at, Outcome::MinorFailure);
        message.participant(self.of_ours(), false, None);
        message.participant(of_peer(peer), false, None);
        message.object(("2", "13"), NODE_ID, &peer.host, "");
        message.end(self)
    }

    /// DICOM Instances Transferred (PS3.15 A.5.3.7).
    pub(super) fn transfer(&self, transfer: &Transfer) -> String {
        let action = if transfer.known { "R" } else { "C" };
        let mut message = Message::new(INSTANCES_TRANSFERRED, None, action, transfer.at, transfer.outcome);
        let (ours, theirs) = (self.of_ours(), of_peer(&transfer.peer));
        let (source, destination) = if transfer.received { (theirs, ours) } else { (ours, theirs) };
        message.participant(source, true, Some(SOURCE));
        message.participant(destination, false, Some(DESTINATION));
        let mut description = "<ParticipantObjectDescription>".to_owned();
        for (class, count) in &transfer.sop_classes {
            description.push_str(&format!("<SOPClass UID=\"{}\" NumberOfInstances=\"{count}\"/>", escaped(class)));
        }
        description.push_str("</ParticipantObjectDescription>");
        message.object(("2", "3"), STUDY_INSTANCE_UID, &transfer.study, &description);
        message.object(("1", "1"), PATIENT_NUMBER, &transfer.patient_id, "");
        message.end(self)
    }

    fn of_ours(&self) -> Participant<'_> {
        Participant { user_id: &self.process, ae_title: &self.ae_title, host: None }
    }
}

fn of_peer(peer: &Peer) -> Participant<'_> {
    let user_id = if peer.ae_title.is_empty() { &peer.host } else { &peer.ae_title };
    Participant { user_id, ae_title: &peer.ae_title, host: Some(&peer.host) }
}

struct Participant<'a> {
    user_id: &'a str,
    ae_title: &'a str,
    host: Option<&'a str>,
}

/// A message on its way; its elements come in the order of the schema.
struct Message(String);

impl Message {
    fn new(id: Code, kind: Option<Code>, action: &str, at: Timestamp, outcome: Outcome) -> Self {
        let kind = kind.map(|kind| coded("EventTypeCode", kind)).unwrap_or_default();
        let (at, outcome) = (at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"), outcome.indicator());
        Self(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>\
             <EventIdentification EventActionCode=\"{action}\" EventDateTime=\"{at}\" EventOutcomeIndicator=\"{outcome}\">\
             {}{kind}</EventIdentification>",
            coded("EventID", id)
        ))
    }

    /// AE titles as PS3.15 A.5.2.2 wants them.
    fn participant(&mut self, who: Participant<'_>, requests: bool, role: Option<Code>) {
        let titles = match who.ae_title {
            "" => String::new(),
            title => format!(" AlternativeUserID=\"AETITLES={}\"", escaped(title)),
        };
        let network = who.host.map(|host| {
            let kind = if host.parse::<std::net::IpAddr>().is_ok() { IP_ADDRESS } else { MACHINE_NAME };
            format!(" NetworkAccessPointID=\"{}\" NetworkAccessPointTypeCode=\"{kind}\"", escaped(host))
        });
        let role = role.map(|role| coded("RoleIDCode", role)).unwrap_or_default();
        self.add(format_args!(
            "<ActiveParticipant UserID=\"{}\"{titles} UserIsRequestor=\"{requests}\"{}>{role}</ActiveParticipant>",
            escaped(who.user_id),
            network.unwrap_or_default()
        ));
    }

    fn object(&mut self, (kind, role): (&str, &str), id_type: Code, id: &str, description: &str) {
        // The schema wants a name; that of a patient is nobody's business here.
        self.add(format_args!(
            "<ParticipantObjectIdentification ParticipantObjectID=\"{}\" ParticipantObjectTypeCode=\"{kind}\" \
             ParticipantObjectTypeCodeRole=\"{role}\">{}<ParticipantObjectName/>{description}\
             </ParticipantObjectIdentification>",
            escaped(id),
            coded("ParticipantObjectIDTypeCode", id_type)
        ));
    }

    fn end(mut self, reporter: &Reporter) -> String {
        let source = format!(
            "<AuditSourceIdentification AuditSourceID=\"{}\"><AuditSourceTypeCode csd-code=\"{AUDIT_SOURCE_TYPE}\"/>\
             </AuditSourceIdentification>",
            escaped(&reporter.ae_title)
        );
        let at = self.0.rfind("</ActiveParticipant>").map_or(self.0.len(), |at| at + "</ActiveParticipant>".len());
        self.0.insert_str(at, &source);
        self.0.push_str("</AuditMessage>");
        self.0
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes all that is written");
    }
}

fn coded(element: &str, (code, scheme, meaning): Code) -> String {
    format!("<{element} csd-code=\"{code}\" codeSystemName=\"{scheme}\" originalText=\"{meaning}\"/>")
}

/// Text inside of an attribute; what XML 1.0 has no place for becomes a space.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter() -> Reporter {
        Reporter { ae_title: "DOKUEI".into(), process: "dokuei 42".into() }
    }

    fn peer() -> Peer {
        Peer { ae_title: "A&B".into(), host: "10.0.0.7".into() }
    }

    fn transfer() -> Transfer {
        Transfer {
            at: Timestamp::UNIX_EPOCH,
            peer: peer(),
            received: true,
            known: false,
            outcome: Outcome::Success,
            study: "1.2.3".into(),
            patient_id: "47<11".into(),
            sop_classes: BTreeMap::from([("1.2.840.10008.5.1.4.1.1.2".to_owned(), 3)]),
        }
    }

    /// An element: its name, attributes and children.
    #[derive(Debug)]
    struct Element {
        name: String,
        attributes: BTreeMap<String, String>,
        children: Vec<Element>,
    }

    /// Parses the little of XML that messages are made of.
    fn parse(text: &mut &str) -> Element {
        let (tag, rest) = text.strip_prefix('<').unwrap().split_once('>').unwrap();
        *text = rest;
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let attributes = attributes.split("\" ").filter(|attribute| !attribute.is_empty());
        let attributes = attributes.map(|attribute| {
            let (name, value) = attribute.trim_end_matches('"').split_once("=\"").unwrap();
            assert!(!value.contains(['<', '"']), "{value}");
            (name.to_owned(), value.to_owned())
        });
        let mut element = Element { name: name.to_owned(), attributes: attributes.collect(), children: Vec::new() };
        let end = format!("</{name}>");
        if is_empty {
            return element;
        }
        loop {
            if let Some(rest) = text.strip_prefix(end.as_str()) {
                *text = rest;
                return element;
            }
            element.children.push(parse(text));
        }
    }

    /// Of each element, by the schema of PS3.15 A.5.1.1: its attributes, those with a question mark optional, and its
    /// children in their order, with how often they come.
    fn rule(element: &str) -> (&'static [&'static str], &'static [(&'static str, usize, usize)]) {
        const MANY: usize = 1_000;
        match element {
            "AuditMessage" => (
                &[],
                &[
                    ("EventIdentification", 1, 1),
                    ("ActiveParticipant", 1, MANY),
                    ("AuditSourceIdentification", 1, 1),
                    ("ParticipantObjectIdentification", 0, MANY),
                ],
            ),
            "EventIdentification" => (
                &["EventActionCode?", "EventDateTime", "EventOutcomeIndicator"],
                &[("EventID", 1, 1), ("EventTypeCode", 0, MANY), ("EventOutcomeDescription", 0, 1)],
            ),
            "ActiveParticipant" => (
                &[
                    "UserID",
                    "AlternativeUserID?",
                    "UserName?",
                    "UserIsRequestor",
                    "NetworkAccessPointID?",
                    "NetworkAccessPointTypeCode?",
                ],
                &[("RoleIDCode", 0, MANY), ("MediaIdentifier", 0, 1)],
            ),
            "AuditSourceIdentification" => {
                (&["AuditEnterpriseSiteID?", "AuditSourceID"], &[("AuditSourceTypeCode", 0, MANY)])
            }
            "AuditSourceTypeCode" => (&["csd-code"], &[]),
            "ParticipantObjectIdentification" => (
                &[
                    "ParticipantObjectID",
                    "ParticipantObjectTypeCode?",
                    "ParticipantObjectTypeCodeRole?",
                    "ParticipantObjectDataLifeCycle?",
                    "ParticipantObjectSensitivity?",
                ],
                &[
                    ("ParticipantObjectIDTypeCode", 1, 1),
                    ("ParticipantObjectName", 1, 1),
                    ("ParticipantObjectDetail", 0, MANY),
                    ("ParticipantObjectDescription", 0, MANY),
                ],
            ),
            "ParticipantObjectName" => (&[], &[]),
            "ParticipantObjectDescription" => {
                (&[], &[("MPPS", 0, MANY), ("Accession", 0, MANY), ("SOPClass", 0, MANY)])
            }
            "SOPClass" => (&["UID?", "NumberOfInstances"], &[("Instance", 0, MANY)]),
            "EventID" | "EventTypeCode" | "RoleIDCode" | "ParticipantObjectIDTypeCode" => {
                (&["csd-code", "codeSystemName", "displayName?", "originalText"], &[])
            }
            other => panic!("the schema has no {other} here"),
        }
    }

    fn check_element(element: &Element) {
        let (attributes, children) = rule(&element.name);
        for attribute in attributes.iter().filter(|attribute| !attribute.ends_with('?')) {
            assert!(element.attributes.contains_key(*attribute), "{}: {attribute}", element.name);
        }
        for found in element.attributes.keys() {
            let known = attributes.iter().any(|attribute| attribute.trim_end_matches('?') == found);
            assert!(known, "{}: {found}", element.name);
        }
        let places: Vec<usize> = element
            .children
            .iter()
            .map(|child| children.iter().position(|(name, ..)| *name == child.name).unwrap())
            .collect();
        assert!(places.is_sorted(), "{}: {places:?}", element.name);
        for (place, (name, least, most)) in children.iter().enumerate() {
            let count = places.iter().filter(|found| **found == place).count();
            assert!((*least..=*most).contains(&count), "{}: {count} {name}", element.name);
        }
        element.children.iter().for_each(check_element);
    }

    fn check(message: &str) -> Element {
        let mut text = message.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
        let element = parse(&mut text);
        assert_eq!((element.name.as_str(), text), ("AuditMessage", ""));
        check_element(&element);
        element
    }

    fn codes(element: &Element, found: &mut Vec<String>) {
        found.extend(element.attributes.get("csd-code").cloned());
        element.children.iter().for_each(|child| codes(child, found));
    }

    #[test]
    fn messages_follow_the_schema_and_have_their_codes() {
        let sent = Transfer { received: false, known: true, outcome: Outcome::SeriousFailure, ..transfer() };
        for (message, action, outcome, expected) in [
            (reporter().activity(Timestamp::UNIX_EPOCH, true), "E", "0", vec!["110100", "110120", "110150", "4"]),
            (reporter().activity(Timestamp::UNIX_EPOCH, false), "E", "0", vec!["110100", "110121", "110150", "4"]),
            (reporter().refusal(Timestamp::UNIX_EPOCH, &peer()), "E", "4", vec!["110113", "110126", "4", "110182"]),
            (reporter().transfer(&transfer()), "C", "0", vec!["110104", "110153", "110152", "4", "110180", "2"]),
            (reporter().transfer(&sent), "R", "8", vec!["110104", "110153", "110152", "4", "110180", "2"]),
        ] {
            let element = check(&message);
            let event = &element.children[0].attributes;
            assert_eq!(event["EventDateTime"], "1970-01-01T00:00:00.000Z");
            assert_eq!((event["EventActionCode"].as_str(), event["EventOutcomeIndicator"].as_str()), (action, outcome));
            let mut found = Vec::new();
            codes(&element, &mut found);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_came_names_its_sender_the_study_and_the_patient_number() {
        let element = check(&reporter().transfer(&transfer()));
        let source = &element.children[1].attributes;
        assert_eq!(source["AlternativeUserID"], "AETITLES=A&amp;B");
        assert_eq!(
            (source["NetworkAccessPointID"].as_str(), source["NetworkAccessPointTypeCode"].as_str()),
            ("10.0.0.7", "2")
        );
        assert_eq!(element.children[2].attributes["UserID"], "dokuei 42");
        assert_eq!(element.children[4].attributes["ParticipantObjectID"], "1.2.3");
        assert_eq!(element.children[4].children[2].children[0].attributes["NumberOfInstances"], "3");
        assert_eq!(element.children[5].attributes["ParticipantObjectID"], "47&lt;11");
    }
}
