//! The operators of convolutional networks as methods of [`GraphBuilder`].

use super::{Attr, GraphBuilder};

/// Sliding window of a convolution or a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Rows and columns added at the top, left, bottom and right.
    pub padding: [usize; 4],
}

impl Window {
    /// A square window with the same padding on each side.
    ///
    /// ```
    /// assert_eq!(classifold_onnx::Window::square(7, 2, 3).stride, [2, 2]);
    /// ```
    pub fn square(kernel_size: usize, stride: usize, padding: usize) -> Window {
        Window {
            kernel_size: [kernel_size; 2],
            stride: [stride; 2],
            padding: [padding; 4],
        }
    }

    /// A square window over `size` rows and columns with TensorFlow's padding `SAME`: the output has `size / stride`
    /// of them, rounded up, and an odd row or column is added at the bottom or right.
    ///
    /// ```
    /// assert_eq!(classifold_onnx::Window::same(3, 2, 224).padding, [0, 0, 1, 1]);
    /// ```
    pub fn same(kernel_size: usize, stride: usize, size: usize) -> Window {
        let covered = (size.div_ceil(stride) - 1) * stride + kernel_size;
        let total = covered.saturating_sub(size);
        let (begin, end) = (total / 2, total.div_ceil(2));
        Window {
            padding: [begin, begin, end, end],
            ..Window::square(kernel_size, stride, 0)
        }
    }

    fn attributes(self) -> Vec<(&'static str, Attr)> {
        vec![
            ("kernel_shape", ints(&self.kernel_size)),
            ("pads", ints(&self.padding)),
            ("strides", ints(&self.stride)),
        ]
    }
}

fn conv_attributes(groups: usize, window: Window) -> Vec<(&'static str, Attr)> {
    let mut attributes = vec![
        ("dilations", ints(&[1, 1])),
        ("group", Attr::Int(int(groups))),
    ];
    attributes.extend(window.attributes());
    attributes
}

fn int(value: usize) -> i64 {
    i64::try_from(value).expect("no window is larger than memory")
}

fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().copied().map(int).collect())
}

/// Names of the constants `[C]` of a batch normalisation.
#[derive(Clone, Copy, Debug)]
pub struct BatchNormInputs<'a> {
    /// Scale γ.
    pub scale: &'a str,
    /// Offset β.
    pub bias: &'a str,
    /// Running mean.
    pub mean: &'a str,
    /// Running variance.
    pub var: &'a str,
}

/// Each method adds a node and returns the name of its output, which is the node's name, too. The
/// operators are specified at <https://onnx.ai/onnx/operators/>.
impl GraphBuilder {
    /// `Conv` (opset 11) without groups or dilation: `[N, C, H, W]` → `[N, C', H', W']`.
    pub fn conv(
        &mut self,
        name: &str,
        x: &str,
        weight: &str,
        bias: Option<&str>,
        window: Window,
    ) -> String {
        let mut inputs = vec![x, weight];
        inputs.extend(bias);
        self.node("Conv", name, &inputs, conv_attributes(1, window))
    }

    /// `Conv` (opset 11) with `groups` and without bias or dilation; with a group for each channel it is depthwise.
    pub fn grouped_conv(
        &mut self,
        name: &str,
        x: &str,
        weight: &str,
        groups: usize,
        window: Window,
    ) -> String {
        self.node("Conv", name, &[x, weight], conv_attributes(groups, window))
    }

    /// `BatchNormalization` (opset 15) in inference mode.
    pub fn batch_norm(
        &mut self,
        name: &str,
        x: &str,
        inputs: BatchNormInputs,
        epsilon: f32,
    ) -> String {
        let inputs = [x, inputs.scale, inputs.bias, inputs.mean, inputs.var];
        let attributes = vec![("epsilon", Attr::Float(epsilon))];
        self.node("BatchNormalization", name, &inputs, attributes)
    }

    /// `Relu` (opset 14).
    pub fn relu(&mut self, name: &str, x: &str) -> String {
        self.node("Relu", name, &[x], vec![])
    }

    /// `Clip` (opset 13) to the range between two scalar constants.
    pub fn clip(&mut self, name: &str, x: &str, min: &str, max: &str) -> String {
        self.node("Clip", name, &[x, min, max], vec![])
    }

    /// `Add` (opset 14), broadcasting.
    pub fn add(&mut self, name: &str, a: &str, b: &str) -> String {
        self.node("Add", name, &[a, b], vec![])
    }

    /// `MaxPool` (opset 12).
    pub fn max_pool(&mut self, name: &str, x: &str, window: Window) -> String {
        self.node("MaxPool", name, &[x], window.attributes())
    }

    /// `GlobalAveragePool` (opset 1): `[N, C, H, W]` → `[N, C, 1, 1]`.
    pub fn global_average_pool(&mut self, name: &str, x: &str) -> String {
        self.node("GlobalAveragePool", name, &[x], vec![])
    }

    /// `Flatten` (opset 13) from the second axis on: `[N, C, H, W]` → `[N, C·H·W]`.
    pub fn flatten(&mut self, name: &str, x: &str) -> String {
        self.node("Flatten", name, &[x], vec![("axis", Attr::Int(1))])
    }

    /// `Gemm` (opset 13) as a linear layer: `x [N, D]`, `weight [K, D]`, `bias [K]` → `[N, K]`.
    pub fn gemm(&mut self, name: &str, x: &str, weight: &str, bias: &str) -> String {
        let attributes = vec![("transB", Attr::Int(1))];
        self.node("Gemm", name, &[x, weight, bias], attributes)
    }
}
