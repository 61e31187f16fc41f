//! The tables of `bench receive`.

use std::collections::BTreeMap;

use crate::receive::{Cell, Figures, Group};
use crate::report::{Table, figure};
use crate::stats;

/// What rates are divided by.
const BASES: [&str; 3] = ["write", "sync", "disk"];

/// One line for a run that has just ended.
pub(crate) fn progress(cell: &Cell) -> String {
    let Group { repetition, corpus, associations, .. } = cell.group;
    let what = match (&cell.figures, &cell.error) {
        (Some(figures), _) => {
            let stored = figures.stored.as_deref().unwrap_or("not asked");
            let failures =
                if figures.failures.is_empty() { String::new() } else { format!("; {:?}", figures.failures) };
            format!("{} images/s, stored: {stored}{failures}", figure(Some(figures.images_per_s)))
        }
        (None, error) => error.clone().unwrap_or_default(),
    };
    format!("{repetition} {} x {associations:<3} {:12} {what}", corpus.name(), cell.receiver)
}

/// One table for each corpus and number of associations: medians over the repetitions, fastest first.
pub(crate) fn tables(cells: &[Cell]) -> String {
    let mut text = String::new();
    let mut done: Vec<Group> = Vec::new();
    for cell in cells {
        let of_all = Group { repetition: 0, ..cell.group };
        if done.contains(&of_all) {
            continue;
        }
        done.push(of_all);
        let same: Vec<&Cell> = cells.iter().filter(|cell| Group { repetition: 0, ..cell.group } == of_all).collect();
        text += &format!("\n{} x {}\n\n{}", of_all.corpus.name(), of_all.associations, table(&same, of_all));
    }
    text
}

fn table(cells: &[&Cell], group: Group) -> Table {
    let mut by_receiver: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for cell in cells {
        by_receiver.entry(cell.receiver).or_default().push(cell);
    }
    let bases = BASES.map(|base| rates(by_receiver.get(base).map_or(&[], Vec::as_slice)));
    let mut rows: Vec<(f64, Vec<String>)> =
        by_receiver.iter().map(|(name, cells)| row(name, cells, &bases, group)).collect();
    rows.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let mut table = Table::new(&[
        "receiver",
        "images/s",
        "MB/s",
        "x write",
        "x sync",
        "x disk",
        "p50 ms",
        "p99 ms",
        "set-up ms",
        "CPU s/GB",
        "CPU ms/image",
        "peak MiB",
        "above idle",
        "served",
        "stored",
        "failed",
        "others",
    ]);
    rows.into_iter().for_each(|(_, row)| table.row(row));
    table
}

/// Repetition and rate, where there is one.
fn rates(cells: &[&Cell]) -> Vec<(u32, f64)> {
    let rate = |cell: &&Cell| Some((cell.group.repetition, cell.figures.as_ref()?.images_per_s));
    cells.iter().filter_map(rate).filter(|(_, rate)| *rate > 0.0).collect()
}

/// A receiver's row, and the rate it is sorted by.
fn row(name: &str, cells: &[&Cell], bases: &[Vec<(u32, f64)>], group: Group) -> (f64, Vec<String>) {
    let measured: Vec<&Figures> = cells.iter().filter_map(|cell| cell.figures.as_ref()).collect();
    let Some(rate) = stats::median(measured.iter().map(|figures| figures.images_per_s)) else {
        let error = cells.iter().find_map(|cell| cell.error.clone()).unwrap_or_default();
        return (-1.0, vec![name.to_owned(), error]);
    };
    let middle = |of: fn(&Figures) -> Option<f64>| figure(stats::median(measured.iter().filter_map(|f| of(f))));
    let ratio = |base: &Vec<(u32, f64)>| figure(stats::ratio(&rates(cells), base));
    let served = measured.iter().map(|figures| figures.served).min().unwrap_or(0);
    let failed: u64 = measured.iter().flat_map(|figures| figures.failures.values()).sum();
    let errors = cells.len() - measured.len();
    let mut row = vec![name.to_owned(), figure(Some(rate)), middle(|f| Some(f.mb_per_s))];
    row.extend(bases.iter().map(ratio));
    row.extend([
        middle(|f| f.p50_ms),
        middle(|f| f.p99_ms),
        middle(|f| Some(f.setup_max_ms)),
        middle(|f| Some(f.cpu_s_per_gb)),
        middle(|f| Some(f.cpu_ms_per_image)),
        middle(|f| Some(f.memory_peak_mib)),
        middle(|f| Some(f.memory_above_idle_mib)),
        format!("{served}/{}", group.associations),
        stored(&measured),
        if errors > 0 { format!("{failed}, {errors} runs") } else { failed.to_string() },
        middle(|f| Some(f.other_load)),
    ]);
    (rate, row)
}

/// The worst that was found.
fn stored(measured: &[&Figures]) -> String {
    let verdicts: Vec<&str> = measured.iter().filter_map(|figures| figures.stored.as_deref()).collect();
    let worst = verdicts.iter().find(|verdict| !verdict.starts_with("all"));
    let worst = worst.or_else(|| verdicts.iter().find(|verdict| **verdict != "all"));
    worst.or(verdicts.first()).map_or("–".to_owned(), |verdict| (*verdict).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;

    fn cell(repetition: u32, receiver: &'static str, images_per_s: f64, stored: &str) -> Cell {
        let group = Group { repetition, corpus: Corpus::Ct, associations: 4, window: 1 };
        let stored = Some(stored.to_owned());
        let figures = Figures { images_per_s, served: 4, stored, ..Figures::default() };
        Cell { group, receiver, figures: Some(figures), error: None }
    }

    fn columns(text: &str, receiver: &str) -> Vec<String> {
        let line = text.lines().find(|line| line.starts_with(&format!("| {receiver} "))).unwrap();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn rates_are_divided_within_their_group() {
        let text = tables(&[
            cell(0, "write", 100.0, "all"),
            cell(0, "ours", 200.0, "all"),
            cell(1, "ours", 20.0, "all, 3 undecided"),
            cell(1, "write", 10.0, "all"),
            cell(2, "ours", 90.0, "all"),
            cell(2, "write", 100.0, "7 of 8"),
        ]);
        let ours = columns(&text, "ours");
        assert_eq!((ours[2].as_str(), ours[4].as_str(), ours[5].as_str()), ("90.0", "2.00", "–"));
        assert_eq!(ours[15], "all, 3 undecided");
        assert_eq!(columns(&text, "write")[15], "7 of 8");
    }

    #[test]
    fn a_receiver_that_did_not_start_says_why() {
        let group = Group { repetition: 0, corpus: Corpus::Ct, associations: 4, window: 1 };
        let broken = Cell { group, receiver: "ours", figures: None, error: Some("no port".to_owned()) };
        let text = tables(&[broken, cell(0, "write", 100.0, "all")]);
        assert_eq!(columns(&text, "ours")[2], "no port");
        assert!(text.find("| write").unwrap() < text.find("| ours").unwrap());
    }
}
