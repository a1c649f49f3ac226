//! The samples of a component.

use super::frame::{Component, Frame};

/// The last two rows of MCUs: what the pixels of a row need.
pub(super) struct Plane {
    samples: Vec<u8>,
    /// Samples of a row, with those that only fill a block.
    stride: usize,
    /// Rows that are kept.
    num_rows: usize,
    /// Samples of the image, across and down.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels for each sample.
    pub(super) pixels_across: usize,
    pub(super) pixels_down: usize,
}

impl Plane {
    pub(super) fn new(component: &Component, frame: &Frame<'_>) -> Self {
        let (max_across, max_down) = frame.max_sampling();
        let (pixels_across, pixels_down) =
            (max_across / component.across, max_down / component.down);
        let (mcus_across, _) = frame.num_mcus();
        let stride = mcus_across * component.across * 8;
        let num_rows = 2 * component.down * 8;
        Self {
            samples: vec![0; num_rows * stride],
            stride,
            num_rows,
            width: frame.width.div_ceil(pixels_across),
            height: frame.height.div_ceil(pixels_down),
            pixels_across,
            pixels_down,
        }
    }

    /// The samples of the image in a row.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.samples[y % self.num_rows * self.stride..][..self.width]
    }

    /// How far rows are apart, and the samples from one on.
    pub(super) fn from(&mut self, x: usize, y: usize) -> (usize, &mut [u8]) {
        let start = y % self.num_rows * self.stride + x;
        (self.stride, &mut self.samples[start..])
    }
}
