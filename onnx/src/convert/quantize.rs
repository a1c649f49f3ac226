//! Quantisation to 8-bit integers: `QuantizeLinear` and `DequantizeLinear` around the nodes that compute
//! with them (QDQ), as ONNX Runtime and TensorRT expect.
//!
//! Weights have a symmetric scale for each output channel, values one scale each (Jacob et al.,
//! "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018,
//! section 2). Measures no range: the caller passes the ranges of the values.

use std::collections::HashMap;
use std::iter::successors;

use super::quantize_plan::{Plan, QuantizedValue, float_constant, plan, quantizable_nodes};
use super::{UsedNames, label, unconvertible};
use crate::builder::{Attr, node};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::surgery;
use crate::tensor::{Tensor, TensorData};

/// Smallest and largest number of a value.
///
/// Of all images: percentiles and least-squares ranges were measured and are no better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Smallest number.
    pub low: f32,
    /// Largest number.
    pub high: f32,
}

/// Mapping of a value's numbers to integers. Each serves one kind of runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// 0 to 255, from the smallest number to the largest; biases are 32-bit integers. For CPUs.
    ///
    /// ONNX Runtime replaces a ReLU by the range of the integers only where 0 is the lowest of them. A
    /// value without negative numbers has one bit more than in the symmetric scheme.
    Asymmetric,
    /// -127 to 127 with zero point 0; biases stay in single precision. TensorRT accepts no other.
    ///
    /// On a CPU, half of the convolutions of such a file run in single precision.
    Symmetric,
}

/// Result of [`quantize`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantized {
    /// Number of convolutions and matrix products with weights of 8-bit integers.
    pub nodes: usize,
    /// Number of values of 8-bit integers.
    pub values: usize,
    /// Names of the nodes that stayed in single precision: those that had to, and convolutions and matrix products
    /// without constant weights.
    pub kept: Vec<String>,
}

/// Quantises a [prepared](super::prepare) graph with the ranges of its
/// [`calibrated_values`](super::calibrated_values). The [`quantizable_nodes`](super::quantizable_nodes) of the names
/// `kept` stay in single precision.
///
/// # Errors
/// No weight is constant, the range of a value is missing or not finite, or a name of `kept` is no such node's.
pub fn quantize(
    document: &mut Document,
    ranges: &HashMap<String, Range>,
    scheme: Scheme,
    kept: &[String],
) -> Result<Quantized> {
    check_kept(document, kept)?;
    let plan = plan(document, kept)?;
    let graph = document.graph();
    let mut writer = Writer {
        graph,
        scheme,
        ranges,
        moved_from: &plan.moved_from,
        used_names: UsedNames::new(graph),
        nodes: Vec::new(),
        constants: Vec::new(),
        parameters: HashMap::new(),
        scales: HashMap::new(),
        dequantized: HashMap::new(),
    };
    writer.add_all(&plan)?;
    let Writer {
        nodes, constants, ..
    } = writer;
    let linear = |node: &NodeProto| matches!(node.op_type(), "Conv" | "Gemm" | "MatMul");
    let old_nodes = graph.node.iter().enumerate();
    let stayed: Vec<String> = old_nodes
        .filter(|(index, node)| {
            linear(node) && !plan.linear.contains(index) || kept.contains(&label(node))
        })
        .map(|(_, node)| label(node))
        .collect();
    let graph = document.graph_mut();
    graph.node = nodes;
    graph.initializer.extend(constants);
    surgery::prune(graph);
    document.check()?;
    Ok(Quantized {
        nodes: plan.linear.len(),
        values: plan.values.len(),
        kept: stayed,
    })
}

/// Whether [`quantize`] can keep the nodes of the names `kept` of a [prepared](super::prepare) graph in single precision.
///
/// # Errors
/// A name is none of the [`quantizable_nodes`](super::quantizable_nodes), or no product would be left.
pub fn check_kept(document: &Document, kept: &[String]) -> Result<()> {
    if kept.is_empty() {
        return Ok(());
    }
    let nodes = quantizable_nodes(document)?;
    let is_known = |name: &&String| nodes.iter().any(|node| node.name == **name);
    if let Some(unknown) = kept.iter().find(|name| !is_known(name)) {
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        return Err(Error::not_quantizable(unknown, &names));
    }
    let mut products = nodes.iter().filter(|node| node.is_product);
    match products.all(|node| kept.contains(&node.name)) {
        true => Err(Error::nothing_quantized()),
        false => Ok(()),
    }
}

