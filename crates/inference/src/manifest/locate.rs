//! From a fault to the line it stands on.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a `model.toml`, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {}{problem}", self.key_prefix())]
pub struct ManifestError {
    /// The file as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The place in the text, in bytes.
    pub span: Range<usize>,
    /// The key, such as `finding[0].bands.high`; empty when the text is not TOML there.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl ManifestError {
    fn key_prefix(&self) -> String {
        if self.key.is_empty() { String::new() } else { format!("`{}`: ", self.key) }
    }

    fn new(file: &str, text: &str, span: Range<usize>, key: String, problem: String) -> Self {
        let before = text.get(..span.start.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).map_or(0, |line| line.chars().count()) + 1,
            span,
            key,
            problem,
        }
    }
}

/// A value that TOML and the types allow and the rules do not.
pub(super) struct Fault {
    /// The key, such as `finding[0].bands.high`.
    pub(super) key: String,
    /// What is wrong and what would be right.
    pub(super) problem: String,
}

impl Fault {
    pub(super) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}

/// An error of the TOML reader.
pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ManifestError {
    let span = error.span().unwrap_or(0..0);
    let key = DeTable::parse(text).ok().map(|root| key_at(&root, &span)).unwrap_or_default();
    ManifestError::new(file, text, span, key, error.message().replace('\n', ", "))
}

/// A fault found by our own rules: the key's place, or that of the nearest table around it.
pub(super) fn fault(file: &str, text: &str, fault: &Fault) -> ManifestError {
    let span = DeTable::parse(text).ok().map_or(0..0, |root| span_of(&root, &fault.key));
    ManifestError::new(file, text, span, fault.key.clone(), fault.problem.clone())
}

fn child<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

fn span_of(root: &Spanned<DeTable<'_>>, key: &str) -> Range<usize> {
    let mut span = 0..0;
    let mut table = root.get_ref();
    for part in key.split('.') {
        let (name, index) = match part.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        let Some(mut value) = child(table, name) else { break };
        if let (DeValue::Array(items), Some(index)) = (value.get_ref(), index) {
            let Some(item) = items.get(index) else { break };
            value = item;
        }
        span = value.span();
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    span
}

/// The innermost key whose value, or whose own name, holds the place.
fn key_at(root: &Spanned<DeTable<'_>>, place: &Range<usize>) -> String {
    let holds = |span: &Range<usize>| span.start <= place.start && place.end <= span.end;
    let mut path = String::new();
    let mut table = root.get_ref();
    'deeper: loop {
        for (key, value) in table {
            if !holds(&key.span()) && !holds(&value.span()) && !nested(value, &holds) {
                continue;
            }
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key.get_ref());
            let mut value = value;
            if let DeValue::Array(items) = value.get_ref()
                && let Some((index, item)) =
                    items.iter().enumerate().find(|(_, item)| holds(&item.span()) || nested(item, &holds))
            {
                path.push_str(&format!("[{index}]"));
                value = item;
            }
            let DeValue::Table(inner) = value.get_ref() else { break 'deeper };
            table = inner;
            continue 'deeper;
        }
        break;
    }
    path
}

/// A table's span covers its header alone, so what it holds has to be asked.
fn nested(value: &Spanned<DeValue<'_>>, holds: &impl Fn(&Range<usize>) -> bool) -> bool {
    match value.get_ref() {
        DeValue::Table(table) => {
            table.iter().any(|(key, value)| holds(&key.span()) || holds(&value.span()) || nested(value, holds))
        }
        DeValue::Array(items) => items.iter().any(|item| holds(&item.span()) || nested(item, holds)),
        _ => false,
    }
}
