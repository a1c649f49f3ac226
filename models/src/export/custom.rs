//! ONNX graph of the custom network, written operator by operator in opset 17.
//!
//! Initializers have the names of the network's parameters, so that a reader finds them.

use super::{LOGITS, bias_or_zeros, tensor};
use crate::custom::{Cell, CellKind, CustomResNet};
use crate::error::Result;
use crate::layers::{BatchNorm, Conv2d};
use burn::module::Param;
use burn::tensor::TensorData;
use onnx::proto::DataType;
use onnx::{BatchNormInputs, Dim, Document, GraphBuilder, ModelInfo, Window};

/// Conv, MaxPool, BatchNormalization, Relu, Add, GlobalAveragePool, Flatten, Gemm.
pub(crate) fn custom(network: &CustomResNet) -> Result<Document> {
    let mut writer = Writer {
        graph: GraphBuilder::new("custom_resnet"),
    };
    let [channels, height, width] = network.image_shape.map(Dim::from);
    let images = ["batch".into(), channels, height, width];
    let x = writer.graph.input("input", DataType::Float, &images);
    let x = writer.conv("conv1", &network.conv1, &x)?;
    let x = writer
        .graph
        .max_pool("maxpool", &x, Window::square(3, 2, 1));
    let mut x = writer.norm_relu("bn1", "relu", &network.bn1, &x)?;
    for (i, cell) in network.cells.iter().enumerate() {
        x = writer.cell(&format!("cells.{i}"), cell, &x)?;
    }
    let x = writer.graph.global_average_pool("avgpool", &x);
    let x = writer.graph.flatten("flatten", &x);
    let weight = network.fc.weight.val();
    let classes = weight.dims()[0];
    let weight = writer
        .graph
        .initializer("fc.weight", &tensor(weight.into_data())?);
    let bias = bias_or_zeros(&network.fc)?;
    let bias = writer.graph.initializer("fc.bias", &bias);
    let x = writer.graph.gemm("fc", &x, &weight, &bias);
    writer.graph.output(
        &x,
        LOGITS,
        DataType::Float,
        &["batch".into(), classes.into()],
    );
    Ok(writer.graph.finish(&ModelInfo::default())?)
}

struct Writer {
    graph: GraphBuilder,
}

impl Writer {
    fn cell(&mut self, name: &str, cell: &Cell, y: &str) -> Result<String> {
        let child = |part: &str| format!("{name}.{part}");
        let f = match cell.kind {
            CellKind::Preactivation => {
                let f = self.norm_relu(&child("bn1"), &child("relu1"), &cell.bn1, y)?;
                let f = self.conv(&child("conv1"), &cell.conv1, &f)?;
                let f = self.norm_relu(&child("bn2"), &child("relu2"), &cell.bn2, &f)?;
                self.conv(&child("conv2"), &cell.conv2, &f)?
            }
            CellKind::Original | CellKind::Plain => {
                let f = self.conv(&child("conv1"), &cell.conv1, y)?;
                let f = self.norm_relu(&child("bn1"), &child("relu1"), &cell.bn1, &f)?;
                let f = self.conv(&child("conv2"), &cell.conv2, &f)?;
                self.norm(&child("bn2"), &cell.bn2, &f)?
            }
        };
        let sum = match &cell.project {
            Some(project) => {
                let p = self.conv(&child("project"), project, y)?;
                self.graph.add(&child("add"), &p, &f)
            }
            None => f,
        };
        Ok(match cell.kind {
            CellKind::Preactivation => sum,
            CellKind::Original | CellKind::Plain => self.graph.relu(&child("relu2"), &sum),
        })
    }

    fn conv(&mut self, name: &str, conv: &Conv2d, x: &str) -> Result<String> {
        let weight = conv.weight.val();
        let [_, _, height, width] = weight.dims();
        // The custom network's padding is the same on both sides; it has no groups and no dilation.
        let [top, left] = conv.options.padding_begin();
        let window = Window {
            kernel_size: [height, width],
            stride: conv.options.stride,
            padding: [top, left, top, left],
        };
        let weight = self.initializer(&format!("{name}.weight"), weight.into_data())?;
        let bias = match conv.bias.as_ref().map(Param::val) {
            Some(bias) => Some(self.initializer(&format!("{name}.bias"), bias.into_data())?),
            None => None,
        };
        Ok(self.graph.conv(name, x, &weight, bias.as_deref(), window))
    }

    fn norm_relu(&mut self, name: &str, relu: &str, norm: &BatchNorm, x: &str) -> Result<String> {
        let x = self.norm(name, norm, x)?;
        Ok(self.graph.relu(relu, &x))
    }

    fn norm(&mut self, name: &str, norm: &BatchNorm, x: &str) -> Result<String> {
        let weight = self.initializer(&format!("{name}.weight"), norm.weight.val().into_data())?;
        let bias = self.initializer(&format!("{name}.bias"), norm.bias.val().into_data())?;
        let mean = norm.running_mean.value().into_data();
        let mean = self.initializer(&format!("{name}.running_mean"), mean)?;
        let var = norm.running_var.value().into_data();
        let var = self.initializer(&format!("{name}.running_var"), var)?;
        let inputs = BatchNormInputs {
            scale: &weight,
            bias: &bias,
            mean: &mean,
            var: &var,
        };
        let epsilon = norm.epsilon as f32;
        Ok(self.graph.batch_norm(name, x, inputs, epsilon))
    }

    fn initializer(&mut self, name: &str, data: TensorData) -> Result<String> {
        Ok(self.graph.initializer(name, &tensor(data)?))
    }
}
