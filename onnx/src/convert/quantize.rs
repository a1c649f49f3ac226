//! 8-bit integers: `QuantizeLinear` and `DequantizeLinear` around what computes with them ("QDQ"), as
//! ONNX Runtime and TensorRT take it. Weights have a symmetric scale for each output channel, values one
//! scale each (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference", section 2).

use std::collections::{HashMap, HashSet};

use super::quantize_plan::{Plan, float, plan};
use super::refused;
use crate::builder::{Attr, node};
use crate::document::Document;
use crate::error::Result;
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::surgery;
use crate::tensor::{Tensor, TensorData};

/// The smallest and the largest number that a value holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The smallest.
    pub low: f32,
    /// The largest.
    pub high: f32,
}

/// How the numbers of a value become integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// 0 to 255, from the lowest number to the highest: what CPUs do fastest, and one bit more where
    /// no number is negative. Biases are 32-bit integers.
    Asymmetric,
    /// -127 to 127 with 0 in the middle, biases as they are: what TensorRT takes.
    Symmetric,
}

/// What [`quantize`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantized {
    /// Convolutions and matrix products whose weights are 8-bit integers now.
    pub nodes: usize,
    /// Values that are.
    pub values: usize,
    /// Convolutions and matrix products that stayed as they are.
    pub kept: Vec<String>,
}

/// Quantises a graph that was [prepared](super::prepare), given the range of every value that
/// [`observed`](super::observed) names.
///
/// # Errors
/// [`Error::NothingToConvert`](crate::Error::NothingToConvert) where no weight is constant;
/// [`Error::Unconvertible`](crate::Error::Unconvertible) names the node of a value whose range is missing
/// or not finite.
pub fn quantize(
    document: &mut Document,
    ranges: &HashMap<String, Range>,
    scheme: Scheme,
) -> Result<Quantized> {
    let plan = plan(document)?;
    let graph = std::mem::take(document.graph_mut());
    let mut writer = Writer {
        graph: &graph,
        scheme,
        used: super::names(&graph),
        nodes: Vec::new(),
        constants: Vec::new(),
        scales: HashMap::new(),
        parameters: HashMap::new(),
        read_as: HashMap::new(),
    };
    let made = writer.all(&plan, ranges);
    let (nodes, constants) = (writer.nodes, writer.constants);
    let linear = |node: &&NodeProto| matches!(node.op_type(), "Conv" | "Gemm" | "MatMul");
    let kept = graph
        .node
        .iter()
        .enumerate()
        .filter(|(at, _)| !plan.linear.contains(at));
    let kept: Vec<String> = kept
        .map(|(_, node)| node)
        .filter(linear)
        .map(|node| node.name().to_owned())
        .collect();
    *document.graph_mut() = graph;
    made?;
    let graph = document.graph_mut();
    graph.node = nodes;
    graph.initializer.extend(constants);
    surgery::prune(graph);
    document.check()?;
    Ok(Quantized {
        nodes: plan.linear.len(),
        values: plan.values.len(),
        kept,
    })
}

/// Writes the nodes anew, one after the other.
struct Writer<'g> {
    graph: &'g GraphProto,
    scheme: Scheme,
    used: HashSet<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// The scale of a value.
    scales: HashMap<String, f32>,
    /// Names of scale and zero point, by the value whose range they come from.
    parameters: HashMap<String, [String; 2]>,
    /// The name under which a value is taken.
    read_as: HashMap<String, String>,
}

