//! Choice of the convolution algorithm: depthwise, direct, bf16, pointwise, Winograd or im2col.
//!
//! Knows no tensors of Burn. The choice depends on the shape and the precision alone, never on the number of threads or
//! a measurement at run time, so that the same training gives the same bits on every run.

use crate::geometry::Geometry;
use crate::precision::Precision;
use crate::{bf16, depthwise, direct, im2col, pointwise, winograd};

/// Convolutions of one precision.
#[derive(Clone, Copy)]
pub(super) struct Convolution {
    /// What multiplies, for those in bf16.
    bf16: Option<bf16::Unit>,
}

impl Convolution {
    #[cfg(test)]
    pub(super) const F32: Self = Self { bf16: None };

    pub(super) fn new(precision: Precision) -> Self {
        let bf16 = match precision {
            Precision::F32 => None,
            Precision::Bf16 => bf16::Unit::detect(),
        };
        Self { bf16 }
    }

    /// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
    pub(super) fn forward(self, g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
        if g.is_depthwise() {
            depthwise::forward(g, x, weight, bias)
        } else if direct::suits(g) {
            direct::forward(g, x, weight, bias)
        } else if let Some(unit) = self.bf16_for(g) {
            bf16::forward(unit, g, x, weight, bias)
        } else if g.is_pointwise() {
            pointwise::forward(g, x, weight, bias)
        } else if winograd::suits(g) {
            winograd::forward(g, x, weight, bias)
        } else {
            im2col::forward(g, x, weight, bias)
        }
    }

    /// Gradient of the input, `[N, C_in, H, W]`.
    pub(super) fn input_gradient(self, g: &Geometry, weight: &[f32], gy: &[f32]) -> Vec<f32> {
        // Not by `direct`: it is made for first layers, which need no gradient of their input.
        if g.is_depthwise() {
            depthwise::input_gradient(g, weight, gy)
        } else if let Some(unit) = self.bf16_for(g).filter(|_| !direct::suits(g)) {
            bf16::input_gradient(unit, g, weight, gy)
        } else if g.is_pointwise() {
            pointwise::input_gradient(g, weight, gy)
        } else if winograd::suits(g) {
            winograd::input_gradient(g, weight, gy)
        } else {
            im2col::input_gradient(g, weight, gy)
        }
    }

    /// Gradient of the weight, `[C_out, C_in, KH, KW]`.
    pub(super) fn weight_gradient(self, g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
        if g.is_depthwise() {
            depthwise::weight_gradient(g, x, gy)
        } else if direct::suits(g) {
            direct::weight_gradient(g, x, gy)
        } else if let Some(unit) = self.bf16_for(g) {
            bf16::weight_gradient(unit, g, x, gy)
        } else if g.is_pointwise() {
            pointwise::weight_gradient(g, x, gy)
        } else if winograd::suits(g) {
            winograd::weight_gradient(g, x, gy)
        } else {
            im2col::weight_gradient(g, x, gy)
        }
    }

    /// Not for images of one pixel: their products are bound by reading the weight, and bf16's take an image each.
    fn bf16_for(self, g: &Geometry) -> Option<bf16::Unit> {
        self.bf16
            .filter(|_| !(g.is_pointwise() && g.output_pixels() == 1))
    }
}
