use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceSpan};
use thiserror::Error;

/// Everything wrong with a configuration; nothing starts.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// What it says cannot be.
    #[error("the configuration {name} cannot be used")]
    Invalid { name: String, problems: Vec<Problem> },
}

/// One thing wrong, with the place in the file where there is one.
#[derive(Debug, Error)]
#[error("{message}")]
pub(crate) struct Problem {
    message: String,
    help: Option<String>,
    place: Option<(NamedSource<String>, SourceSpan)>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, place: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn at(mut self, name: &str, text: &str, span: std::ops::Range<usize>) -> Self {
        // An empty span is drawn nowhere.
        let length = span.len().max(1);
        self.place = Some((NamedSource::new(name, text.to_owned()), SourceSpan::new(span.start.into(), length)));
        self
    }
}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        self.place.as_ref().map(|(source, _)| source as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.place.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".to_owned()), *span))))
    }
}

impl Diagnostic for ConfigError {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self {
            Self::Read { .. } => None,
            Self::Invalid { problems, .. } => Some(Box::new(problems.iter().map(|p| p as &dyn Diagnostic))),
        }
    }
}
