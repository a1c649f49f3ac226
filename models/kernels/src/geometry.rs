//! Sizes of a convolution: input, kernel, stride, padding and output. Knows no values.

use crate::precision::Precision;

/// Values of all partial sums of a weight gradient together: 64 MB.
const PARTIALS: usize = 16 * 1024 * 1024;

/// Stride and padding, vertical and horizontal, and the precision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvArgs {
    pub(crate) stride: [usize; 2],
    /// Above and to the left.
    pub(crate) padding: [usize; 2],
    /// Below and to the right.
    pub(crate) end_padding: [usize; 2],
    pub(crate) precision: Precision,
}

/// Sizes of a convolution without dilation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    /// 1, or in a depthwise convolution the number of channels.
    pub(super) groups: usize,
    /// Height and width of the input.
    pub(super) input: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    /// Zeros above and to the left of the input.
    pub(super) padding: [usize; 2],
    /// Zeros below and to the right.
    pub(super) end_padding: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
}

impl Geometry {
    /// Sizes for an input `[N, C_in, H, W]` and a weight `[C_out, C_in / groups, KH, KW]`.
    pub(super) fn new(input: [usize; 4], weight: [usize; 4], args: ConvArgs) -> Self {
        let [batch, in_channels, height, width] = input;
        let [out_channels, group_channels, kernel_height, kernel_width] = weight;
        let ConvArgs {
            stride,
            padding,
            end_padding,
            ..
        } = args;
        let size = [height, width];
        let kernel = [kernel_height, kernel_width];
        let out = |i: usize| (size[i] + padding[i] + end_padding[i] - kernel[i]) / stride[i] + 1;
        Self {
            batch,
            in_channels,
            out_channels,
            groups: in_channels / group_channels,
            input: size,
            kernel,
            stride,
            padding,
            end_padding,
            output: [out(0), out(1)],
        }
    }

    /// Sizes with the same padding on both sides.
    #[cfg(test)]
    pub(super) fn symmetric(
        input: [usize; 4],
        weight: [usize; 4],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Self {
        let args = ConvArgs {
            stride,
            padding,
            end_padding: padding,
            precision: Precision::F32,
        };
        Self::new(input, weight, args)
    }

    /// Whether each channel has a kernel of its own.
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_channels && self.groups == self.out_channels
    }

    /// Whether every output is computed from one pixel, and every pixel is taken.
    pub(super) fn is_pointwise(&self) -> bool {
        let is_padded = self.padding != [0, 0] || self.end_padding != [0, 0];
        self.kernel == [1, 1] && self.stride == [1, 1] && !is_padded
    }

    /// The sizes for one channel of a depthwise convolution.
    pub(super) fn channel(&self) -> Self {
        Self {
            in_channels: 1,
            out_channels: 1,
            groups: 1,
            ..*self
        }
    }

    /// Inputs of one output: C_in / groups · KH · KW.
    pub(super) fn taps(&self) -> usize {
        self.in_channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Pixels of an input channel.
    pub(super) fn input_pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Pixels of an output channel.
    pub(super) fn output_pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Values of one input image.
    pub(super) fn image_len(&self) -> usize {
        self.in_channels * self.input_pixels()
    }

    /// Values of one output image.
    pub(super) fn map_len(&self) -> usize {
        self.out_channels * self.output_pixels()
    }

    /// Values of the weight.
    pub(super) fn weight_len(&self) -> usize {
        self.out_channels * self.taps()
    }

    /// Partial sums of a weight gradient, each of a run of images: as many as fit [`PARTIALS`], from 2 to 16.
    pub(super) fn partial_sums(&self) -> usize {
        let fitting = PARTIALS / self.weight_len();
        fitting.clamp(2, 16).min(self.batch.max(1))
    }
}
