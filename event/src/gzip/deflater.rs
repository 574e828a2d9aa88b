//! Deflating.

use libdeflater::{CompressionLvl, Compressor};

/// What libdeflate takes for its own default.
pub const LEVEL_DEFAULT: u8 = 6;

/// Makes gzip files of one member, without name or time, so the same input gives the same bytes. Worth keeping, as
/// making one allocates its tables.
pub struct Deflater {
    compressor: Compressor,
}

impl Deflater {
    /// `level` from 1, fast, to 12, small; taken to the nearer of them if outside.
    pub fn new(level: u8) -> Self {
        let level = CompressionLvl::new(i32::from(level.clamp(1, 12))).expect("levels 1 to 12 exist");
        Self { compressor: Compressor::new(level) }
    }

    /// The gzip file of `json`.
    pub fn deflate(&mut self, json: &[u8]) -> Vec<u8> {
        let mut gz = vec![0; self.compressor.gzip_compress_bound(json.len())];
        let len = self.compressor.gzip_compress(json, &mut gz).expect("the bound is an upper bound");
        gz.truncate(len);
        // The bound is about the input's size, five times what is kept.
        gz.shrink_to_fit();
        gz
    }
}

impl Default for Deflater {
    fn default() -> Self {
        Self::new(LEVEL_DEFAULT)
    }
}
