//! Sizes of a convolution: input, kernel, stride, padding and output. Knows no values.

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
    /// Sizes for an input `[N, C_in, H, W]` and a weight `[C_out, C_in, KH, KW]`.
    pub(super) fn new(
        input: [usize; 4],
        weight: [usize; 4],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Self {
        let [batch, in_channels, height, width] = input;
        let [out_channels, _, kernel_height, kernel_width] = weight;
        let size = [height, width];
        let kernel = [kernel_height, kernel_width];
        let out = |i: usize| (size[i] + 2 * padding[i] - kernel[i]) / stride[i] + 1;
        Self {
            batch,
            in_channels,
            out_channels,
            input: size,
            kernel,
            stride,
            padding,
            output: [out(0), out(1)],
        }
    }

    /// Inputs of one output: C_in · KH · KW.
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