/// Names of a value's scale and zero point.
#[derive(Clone)]
struct Parameters {
    scale: f32,
    scale_name: String,
    zero_point_name: String,
}

/// Writes the nodes of the quantised graph, one after the other.
struct Writer<'g> {
    graph: &'g GraphProto,
    scheme: Scheme,
    ranges: &'g HashMap<String, Range>,
    moved_from: &'g HashMap<String, String>,
    used_names: UsedNames,
    /// The new nodes.
    nodes: Vec<NodeProto>,
    /// The new constants.
    constants: Vec<TensorProto>,
    /// By the value whose range they come from.
    parameters: HashMap<String, Parameters>,
    /// The scales of the quantised values.
    scales: HashMap<String, f32>,
    /// The name under which later nodes read a quantised value.
    dequantized: HashMap<String, String>,
}

impl Writer<'_> {
    fn add_all(&mut self, plan: &Plan) -> Result<()> {
        let values = plan.values.iter();
        let values: HashMap<&str, &QuantizedValue> =
            values.map(|value| (value.name.as_str(), value)).collect();
        for input in &self.graph.input {
            if let Some(value) = values.get(input.name()) {
                self.quantize_value(value, &NodeProto::default())?;
            }
        }
        for (index, old) in self.graph.node.iter().enumerate() {
            let mut new = old.clone();
            let reads_integers = plan.integer_readers.contains(&index);
            for name in &mut new.input {
                // A value in single precision that is quantised for others is read as it is.
                if (reads_integers || plan.integer_results.contains(name))
                    && let Some(dequantized) = self.dequantized.get(name)
                {
                    name.clone_from(dequantized);
                }
            }
            if plan.linear.contains(&index) {
                self.quantize_constants(old, &mut new)?;
            }
            self.nodes.push(new);
            for output in &old.output {
                if let Some(value) = values.get(output.as_str()) {
                    self.quantize_value(value, old)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the two nodes that quantise and dequantise a value; later nodes read it from the second.
    fn quantize_value(&mut self, value: &QuantizedValue, producer: &NodeProto) -> Result<()> {
        let QuantizedValue { name, root } = value;
        let parameters = match self.parameters.get(root) {
            Some(parameters) => parameters.clone(),
            None => self.add_parameters(root, producer)?,
        };
        self.scales.insert(name.clone(), parameters.scale);
        let (scale, zero_point) = (&parameters.scale_name, &parameters.zero_point_name);
        let quantized = self.used_names.unique(&format!("{name}_quantized"));
        let inputs = [name, scale.as_str(), zero_point];
        self.push("QuantizeLinear", &quantized, &inputs, vec![]);
        let dequantized = self.used_names.unique(&format!("{name}_dequantized"));
        let inputs = [quantized.as_str(), scale, zero_point];
        self.push("DequantizeLinear", &dequantized, &inputs, vec![]);
        self.dequantized.insert(name.clone(), dequantized);
        Ok(())
    }

    fn add_parameters(&mut self, root: &str, producer: &NodeProto) -> Result<Parameters> {
        let finite = |range: &&Range| range.low.is_finite() && range.high.is_finite();
        // Ranges were measured for the plan that keeps no node: there a value may have had the range of another one,
        // from which it was moved.
        let mut sources = successors(Some(root), |value| {
            self.moved_from.get(*value).map(String::as_str)
        });
        let range = sources.find_map(|value| self.ranges.get(value));
        let Some(range) = range.filter(finite) else {
            let reason = format!("`{root}` has no finite range");
            return Err(unconvertible(producer, &reason));
        };
        let (scale, zero_point) = scale_and_zero_point(*range, self.scheme);
        let scale_tensor = Tensor::f32(&[], vec![scale])?;
        let parameters = Parameters {
            scale,
            scale_name: self.constant(&format!("{root}_scale"), &scale_tensor),
            zero_point_name: self.constant(&format!("{root}_zero_point"), &zero_point),
        };
        self.parameters.insert(root.to_owned(), parameters.clone());
        Ok(parameters)
    }

    /// Quantises weight and bias of a convolution or a matrix product.
    fn quantize_constants(&mut self, old: &NodeProto, new: &mut NodeProto) -> Result<()> {
        let constant = |name: Option<&String>| {
            name.and_then(|name| float_constant(self.graph, name))
                .map(|proto| Tensor::from_proto(&proto))
        };
        let Some(weight) = constant(old.input.get(1)).transpose()? else {
            return Ok(());
        };
        let bias = constant(old.input.get(2)).transpose()?;
        let axis = channel_axis(old);
        let channels = weight.dims[axis];
        // An integer bias has the scale of the products, weight times input: it needs a quantised input,
        // which an output of the graph is not. A bias of another shape is broadcast, and stays.
        let input_scale = self.scales.get(&old.input[0]).copied();
        let input_scale = input_scale.filter(|_| self.scheme == Scheme::Asymmetric);
        let bias = bias.filter(|bias| bias.dims == [channels]).zip(input_scale);
        let Some((bias, input_scale)) = bias else {
            let scales = channel_scales(&weight, axis, &vec![0.0; channels])?;
            let integers = integers(&weight, axis, &scales)?;
            new.input[1] = self.dequantized_constant(&old.input[1], &integers, scales, axis)?;
            return Ok(());
        };
        let bias = bias.as_f32()?;
        let scales = channel_scales(&weight, axis, &min_scales(&bias, input_scale))?;
        let integers = integers(&weight, axis, &scales)?;
        let bias_scales: Vec<f32> = scales.iter().map(|scale| scale * input_scale).collect();
        new.input[1] = self.dequantized_constant(&old.input[1], &integers, scales, axis)?;
        let pairs = bias.iter().zip(&bias_scales);
        let integers = pairs.map(|(b, s)| (f64::from(*b) / f64::from(*s)).round_ties_even() as i32);
        let integers = Tensor::new(&[channels], TensorData::I32(integers.collect()))?;
        new.input[2] = self.dequantized_constant(&old.input[2], &integers, bias_scales, 0)?;
        Ok(())
    }

    /// Adds constant integers and the node that dequantises them; returns that node's output.
    fn dequantized_constant(
        &mut self,
        name: &str,
        integers: &Tensor,
        scales: Vec<f32>,
        axis: usize,
    ) -> Result<String> {
        let channels = scales.len();
        let zero = match integers.data {
            TensorData::I32(_) => TensorData::I32(vec![0; channels]),
            _ => TensorData::I8(vec![0; channels]),
        };
        let quantized = self.constant(&format!("{name}_quantized"), integers);
        let scale = self.constant(&format!("{name}_scale"), &Tensor::f32(&[channels], scales)?);
        let zero = Tensor::new(&[channels], zero)?;
        let zero = self.constant(&format!("{name}_zero_point"), &zero);
        let dequantized = self.used_names.unique(&format!("{name}_dequantized"));
        let axis = vec![("axis", Attr::Int(axis as i64))];
        let inputs = [quantized.as_str(), &scale, &zero];
        self.push("DequantizeLinear", &dequantized, &inputs, axis);
        Ok(dequantized)
    }

    /// Adds a node whose output has its name.
    fn push(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<(&str, Attr)>) {
        self.nodes.push(node(op, name, inputs, &[name], attributes));
    }

    fn constant(&mut self, base: &str, tensor: &Tensor) -> String {
        let name = self.used_names.unique(base);
        self.constants.push(tensor.to_proto(&name));
        name
    }
}

/// Scale and zero point of a value. The range is widened to hold 0, so that padding is exact.
fn scale_and_zero_point(range: Range, scheme: Scheme) -> (f32, Tensor) {
    let (low, high) = (range.low.min(0.0), range.high.max(0.0));
    let (scale, zero_point) = match scheme {
        Scheme::Asymmetric => {
            let scale = or_one((high - low) / 255.0);
            let zero_point = (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8;
            (scale, TensorData::U8(vec![zero_point]))
        }
        Scheme::Symmetric => (or_one(high.max(-low) / 127.0), TensorData::I8(vec![0])),
    };
    let dims = vec![];
    (
        scale,
        Tensor {
            dims,
            data: zero_point,
        },
    )
}

/// A scale, or 1 for values that are all 0: division by it must be possible.
fn or_one(scale: f32) -> f32 {
    if scale >= f32::MIN_POSITIVE {
        scale
    } else {
        1.0
    }
}

/// The axis of a weight's output channels.
fn channel_axis(node: &NodeProto) -> usize {
    let transposed = node
        .attribute
        .iter()
        .any(|a| a.name() == "transB" && a.i() != 0);
    match node.op_type() {
        "Conv" => 0,
        "Gemm" if transposed => 0,
        _ => 1,
    }
}

/// The output channel of the number at an index of a weight.
fn channel_at(weight: &Tensor, axis: usize) -> impl Fn(usize) -> usize + use<> {
    let inner: usize = weight.dims[axis + 1..].iter().product::<usize>().max(1);
    let channels = weight.dims[axis].max(1);
    move |index| index / inner % channels
}

/// The smallest scales of the weights with which each bias fits 32 bits.
fn min_scales(bias: &[f32], input_scale: f32) -> Vec<f32> {
    // Half of the range of 32 bits: sums of products are added to the bias.
    let limit = f64::from(1_u32 << 30);
    let scale = |b: &f32| (f64::from(b.abs()) / f64::from(input_scale) / limit) as f32;
    bias.iter().map(scale).collect()
}

/// A scale for each channel, by which its largest weight becomes 127 at most.
fn channel_scales(weight: &Tensor, axis: usize, min_scales: &[f32]) -> Result<Vec<f32>> {
    let mut largest = vec![0.0_f32; weight.dims[axis]];
    let channel = channel_at(weight, axis);
    for (index, value) in weight.as_f32()?.iter().enumerate() {
        let slot = &mut largest[channel(index)];
        *slot = slot.max(value.abs());
    }
    let pairs = largest.iter().zip(min_scales);
    Ok(pairs
        .map(|(largest, min)| or_one((largest / 127.0).max(*min)))
        .collect())
}

fn integers(weight: &Tensor, axis: usize, scales: &[f32]) -> Result<Tensor> {
    let channel = channel_at(weight, axis);
    let values = weight.as_f32()?;
    let rounded = values.iter().enumerate().map(|(index, value)| {
        (value / scales[channel(index)])
            .round_ties_even()
            .clamp(-127.0, 127.0) as i8
    });
    Tensor::new(&weight.dims, TensorData::I8(rounded.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_an_integer_in_both_schemes() {
        let range = Range {
            low: -1.0,
            high: 4.1,
        };
        let (s, zero) = scale_and_zero_point(range, Scheme::Asymmetric);
        assert!((s - 0.02).abs() < 1e-7);
        assert_eq!(zero.data, TensorData::U8(vec![50]));
        let (s, zero) = scale_and_zero_point(range, Scheme::Symmetric);
        assert!((s - 4.1 / 127.0).abs() < 1e-7);
        assert_eq!(zero.data, TensorData::I8(vec![0]));
        // What is never negative uses all of 0 to 255.
        let range = Range {
            low: 0.5,
            high: 2.0,
        };
        let (_, zero) = scale_and_zero_point(range, Scheme::Asymmetric);
        assert_eq!(zero.data, TensorData::U8(vec![0]));
        let range = Range {
            low: 0.0,
            high: 0.0,
        };
        let (s, _) = scale_and_zero_point(range, Scheme::Symmetric);
        assert_eq!(s, 1.0);
    }

    #[test]
    fn each_channel_uses_its_whole_range() {
        let weight = Tensor::f32(&[2, 1, 1, 2], vec![0.5, -1.0, 254.0, 3.0]).unwrap();
        let scales = channel_scales(&weight, 0, &[0.0; 2]).unwrap();
        assert_eq!(scales, [1.0 / 127.0, 2.0]);
        let found = integers(&weight, 0, &scales).unwrap();
        assert_eq!(found.data, TensorData::I8(vec![64, -127, 127, 2]));
        // Along the second axis, as in a matrix product.
        let weight = Tensor::f32(&[2, 2], vec![1.0, 0.0, -127.0, 0.0]).unwrap();
        let scales = channel_scales(&weight, 1, &[0.0; 2]).unwrap();
        assert_eq!(scales, [1.0, 1.0]);
    }

    #[test]
    fn a_large_bias_fits_32_bits() {
        let weight = Tensor::f32(&[1, 1], vec![1e-6]).unwrap();
        let scales = channel_scales(&weight, 0, &min_scales(&[1000.0], 1e-3)).unwrap();
        assert!(1000.0 / (f64::from(scales[0]) * 1e-3) <= f64::from(i32::MAX));
    }
}
