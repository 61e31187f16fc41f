//! The casts that lose something on purpose, each in one place. Float to integer casts saturate and take
//! NaN for 0.

/// The nearest `f32`.
#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is the purpose")]
pub(crate) fn single(value: f64) -> f32 {
    value as f32
}

/// A value of 0 to 1 as 0 to 255, rounded.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub(crate) fn byte(value: f64) -> u8 {
    (value * 255.0 + 0.5) as u8
}

/// The integer below, at least 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub(crate) fn floor(value: f64) -> usize {
    value as usize
}

/// The nearest integer.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
pub(crate) fn nearest(value: f64) -> i64 {
    value.round() as i64
}

/// The nearest integer, at least 0.
pub(crate) fn count(value: f64) -> usize {
    usize::try_from(nearest(value)).unwrap_or(0)
}
