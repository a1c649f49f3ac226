//! The operators of residual networks as methods of [`GraphBuilder`].

use super::{Attr, GraphBuilder};

/// Sliding window of a convolution or a pooling: `[height, width]`, with the same padding on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Rows and columns added on each side.
    pub padding: [usize; 2],
}

impl Window {
    /// A square window.
    ///
    /// ```
    /// assert_eq!(classifold_onnx::Window::square(7, 2, 3).stride, [2, 2]);
    /// ```
    pub fn square(kernel_size: usize, stride: usize, padding: usize) -> Window {
        Window {
            kernel_size: [kernel_size; 2],
            stride: [stride; 2],
            padding: [padding; 2],
        }
    }

    fn attributes(self) -> Vec<(&'static str, Attr)> {
        let [top, left] = self.padding;
        vec![
            ("kernel_shape", ints(&self.kernel_size)),
            ("pads", ints(&[top, left, top, left])),
            ("strides", ints(&self.stride)),
        ]
    }
}

fn ints(values: &[usize]) -> Attr {
    let int = |value: &usize| i64::try_from(*value).expect("no window is larger than memory");
    Attr::Ints(values.iter().map(int).collect())
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
        let mut attributes = vec![("dilations", ints(&[1, 1])), ("group", Attr::Int(1))];
        attributes.extend(window.attributes());
        self.node("Conv", name, &inputs, attributes)
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
