use std::collections::BTreeMap;

use dokuei_evaluation::Case;

use super::Scores;
use crate::outcome::Failure;

/// Most values of a column that each make a subgroup.
const VALUES_MAX: usize = 12;
/// Subgroups that a column of more numbers is cut into.
const PARTS: usize = 4;

/// The cases by the value they have in a column; a column of many numbers is cut into quarters of as many images.
///
/// # Errors
/// More values than subgroups could tell anything of.
pub(crate) fn of(scores: &Scores<'_>, name: &str, column: usize) -> Result<BTreeMap<String, Vec<Case>>, Failure> {
    let mut groups: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for (image, case) in scores.images.iter().zip(&scores.cases) {
        groups.entry(image.cell(column).to_owned()).or_default().push(*case);
    }
    if groups.len() <= VALUES_MAX {
        return Ok(groups.into_iter().map(|(value, cases)| (named(value), cases)).collect());
    }
    let numbers: Option<Vec<(f64, Vec<Case>)>> =
        groups.iter().map(|(value, cases)| Some((value.parse().ok()?, cases.clone()))).collect();
    let Some(mut numbers) = numbers else {
        let words = format!("--by {name}: the column has {} values, subgroups are made of {VALUES_MAX}", groups.len());
        return Err(Failure::work(words).help("make a column of fewer values, such as 40-59 for ages"));
    };
    numbers.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(quarters(numbers, scores.cases.len()))
}

fn named(value: String) -> String {
    if value.is_empty() { "(none)".to_owned() } else { value }
}

/// Images of the same number stay together.
fn quarters(numbers: Vec<(f64, Vec<Case>)>, total: usize) -> BTreeMap<String, Vec<Case>> {
    let mut parts: BTreeMap<usize, (f64, f64, Vec<Case>)> = BTreeMap::new();
    let mut before = 0;
    for (number, cases) in numbers {
        let part = parts.entry(before * PARTS / total.max(1)).or_insert((number, number, Vec::new()));
        before += cases.len();
        part.1 = number;
        part.2.extend(cases);
    }
    parts.into_values().map(|(from, to, cases)| (format!("{from} to {to}"), cases)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_become_quarters() {
        let case = |patient| Case { score: 0.5, positive: true, patient };
        let numbers = (0..20).map(|age| (f64::from(age), vec![case(1); 2])).collect();
        let parts = quarters(numbers, 40);
        let sizes: Vec<(&str, usize)> = parts.iter().map(|(name, cases)| (name.as_str(), cases.len())).collect();
        assert_eq!(sizes, [("0 to 4", 10), ("10 to 14", 10), ("15 to 19", 10), ("5 to 9", 10)]);
    }
}
