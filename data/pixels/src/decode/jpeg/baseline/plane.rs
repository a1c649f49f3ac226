//! The samples of a component.

use super::frame::{Component, Frame};

pub(super) struct Plane {
    samples: Vec<u8>,
    /// Samples of a row, with those that only fill a block.
    stride: usize,
    /// Samples of the image, across and down.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels for each sample, across and down.
    pub(super) scale: [usize; 2],
}

impl Plane {
    /// With room for all blocks.
    pub(super) fn new(component: &Component, frame: &Frame<'_>) -> Self {
        let [mcus_across, mcus_down] = frame.num_mcus();
        let [max_across, max_down] = frame.max_sampling();
        let scale = [max_across / component.across, max_down / component.down];
        let stride = mcus_across * component.across * 8;
        Self {
            samples: vec![0; mcus_down * component.down * 8 * stride],
            stride,
            width: frame.width.div_ceil(scale[0]),
            height: frame.height.div_ceil(scale[1]),
            scale,
        }
    }

    /// The samples of the image in a row.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.width]
    }

    /// How far rows are apart, and all samples from one on.
    pub(super) fn from(&mut self, x: usize, y: usize) -> (usize, &mut [u8]) {
        (self.stride, &mut self.samples[y * self.stride + x..])
    }
}
