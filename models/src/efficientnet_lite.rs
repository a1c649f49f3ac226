//! EfficientNet-Lite as an ONNX graph, from the weights of a PyTorch checkpoint. It needs no Burn.
//!
//! The network is EfficientNet (Tan and Le 2019, arXiv:1905.11946) without squeeze-and-excitation and with ReLU6 in
//! place of Swish, as in `efficientnet/lite` of <https://github.com/tensorflow/tpu>. Names of the tensors are those of
//! the port <https://github.com/lukemelas/EfficientNet-PyTorch>, whose padding is TensorFlow's `SAME`.

use crate::checkpoint::Weights;
use crate::error::Result;
use onnx::proto::DataType;
use onnx::{BatchNormInputs, Dim, Document, GraphBuilder, ModelInfo, Tensor, Window};
use std::path::Path;

/// Epsilon of every batch norm: TensorFlow's, not PyTorch's 1e-5.
const EPSILON: f32 = 1e-3;
/// Channels after the first convolution; no size of the family scales them.
const STEM: usize = 32;
/// Width `D` of the features, the same in each size.
const FEATURES: usize = 1280;
/// Classes of ImageNet-1k.
const CLASSES: usize = 1000;

/// Blocks of equal width.
struct Stage {
    repeats: usize,
    kernel_size: usize,
    /// Stride of the first block; the others have 1.
    stride: usize,
    /// Channels inside a block, as a multiple of those that enter it.
    expand: usize,
    channels: usize,
}

const fn stage(
    repeats: usize,
    kernel_size: usize,
    stride: usize,
    expand: usize,
    channels: usize,
) -> Stage {
    Stage {
        repeats,
        kernel_size,
        stride,
        expand,
        channels,
    }
}

/// The stages of EfficientNet-B0.
const STAGES: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, 320),
];

/// A size of the EfficientNet-Lite family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EfficientNetLite {
    /// Its name, such as `EfficientNet-Lite0`.
    pub name: &'static str,
    /// Rows and columns of its images.
    pub image_size: usize,
    /// Multiple of B0's channels.
    pub width: f64,
    /// Multiple of B0's repeats.
    pub depth: f64,
}

impl EfficientNetLite {
    /// The smallest: 4.7 million parameters, images of 224 x 224.
    pub const LITE0: Self = Self {
        name: "EfficientNet-Lite0",
        image_size: 224,
        width: 1.0,
        depth: 1.0,
    };

    /// Converts a checkpoint (`.pth`) with the network's weights: input `input` `[batch, 3, H, W]`, output `logits`
    /// `[batch, 1000]`, opset 17. Nothing that the checkpoint's pickle asks for is executed.
    ///
    /// # Errors
    /// The file is no checkpoint, or has other tensors than the network; they are listed.
    pub fn convert(&self, checkpoint: &Path) -> Result<Document> {
        let mut writer = Writer {
            graph: GraphBuilder::new(self.name),
            weights: Weights::open(checkpoint)?,
            size: self.image_size,
        };
        let logits = self.write(&mut writer)?;
        let Writer {
            mut graph, weights, ..
        } = writer;
        weights.finish(self.name)?;
        let row = ["batch".into(), Dim::from(CLASSES)];
        graph.output(&logits, crate::export::LOGITS, DataType::Float, &row);
        let info = ModelInfo {
            producer_name: "classifold".into(),
            ..ModelInfo::default()
        };
        Ok(graph.finish(&info)?)
    }

    fn write(&self, writer: &mut Writer) -> Result<String> {
        let side = Dim::from(self.image_size);
        let images = ["batch".into(), Dim::Fixed(3), side.clone(), side];
        let x = writer.graph.input("input", DataType::Float, &images);
        for (name, bound) in [("relu6.min", 0.0), ("relu6.max", 6.0)] {
            writer
                .graph
                .initializer(name, &Tensor::f32(&[], vec![bound])?);
        }
        let x = writer.conv("_conv_stem", &x, [STEM, 3], (3, 2))?;
        let mut x = writer.norm_relu6("_bn0", &x, STEM)?;
        let (mut block, mut in_channels) = (0, STEM);
        for (index, stage) in STAGES.iter().enumerate() {
            let channels = self.round_channels(stage.channels);
            for repeat in 0..self.round_repeats(index) {
                let stride = if repeat == 0 { stage.stride } else { 1 };
                let [hidden, out] = [in_channels * stage.expand, channels];
                let name = format!("_blocks.{block}");
                let widths = [in_channels, hidden, out];
                x = writer.block(&name, &x, widths, (stage.kernel_size, stride))?;
                (block, in_channels) = (block + 1, channels);
            }
        }
        let x = writer.conv("_conv_head", &x, [FEATURES, in_channels], (1, 1))?;
        let x = writer.norm_relu6("_bn1", &x, FEATURES)?;
        let x = writer.graph.global_average_pool("_avg_pooling", &x);
        let x = writer.graph.flatten("flatten", &x);
        let weight = writer.constant("_fc.weight", &[CLASSES, FEATURES])?;
        let bias = writer.constant("_fc.bias", &[CLASSES])?;
        Ok(writer.graph.gemm("_fc", &x, &weight, &bias))
    }