impl Writer<'_> {
    fn all(&mut self, plan: &Plan, ranges: &HashMap<String, Range>) -> Result<()> {
        let roots: HashMap<&str, &str> = plan
            .values
            .iter()
            .map(|(value, root)| (value.as_str(), root.as_str()))
            .collect();
        for input in &self.graph.input {
            if let Some(root) = roots.get(input.name()) {
                let nobody = NodeProto::default();
                self.value(input.name(), root, ranges, &nobody)?;
            }
        }
        for (at, old) in self.graph.node.iter().enumerate() {
            let mut new = old.clone();
            for name in &mut new.input {
                if let Some(read_as) = self.read_as.get(name) {
                    name.clone_from(read_as);
                }
            }
            if plan.linear.contains(&at) {
                self.weight_and_bias(old, &mut new)?;
            }
            self.nodes.push(new);
            for output in &old.output {
                if let Some(root) = roots.get(output.as_str()) {
                    self.value(output, root, ranges, old)?;
                }
            }
        }
        Ok(())
    }

    /// Quantises a value and takes it back: what takes it from here on takes what comes back.
    fn value(
        &mut self,
        name: &str,
        root: &str,
        ranges: &HashMap<String, Range>,
        giver: &NodeProto,
    ) -> Result<()> {
        if !self.parameters.contains_key(root) {
            let finite = |range: &&Range| range.low.is_finite() && range.high.is_finite();
            let Some(range) = ranges.get(root).filter(finite) else {
                return Err(refused(giver, &format!("`{root}` has no finite range")));
            };
            let (scale, zero_point) = scale(*range, self.scheme);
            let scale_name = self.constant(&format!("{root}_scale"), &scalar(scale)?);
            let zero_name = self.constant(&format!("{root}_zero_point"), &zero_point);
            self.scales.insert(root.to_owned(), scale);
            self.parameters
                .insert(root.to_owned(), [scale_name, zero_name]);
        }
        let scale = self.scales.get(root).copied().unwrap_or(1.0);
        self.scales.insert(name.to_owned(), scale);
        let [scale, zero_point] = self.parameters.get(root).cloned().unwrap_or_default();
        let quantized = super::fresh(&mut self.used, &format!("{name}_quantized"));
        let inputs = [name, scale.as_str(), zero_point.as_str()];
        self.nodes.push(node(
            "QuantizeLinear",
            &quantized,
            &inputs,
            &[&quantized],
            vec![],
        ));
        let back = super::fresh(&mut self.used, &format!("{name}_dequantized"));
        let inputs = [quantized.as_str(), scale.as_str(), zero_point.as_str()];
        self.nodes
            .push(node("DequantizeLinear", &back, &inputs, &[&back], vec![]));
        self.read_as.insert(name.to_owned(), back);
        Ok(())
    }

    /// Quantises the constants of a product.
    fn weight_and_bias(&mut self, old: &NodeProto, new: &mut NodeProto) -> Result<()> {
        let constant = |name: Option<&String>| {
            name.and_then(|name| float(self.graph, name))
                .map(|proto| Tensor::from_proto(&proto))
        };
        let Some(weight) = constant(old.input.get(1)).transpose()? else {
            return Ok(());
        };
        let bias = constant(old.input.get(2)).transpose()?;
        let axis = channel_axis(old);
        let channels = weight.dims[axis];
        // A bias of another shape is broadcast, and stays as it is.
        let bias = bias.filter(|bias| self.scheme == Scheme::Asymmetric && bias.dims == [channels]);
        let of_input = self.scales.get(&old.input[0]).copied().unwrap_or(1.0);
        let biases = bias.as_ref().map(Tensor::as_f32).transpose()?;
        let scales = channel_scales(&weight, axis, biases.as_deref(), of_input)?;
        let integers = integers(&weight, axis, &scales)?;
        new.input[1] = self.dequantized(&old.input[1], &integers, scales.clone(), axis)?;
        if let Some(biases) = biases {
            let scales: Vec<f32> = scales.iter().map(|scale| scale * of_input).collect();
            let pairs = biases.iter().zip(&scales);
            let integers =
                pairs.map(|(b, s)| (f64::from(*b) / f64::from(*s)).round_ties_even() as i32);
            let integers = Tensor::new(&[channels], TensorData::I32(integers.collect()))?;
            new.input[2] = self.dequantized(&old.input[2], &integers, scales, 0)?;
        }
        Ok(())
    }

    /// Constant integers, and the node that gives back the numbers they stand for.
    fn dequantized(
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
        let back = super::fresh(&mut self.used, &format!("{name}_dequantized"));
        let axis = vec![("axis", Attr::Int(axis as i64))];
        let inputs = [quantized.as_str(), scale.as_str(), zero.as_str()];
        self.nodes
            .push(node("DequantizeLinear", &back, &inputs, &[&back], axis));
        Ok(back)
    }

    fn constant(&mut self, base: &str, tensor: &Tensor) -> String {
        let name = super::fresh(&mut self.used, base);
        self.constants.push(tensor.to_proto(&name));
        name
    }
}

/// Scale and zero point of a value. Zero is always an integer: padding is exact.
fn scale(range: Range, scheme: Scheme) -> (f32, Tensor) {
    let (low, high) = (range.low.min(0.0), range.high.max(0.0));
    let zero = |data| Tensor { dims: vec![], data };
    let sure = |scale: f32| {
        if scale >= f32::MIN_POSITIVE {
            scale
        } else {
            1.0
        }
    };
    match scheme {
        Scheme::Asymmetric => {
            let scale = sure((high - low) / 255.0);
            let at = (-low / scale).round_ties_even().clamp(0.0, 255.0) as u8;
            (scale, zero(TensorData::U8(vec![at])))
        }
        Scheme::Symmetric => (sure(high.max(-low) / 127.0), zero(TensorData::I8(vec![0]))),
    }
}

