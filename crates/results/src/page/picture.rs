//! The source as it goes into the page: no larger than paper can show.

use crate::ResultError;
use crate::capture::SourcePicture;

/// Longest side in pixels: 200 dpi on the width of a page.
const SIDE_MAX: usize = 1400;

/// Samples for the page, row by row.
pub(super) struct Reduced {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// 1 for grey, 3 for sRGB.
    pub(super) channels: usize,
    pub(super) data: Vec<u8>,
}

/// Averages square blocks of pixels until the longer side fits.
///
/// # Errors
/// [`ResultError::Samples`]: the buffer is not of the size it says.
pub(super) fn reduce(picture: &SourcePicture<'_>) -> Result<Reduced, ResultError> {
    let (rows, columns, channels, data) = match *picture {
        SourcePicture::Gray { rows, columns, data } => (rows as usize, columns as usize, 1, data),
        SourcePicture::Rgb { rows, columns, data } => (rows as usize, columns as usize, 3, data),
    };
    let expected = rows.saturating_mul(columns).saturating_mul(channels);
    if expected != data.len() || data.is_empty() {
        let (expected, actual) = (expected.max(1) as u64, data.len() as u64);
        return Err(ResultError::Samples { what: "picture", expected, actual });
    }
    let block = rows.max(columns).div_ceil(SIDE_MAX);
    let (small_rows, small_columns) = (rows.div_ceil(block), columns.div_ceil(block));
    let mut reduced = Vec::with_capacity(small_rows * small_columns * channels);
    for band in data.chunks(block * columns * channels) {
        let mut sums = vec![(0u32, 0u32); small_columns * channels];
        for row in band.chunks(columns * channels) {
            for (index, sample) in row.iter().enumerate() {
                let place = index / channels / block * channels + index % channels;
                if let Some((sum, count)) = sums.get_mut(place) {
                    *sum += u32::from(*sample);
                    *count += 1;
                }
            }
        }
        reduced.extend(sums.iter().map(|(sum, count)| {
            // The mean of bytes is one.
            u8::try_from((sum + count / 2) / (*count).max(1)).unwrap_or(u8::MAX)
        }));
    }
    Ok(Reduced { columns: small_columns, rows: small_rows, channels, data: reduced })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_averaged_and_small_pictures_stay() {
        let small = reduce(&SourcePicture::Gray { rows: 1, columns: 3, data: &[1, 2, 3] }).unwrap();
        assert_eq!((small.rows, small.columns, small.data), (1, 3, vec![1, 2, 3]));

        // Two by two, the last column alone; one of the colours differs.
        let mut data = vec![10; 2 * 2801 * 3];
        data[1] = 50;
        let large = reduce(&SourcePicture::Rgb { rows: 2, columns: 2801, data: &data }).unwrap();
        // 2801 / 1400 rounds up to blocks of three.
        assert_eq!((large.rows, large.columns, large.channels), (1, 934, 3));
        assert_eq!(large.data[..4], [10, 17, 10, 10]);
        assert!(reduce(&SourcePicture::Gray { rows: 2, columns: 2, data: &[0; 3] }).is_err());
    }
}
