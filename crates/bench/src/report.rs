//! Where figures go: lines of JSON, tables, and the machine they belong to.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::thread;

use serde::Serialize;

use crate::folders;

/// A file with one JSON object a line, where one is wanted.
#[derive(Debug)]
pub(crate) struct JsonLines(Option<File>);

impl JsonLines {
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        path.map(|path| OpenOptions::new().create(true).append(true).open(path)).transpose().map(Self)
    }

    pub(crate) fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        file.write_all(&line)
    }
}

/// What the figures depend on: processor, cores, kernel, and the commit of the sources.
pub(crate) fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let name = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("unknown processor", |(_, name)| name);
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    let mut git = Command::new("git");
    let commit = git.args(["describe", "--always", "--dirty"]).current_dir(folders::workspace()).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    format!("{name}, {cores} cores, Linux {}, commit {commit}", kernel.trim())
}

/// A table in Markdown, its columns as wide as they must be.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(|name| (*name).to_owned()).collect()] }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let columns = self.rows.first().map_or(0, Vec::len);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = widths.iter().enumerate().map(|(column, width)| padded(&cell(row, column), column, *width));
            writeln!(f, "{}|", cells.collect::<String>())?;
            if index == 0 {
                let rules = widths.iter().enumerate().map(|(column, width)| rule(column, *width));
                writeln!(f, "{}|", rules.collect::<String>())?;
            }
        }
        Ok(())
    }
}

/// Names to the left, figures to the right.
fn padded(text: &str, column: usize, width: usize) -> String {
    if column == 0 { format!("| {text:width$} ") } else { format!("| {text:>width$} ") }
}

fn rule(column: usize, width: usize) -> String {
    format!("|{}{}", "-".repeat(width + 1), if column == 0 { '-' } else { ':' })
}

/// Three digits that count, as far as there are any.
pub(crate) fn figure(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new(&["receiver", "rate"]);
        table.row(vec!["a".to_owned(), figure(Some(1234.5))]);
        table.row(vec!["b".to_owned(), figure(None)]);
        let text = "| receiver | rate |\n|----------|-----:|\n| a        | 1234 |\n| b        |    – |\n";
        assert_eq!(table.to_string(), text);
    }
}
