//! How a command ends, and how it writes.

use std::error::Error;
use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use miette::Diagnostic;
use thiserror::Error;

use crate::config::ConfigError;

/// Why a command does not end with 0.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// Wrong configuration: exit code 64.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The work failed: exit code 1.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The work failed and all about it is said already: exit code 1.
    #[error("failed")]
    Said,
}

/// A failure in people's words, with what to do next.
#[derive(Debug, Error, Diagnostic)]
#[error("{message}")]
pub(crate) struct WorkError {
    message: String,
    #[help]
    help: Option<String>,
}

impl Failure {
    /// What failed, with its causes, one after the other.
    pub(crate) fn because(doing: &str, error: &dyn Error) -> Self {
        let mut message = doing.to_owned();
        let mut cause = Some(error);
        while let Some(error) = cause {
            if !message.is_empty() {
                message.push_str(": ");
            }
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::work(message)
    }

    pub(crate) fn work(message: impl Into<String>) -> Self {
        Self::Work(WorkError { message: message.into(), help: None })
    }

    pub(crate) fn help(mut self, words: impl Into<String>) -> Self {
        if let Self::Work(error) = &mut self {
            error.help = Some(words.into());
        }
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 64,
            Self::Work(_) | Self::Said => 1,
        }
    }
}

/// Writes a line to standard output. A reader that has gone away is no failure of ours.
pub(crate) fn line(text: impl std::fmt::Display) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Writes a line for people to standard error.
pub(crate) fn say(text: impl std::fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// A bar on standard error while `what` are worked on, of which there are `total`, where that is known; none where a
/// program reads, or nobody looks.
pub(crate) fn progress(what: &str, total: Option<u64>, json: bool) -> ProgressBar {
    let visible = io::stderr().is_terminal() && !json;
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let left = if total.is_some() { ", {eta} left" } else { "" };
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {what}, {{per_sec}}{left}"));
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(total, target).with_style(style)
}

/// Writes a value as JSON: one line, or spread out where a person reads it too.
pub(crate) fn json(value: &impl serde::Serialize, pretty: bool) {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    line(text.expect("our own values have string keys and finite numbers"));
}

/// Columns of text, each as wide as its widest cell; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        line(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
