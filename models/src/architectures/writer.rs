//! Graph under construction with the checkpoint that its constants come from. Knows no architecture.

use super::ConvertedCheckpoint;
use crate::checkpoint::Weights;
use crate::error::Result;
use crate::export::LOGITS;
use onnx::proto::DataType;
use onnx::{Attr, BatchNormInputs, Dim, GraphBuilder, ModelInfo, Tensor, Window};

/// Name of the output of a network without a classification layer.
const FEATURES: &str = "features";

pub(super) struct Writer<'a> {
    pub(super) graph: GraphBuilder,
    pub(super) weights: Weights,
    /// What to do where the checkpoint does not fit.
    pub(super) hint: &'a str,
}

impl Writer<'_> {
    /// The images `[batch, C, H, W]`.
    pub(super) fn images(&mut self, [channels, height, width]: [usize; 3]) -> String {
        let dims = [
            "batch".into(),
            Dim::from(channels),
            Dim::from(height),
            Dim::from(width),
        ];
        self.graph.input("input", DataType::Float, &dims)
    }

    /// A tensor of the checkpoint as a constant of the same name.
    pub(super) fn constant(&mut self, name: &str, shape: &[usize]) -> Result<String> {
        // `Weights::finish` refuses the file where a tensor is missing.
        if let Some(tensor) = self.weights.take(name, shape)? {
            self.graph.initializer(name, &tensor);
        }
        Ok(name.to_owned())
    }

    /// A number as a constant.
    pub(super) fn scalar(&mut self, name: &str, value: f32) -> Result<String> {
        Ok(self
            .graph
            .initializer(name, &Tensor::f32(&[], vec![value])?))
    }

    /// Convolution without bias; `in_channels` are those of a group.
    pub(super) fn conv(
        &mut self,
        name: &str,
        x: &str,
        [out_channels, in_channels]: [usize; 2],
        groups: usize,
        window: Window,
    ) -> Result<String> {
        let [height, width] = window.kernel_size;
        let shape = [out_channels, in_channels, height, width];
        let weight = self.constant(&format!("{name}.weight"), &shape)?;
        Ok(self.graph.grouped_conv(name, x, &weight, groups, window))
    }

    /// Batch norm, which stays a node of its own so that the file can be fine-tuned.
    pub(super) fn norm(
        &mut self,
        name: &str,
        x: &str,
        channels: usize,
        epsilon: f32,
    ) -> Result<String> {
        let mut constant = |part: &str| self.constant(&format!("{name}.{part}"), &[channels]);
        let [scale, bias] = [constant("weight")?, constant("bias")?];
        let [mean, var] = [constant("running_mean")?, constant("running_var")?];
        let inputs = BatchNormInputs {
            scale: &scale,
            bias: &bias,
            mean: &mean,
            var: &var,
        };
        Ok(self.graph.batch_norm(name, x, inputs, epsilon))
    }

    /// The classification layer on features `[N, D]`, where the checkpoint has one: the last value and its width, and
    /// whether there is one.
    pub(super) fn head(
        &mut self,
        name: &str,
        features: &str,
        width: usize,
    ) -> Result<(String, usize, bool)> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let Some(classes) = self.weights.dim(&weight, 0) else {
            return Ok((features.to_owned(), width, false));
        };
        let weight = self.constant(&weight, &[classes, width])?;
        let bias = self.constant(&bias, &[classes])?;
        Ok((
            self.graph.gemm(name, features, &weight, &bias),
            classes,
            true,
        ))
    }

    /// The finished network, whose tensors must be those of the checkpoint.
    pub(super) fn finish(
        self,
        architecture: &str,
        image_shape: [usize; 3],
        (value, width, is_classifier): (String, usize, bool),
    ) -> Result<ConvertedCheckpoint> {
        let mut graph = self.graph;
        self.weights.finish(architecture, self.hint)?;
        let row = ["batch".into(), Dim::from(width)];
        let name = if is_classifier { LOGITS } else { FEATURES };
        graph.output(&value, name, DataType::Float, &row);
        let info = ModelInfo {
            producer_name: "classifold".into(),
            ..ModelInfo::default()
        };
        Ok(ConvertedCheckpoint {
            document: graph.finish(&info)?,
            architecture: architecture.to_owned(),
            image_shape,
        })
    }

    /// `LayerNormalization` (opset 17) over the last axis.
    pub(super) fn layer_norm(
        &mut self,
        name: &str,
        x: &str,
        width: usize,
        epsilon: f32,
    ) -> Result<String> {
        let scale = self.constant(&format!("{name}.weight"), &[width])?;
        let bias = self.constant(&format!("{name}.bias"), &[width])?;
        let attributes = vec![("axis", Attr::Int(-1)), ("epsilon", Attr::Float(epsilon))];
        let inputs = [x, scale.as_str(), bias.as_str()];
        Ok(self
            .graph
            .node("LayerNormalization", name, &inputs, attributes))
    }
}
