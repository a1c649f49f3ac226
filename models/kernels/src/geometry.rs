//! Sizes of a convolution.

/// Sizes of a convolution without groups or dilation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    /// Height and width of the input.
    pub(super) input: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
}

impl Geometry {
    /// From the shapes of input and weight.
    pub(super) fn new(
        x: [usize; 4],
        w: [usize; 4],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Self {
        let out = |i: usize| (x[2 + i] + 2 * padding[i] - w[2 + i]) / stride[i] + 1;
        Self {
            batch: x[0],
            in_channels: x[1],
            out_channels: w[0],
            input: [x[2], x[3]],
            kernel: [w[2], w[3]],
            stride,
            padding,
            output: [out(0), out(1)],
        }
    }

    /// Inputs that one output sees: C_in · KH · KW.
    pub(super) fn taps(&self) -> usize {
        self.in_channels * self.kernel[0] * self.kernel[1]
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
}
