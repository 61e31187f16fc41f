/// Does `work` on every row of `width` values; bands of rows are shared out among `threads`.
///
/// A row sees nothing of the others, so the result does not depend on the number of threads.
pub(crate) fn each_row<T: Send>(data: &mut [T], width: usize, threads: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let width = width.max(1);
    let rows_each = (data.len() / width).div_ceil(threads.max(1)).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        for (band, rows) in data.chunks_mut(rows_each * width).enumerate() {
            scope
                .spawn(move || rows.chunks_mut(width).enumerate().for_each(|(i, row)| work(band * rows_each + i, row)));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::each_row;

    #[test]
    fn every_row_is_done_once_with_its_own_number() {
        for threads in [1, 2, 3, 16] {
            let mut data = vec![0; 5 * 7];
            each_row(&mut data, 5, threads, |row, cells| cells.iter_mut().for_each(|c| *c += row + 1));
            assert!(data.iter().enumerate().all(|(i, v)| *v == i / 5 + 1), "{threads}");
        }
    }
}
