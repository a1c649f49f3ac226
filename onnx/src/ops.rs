//! The operators of residual networks as calls of [`GraphBuilder`].

use crate::builder::{Attr, GraphBuilder};

/// Window of a convolution or pooling: height and width, the same padding on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
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
    /// assert_eq!(onnx::Window::square(7, 2, 3).stride, [2, 2]);
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
    Attr::Ints(
        values
            .iter()
            .map(|value| i64::try_from(*value).unwrap_or(i64::MAX))
            .collect(),
    )
}

/// Each call adds a node, whose name its output shares, and hands that name back. The pages of the
/// operators are at <https://onnx.ai/onnx/operators/>.
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

    /// `BatchNormalization` (opset 15) in inference mode; `scale, bias, mean, var` are `[C]`.
    pub fn batch_norm(&mut self, name: &str, x: &str, params: [&str; 4], epsilon: f32) -> String {
        let [scale, bias, mean, var] = params;
        let attributes = vec![("epsilon", Attr::Float(epsilon))];
        self.node(
            "BatchNormalization",
            name,
            &[x, scale, bias, mean, var],
            attributes,
        )
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
        self.node(
            "Gemm",
            name,
            &[x, weight, bias],
            vec![("transB", Attr::Int(1))],
        )
    }
}
