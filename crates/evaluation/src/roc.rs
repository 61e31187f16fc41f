use crate::Case;

/// The ROC curve: `[1 - specificity, sensitivity]` at every limit that makes a difference, from `[0, 0]` (nothing is
/// called positive) to `[1, 1]`. Empty where a class is missing.
#[must_use]
pub fn roc(cases: &[Case]) -> Vec<[f64; 2]> {
    let positives = cases.iter().filter(|case| case.positive).count();
    let negatives = cases.len() - positives;
    if positives == 0 || negatives == 0 {
        return Vec::new();
    }
    let mut sorted = cases.to_vec();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    let (mut hits, mut false_alarms) = (0_usize, 0_usize);
    let steps = sorted.chunk_by(|a, b| a.score == b.score).map(|tied| {
        let of_these = tied.iter().filter(|case| case.positive).count();
        hits += of_these;
        false_alarms += tied.len() - of_these;
        [false_alarms as f64 / negatives as f64, hits as f64 / positives as f64]
    });
    std::iter::once([0.0, 0.0]).chain(steps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_one_step() {
        let case = |score, positive| Case { score, positive, patient: 0 };
        let four = [case(0.9, true), case(0.5, true), case(0.5, false), case(0.1, false)];
        assert_eq!(roc(&four), [[0.0, 0.0], [0.0, 0.5], [0.5, 1.0], [1.0, 1.0]]);
        assert_eq!(roc(&four[..2]), [[0.0; 2]; 0]);
    }
}