/// The axis of a weight along which the output channels are.
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

/// The output channel of each number of a weight.
fn channel_of(weight: &Tensor, axis: usize) -> impl Fn(usize) -> usize + use<> {
    let inner: usize = weight.dims[axis + 1..].iter().product::<usize>().max(1);
    let channels = weight.dims[axis].max(1);
    move |index| index / inner % channels
}

/// A scale for each channel, -127 to 127. A bias that is large beside its weights must fit 32 bits, too.
fn channel_scales(
    weight: &Tensor,
    axis: usize,
    biases: Option<&[f32]>,
    of_input: f32,
) -> Result<Vec<f32>> {
    let mut largest = vec![0.0_f32; weight.dims[axis]];
    let channel = channel_of(weight, axis);
    for (index, value) in weight.as_f32()?.iter().enumerate() {
        let slot = &mut largest[channel(index)];
        *slot = slot.max(value.abs());
    }
    let least = |channel: usize| {
        let bias = biases.map_or(0.0, |biases| biases[channel].abs());
        // Half of what 32 bits hold: sums of products come on top.
        (f64::from(bias) / f64::from(of_input) / f64::from(1_u32 << 30)) as f32
    };
    let scales = largest.iter().enumerate().map(|(channel, largest)| {
        let scale = (largest / 127.0).max(least(channel));
        // A channel of nothing but zeros.
        if scale >= f32::MIN_POSITIVE {
            scale
        } else {
            1.0
        }
    });
    Ok(scales.collect())
}

fn integers(weight: &Tensor, axis: usize, scales: &[f32]) -> Result<Tensor> {
    let channel = channel_of(weight, axis);
    let values = weight.as_f32()?;
    let rounded = values.iter().enumerate().map(|(index, value)| {
        (value / scales[channel(index)])
            .round_ties_even()
            .clamp(-127.0, 127.0) as i8
    });
    Tensor::new(&weight.dims, TensorData::I8(rounded.collect()))
}

fn scalar(value: f32) -> Result<Tensor> {
    Tensor::f32(&[], vec![value])
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
        let (s, zero) = scale(range, Scheme::Asymmetric);
        assert!((s - 0.02).abs() < 1e-7);
        assert_eq!(zero.data, TensorData::U8(vec![50]));
        let (s, zero) = scale(range, Scheme::Symmetric);
        assert!((s - 4.1 / 127.0).abs() < 1e-7);
        assert_eq!(zero.data, TensorData::I8(vec![0]));
        // What is never negative uses all of 0 to 255.
        let (_, zero) = scale(
            Range {
                low: 0.5,
                high: 2.0,
            },
            Scheme::Asymmetric,
        );
        assert_eq!(zero.data, TensorData::U8(vec![0]));
        assert_eq!(
            scale(
                Range {
                    low: 0.0,
                    high: 0.0
                },
                Scheme::Symmetric
            )
            .0,
            1.0
        );
    }

    #[test]
    fn each_channel_uses_its_whole_range() {
        let weight = Tensor::f32(&[2, 1, 1, 2], vec![0.5, -1.0, 254.0, 3.0]).unwrap();
        let scales = channel_scales(&weight, 0, None, 1.0).unwrap();
        assert_eq!(scales, [1.0 / 127.0, 2.0]);
        let found = integers(&weight, 0, &scales).unwrap();
        assert_eq!(found.data, TensorData::I8(vec![64, -127, 127, 2]));
        // Along the second axis, as in a matrix product.
        let weight = Tensor::f32(&[2, 2], vec![1.0, 0.0, -127.0, 0.0]).unwrap();
        let scales = channel_scales(&weight, 1, None, 1.0).unwrap();
        assert_eq!(scales, [1.0, 1.0]);
    }

    #[test]
    fn a_large_bias_fits_32_bits() {
        let weight = Tensor::f32(&[1, 1], vec![1e-6]).unwrap();
        let scales = channel_scales(&weight, 0, Some(&[1000.0]), 1e-3).unwrap();
        assert!(1000.0 / (f64::from(scales[0]) * 1e-3) <= f64::from(i32::MAX));
    }
}
