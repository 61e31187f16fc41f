/// What one image may ask for. A request beyond it is refused before memory is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Rows x Columns of one frame. Default 67,108,864 (8,192 x 8,192).
    pub pixels_per_frame: u64,
    /// Number of Frames. Default 1,000,000.
    pub frames: u32,
    /// Bytes of one frame, as sent and as decoded. Default 1 GiB.
    pub frame_bytes: u64,
    /// Fragments of encapsulated pixel data (PS3.5 § A.4). Default 1,000,000.
    pub fragments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pixels_per_frame: 1 << 26, frames: 1_000_000, frame_bytes: 1 << 30, fragments: 1_000_000 }
    }
}
