//! The text format of Prometheus, version 0.0.4: for each family its help, its type, and a line for each sample.

use std::fmt::{self, Display};
use std::time::Duration;

/// What the values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A count of observations, and their sum.
    Summary,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        })
    }
}

/// A family of samples, as references list it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its name: unit last, and `_total` behind that where it is a counter.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Names of the labels that tell its samples apart.
    pub labels: &'static [&'static str],
    /// What it is, in a line.
    pub help: &'static str,
}

/// Metrics being written.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    heads: Vec<Head>,
}

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, head: Head) -> Family<'_> {
        let Head { name, kind, help, .. } = head;
        self.heads.push(head);
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { of: self, head }
    }

    /// A family of one sample.
    pub fn one(&mut self, (name, kind, help): (&'static str, Kind, &'static str), value: impl Display) {
        self.family(Head { name, kind, labels: &[], help }).sample([], value);
    }

    /// The families that were begun, in their order.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// What is sent.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }
}

/// A family being written.
#[derive(Debug)]
pub struct Family<'a> {
    of: &'a mut Exposition,
    head: Head,
}

impl Family<'_> {
    /// Adds a sample; `values` are those of the labels, in the order of [`Head::labels`].
    pub fn sample<const LABELS: usize>(&mut self, values: [&str; LABELS], value: impl Display) {
        self.named("", values, value);
    }

    /// Adds the sample of a summary: `count` durations of `sum` together, in seconds.
    pub fn durations<const LABELS: usize>(&mut self, values: [&str; LABELS], count: u64, sum: Duration) {
        self.named("_sum", values, sum.as_secs_f64());
        self.named("_count", values, count);
    }

    fn named<const LABELS: usize>(&mut self, suffix: &str, values: [&str; LABELS], value: impl Display) {
        debug_assert_eq!(LABELS, self.head.labels.len(), "{}", self.head.name);
        let labels = self.head.labels.iter().zip(values).map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        let name = self.head.name;
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        self.of.line(format_args!("{name}{suffix}{labels} {value}"));
    }
}

/// A label's value as it is written.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_with_help_type_and_samples() {
        let mut metrics = Exposition::default();
        metrics.one(("up_seconds", Kind::Gauge, "how long"), 2.5);
        let labels = &["destination", "outcome"];
        let mut family =
            metrics.family(Head { name: "sent_total", kind: Kind::Counter, labels, help: "what was sent" });
        family.sample(["pacs", "stored"], 7);
        family.sample(["a\\b\"c\nd", "stored"], 1);
        metrics.family(Head { name: "run_seconds", kind: Kind::Summary, labels: &["model"], help: "runs" }).durations(
            ["m"],
            2,
            Duration::from_millis(1500),
        );
        assert_eq!(
            metrics.heads().iter().map(|head| head.name).collect::<Vec<_>>(),
            ["up_seconds", "sent_total", "run_seconds"]
        );
        assert_eq!(
            metrics.into_text(),
            "# HELP up_seconds how long\n\
             # TYPE up_seconds gauge\n\
             up_seconds 2.5\n\
             # HELP sent_total what was sent\n\
             # TYPE sent_total counter\n\
             sent_total{destination=\"pacs\",outcome=\"stored\"} 7\n\
             sent_total{destination=\"a\\\\b\\\"c\\nd\",outcome=\"stored\"} 1\n\
             # HELP run_seconds runs\n\
             # TYPE run_seconds summary\n\
             run_seconds_sum{model=\"m\"} 1.5\n\
             run_seconds_count{model=\"m\"} 2\n"
        );
    }
}