    /// Channels as a multiple of 8, never below nine tenths of the exact number.
    fn round_channels(&self, channels: usize) -> usize {
        let exact = channels as f64 * self.width;
        let rounded = (((exact + 4.0) / 8.0) as usize * 8).max(8);
        match (rounded as f64) < 0.9 * exact {
            true => rounded + 8,
            false => rounded,
        }
    }

    /// Blocks of a stage; in this family the first and the last stage are never deeper.
    fn round_repeats(&self, stage: usize) -> usize {
        let repeats = STAGES[stage].repeats;
        match stage == 0 || stage == STAGES.len() - 1 {
            true => repeats,
            false => (repeats as f64 * self.depth).ceil() as usize,
        }
    }
}

struct Writer {
    graph: GraphBuilder,
    weights: Weights,
    /// Rows and columns of the feature map at this point, which static padding depends on.
    size: usize,
}

impl Writer {
    /// Inverted residual: expansion, depthwise convolution, projection; with the input added where the shapes agree.
    fn block(
        &mut self,
        name: &str,
        input: &str,
        [in_channels, hidden, out_channels]: [usize; 3],
        (kernel_size, stride): (usize, usize),
    ) -> Result<String> {
        let child = |layer: &str| format!("{name}.{layer}");
        let mut x = input.to_owned();
        if hidden != in_channels {
            x = self.conv(&child("_expand_conv"), &x, [hidden, in_channels], (1, 1))?;
            x = self.norm_relu6(&child("_bn0"), &x, hidden)?;
        }
        let window = self.slide(kernel_size, stride);
        let depthwise = child("_depthwise_conv");
        let shape = [hidden, 1, kernel_size, kernel_size];
        let weight = self.constant(&format!("{depthwise}.weight"), &shape)?;
        x = self
            .graph
            .grouped_conv(&depthwise, &x, &weight, hidden, window);
        x = self.norm_relu6(&child("_bn1"), &x, hidden)?;
        x = self.conv(&child("_project_conv"), &x, [out_channels, hidden], (1, 1))?;
        x = self.norm(&child("_bn2"), &x, out_channels)?;
        Ok(match stride == 1 && in_channels == out_channels {
            true => self.graph.add(&child("add"), &x, input),
            false => x,
        })
    }

    fn conv(
        &mut self,
        name: &str,
        x: &str,
        [out_channels, in_channels]: [usize; 2],
        (kernel_size, stride): (usize, usize),
    ) -> Result<String> {
        let window = self.slide(kernel_size, stride);
        let shape = [out_channels, in_channels, kernel_size, kernel_size];
        let weight = self.constant(&format!("{name}.weight"), &shape)?;
        Ok(self.graph.conv(name, x, &weight, None, window))
    }

    /// The window over the map at this point, whose output is the map from here on.
    fn slide(&mut self, kernel_size: usize, stride: usize) -> Window {
        let window = Window::same(kernel_size, stride, self.size);
        self.size = self.size.div_ceil(stride);
        window
    }

    fn norm_relu6(&mut self, name: &str, x: &str, channels: usize) -> Result<String> {
        let x = self.norm(name, x, channels)?;
        let name = format!("{name}.relu6");
        Ok(self.graph.clip(&name, &x, "relu6.min", "relu6.max"))
    }

    fn norm(&mut self, name: &str, x: &str, channels: usize) -> Result<String> {
        let mut constant = |part: &str| self.constant(&format!("{name}.{part}"), &[channels]);
        let [scale, bias] = [constant("weight")?, constant("bias")?];
        let [mean, var] = [constant("running_mean")?, constant("running_var")?];
        let inputs = BatchNormInputs {
            scale: &scale,
            bias: &bias,
            mean: &mean,
            var: &var,
        };
        Ok(self.graph.batch_norm(name, x, inputs, EPSILON))
    }

    /// A tensor of the checkpoint as a constant of the same name.
    fn constant(&mut self, name: &str, shape: &[usize]) -> Result<String> {
        // `Weights::finish` refuses the file where a tensor is missing.
        if let Some(tensor) = self.weights.take(name, shape)? {
            self.graph.initializer(name, &tensor);
        }
        Ok(name.to_owned())
    }
}
