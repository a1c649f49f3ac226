//! Custom residual network of the course, with cells of formulation (A), full pre-activation, or (B), the original one.
//!
//! Knows no ONNX. He et al., "Identity Mappings in Deep Residual Networks", 2016, figures 4e and 4a, with a 1 x 1
//! projection P on the skip since every cell halves the resolution twice and widens the channels.
//! Reference: assignment 03 of the Deep Learning Workshop 2023
//! (<https://github.com/Flo-Wo/DeepLearningWorkshop2023>).

mod cell;
pub use cell::{Cell, CellKind};

use crate::error::{Error, Result};
use crate::head::Head;
use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d, Linear};
use burn::module::Module;
use burn::tensor::{Tensor, module, ops::MaxPoolOptions};
use onnx::siamese::Distance;
use serde::{Deserialize, Serialize};

/// Width and depth of the network (the course's bonus c).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CustomConfig {
    /// Channels after the stem.
    pub width: usize,
    /// Number of residual cells.
    pub cells: usize,
    /// Each cell has `growth` times the channels of the one before, rounded.
    pub growth: f64,
    /// Formulation of the cells.
    pub cell: CellKind,
    /// Channels of an image: 1, 3 or 4.
    pub image_channels: usize,
    /// Rows and columns of an image.
    pub image_size: usize,
}

impl Default for CustomConfig {
    fn default() -> Self {
        Self {
            width: 8,
            cells: 3,
            growth: 2.0,
            cell: CellKind::default(),
            image_channels: 3,
            image_size: 224,
        }
    }
}

impl CustomConfig {
    /// Channels after the stem and after each cell: 8, 16, 32, 64 at the defaults.
    ///
    /// # Errors
    /// When a field is zero, out of range, or makes a layer of more than 4096 channels.
    pub fn channels(&self) -> Result<Vec<usize>> {
        let Self {
            width,
            cells,
            growth,
            ..
        } = *self;
        if !(1..=1024).contains(&width) {
            return Err(Error::configuration("`width`", width, "between 1 and 1024"));
        }
        if !(16..=1024).contains(&self.image_size) {
            let expected = "between 16 and 1024";
            return Err(Error::configuration("`size`", self.image_size, expected));
        }
        if ![1, 3, 4].contains(&self.image_channels) {
            return Err(Error::configuration(
                "`channels`",
                self.image_channels,
                "1, 3 or 4",
            ));
        }
        if !(1..=6).contains(&cells) {
            return Err(Error::configuration("`cells`", cells, "between 1 and 6"));
        }
        if !(0.25..=8.0).contains(&growth) {
            return Err(Error::configuration(
                "`growth`",
                growth,
                "between 0.25 and 8",
            ));
        }
        let channels = |i: usize| (width as f64 * growth.powi(i as i32)).round();
        if channels(cells) > 4096.0 {
            let found = format!("{} in the last cell", channels(cells));
            let what = "the number of channels";
            return Err(Error::configuration(what, found, "at most 4096"));
        }
        Ok((0..=cells).map(|i| channels(i).max(1.0) as usize).collect())
    }
}

/// The course's residual network. 77,154 parameters with the defaults and two classes.
#[derive(Module, Debug)]
pub struct CustomResNet {
    /// `[C, H, W]` of an image.
    #[module(skip)]
    pub image_shape: [usize; 3],
    /// Stem: 7 x 7, stride 2, padding 3, C channels to `width`.
    pub conv1: Conv2d,
    /// Normalisation between the max-pool and the ReLU.
    pub bn1: BatchNorm,
    /// Residual cells; each divides height and width by 4.
    pub cells: Vec<Cell>,
    /// Classification layer, D to K.
    pub fc: Linear,
    /// What the layer gets of two images; none of a classifier.
    #[module(skip)]
    pub distance: Option<Distance>,
}

impl CustomResNet {
    pub(crate) fn new(config: &CustomConfig, head: Head, init: &mut Init) -> Result<Self> {
        let channels = config.channels()?;
        let image_shape = [config.image_channels, config.image_size, config.image_size];
        let conv1 = Conv2d::new([channels[0], image_shape[0], 7, 7], 2, true, init);
        let bn1 = BatchNorm::new(channels[0], &init.device);
        let cells = channels
            .windows(2)
            .map(|c| Cell::new(config.cell, c[0], c[1], init))
            .collect();
        let fc = head.layer(channels[config.cells], init);
        Ok(Self {
            image_shape,
            conv1,
            bn1,
            cells,
            fc,
            distance: head.distance(),
        })
    }

    /// Images `[N, C, H, W]` to logits `[N, K]`.
    #[must_use]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.fc.forward(self.features(images))
    }

    /// Number of features D: the channels of the last cell.
    #[must_use]
    pub fn num_features(&self) -> usize {
        let last = self.cells.last().expect("a network has a cell or more");
        last.conv2.weight.val().dims()[0]
    }

    /// Images `[N, C, H, W]` to pooled features `[N, D]`.
    #[must_use]
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        // Pooled before it is normalised, as in the course's reference.
        let x = kernels::max_pool2d(self.conv1.forward(images), &stem_pool()); // [N, width, H/4, W/4]
        let x = self.bn1.forward_relu(x);
        let x = self.cells.iter().fold(x, |x, cell| cell.forward(x));
        module::adaptive_avg_pool2d(x, [1, 1]).flatten(1, 3) // [N, D]
    }
}

/// The stem's max-pool: 3 x 3, stride 2, padding 1.
pub(crate) fn stem_pool() -> MaxPoolOptions<2> {
    MaxPoolOptions::new([3, 3])
        .with_stride([2, 2])
        .with_padding([1, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_doubles_the_channels() {
        assert_eq!(CustomConfig::default().channels().unwrap(), [8, 16, 32, 64]);
        let config = CustomConfig {
            width: 6,
            cells: 2,
            growth: 1.5,
            ..Default::default()
        };
        assert_eq!(config.channels().unwrap(), [6, 9, 14]);
    }

    #[test]
    fn impossible_sizes_are_refused_by_name() {
        for (config, what) in [
            (
                CustomConfig {
                    width: 0,
                    ..Default::default()
                },
                "`width`",
            ),
            (
                CustomConfig {
                    cells: 0,
                    ..Default::default()
                },
                "`cells`",
            ),
            (
                CustomConfig {
                    growth: f64::NAN,
                    ..Default::default()
                },
                "`growth`",
            ),
            (
                CustomConfig {
                    width: 1024,
                    cells: 6,
                    growth: 2.0,
                    ..Default::default()
                },
                "number of channels",
            ),
            (
                CustomConfig {
                    image_size: 15,
                    ..Default::default()
                },
                "`size`",
            ),
            (
                CustomConfig {
                    image_channels: 2,
                    ..Default::default()
                },
                "`channels`",
            ),
        ] {
            let error = config.channels().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
