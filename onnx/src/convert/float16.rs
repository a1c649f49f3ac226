//! Conversion to half precision (IEEE 754 binary16); inputs and outputs stay in single precision.
//!
//! A node computes in half precision if its operator computes in the type of its input, if it depends
//! on an input of the graph, and if half precision can hold its constants. All others keep single
//! precision, with `Cast` around them: arithmetic on shapes, scales of `Resize`, bodies of `If`, `Loop`
//! and `Scan`, unknown operators.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use half::f16;

use super::types::{self, Types};
use super::{UsedNames, check_unquantized, fold, is_standard, label, operator};
use crate::builder::{Attr, node};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{DataType, GraphProto, NodeProto, TensorProto, type_proto};
use crate::surgery;
use crate::tensor::{Tensor, TensorData};
use crate::walk;

/// Result of [`to_half`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Number of constants converted.
    pub halved: usize,
    /// Nodes between input and output that stayed in single precision.
    pub kept: Vec<Kept>,
}

/// A node that stayed in single precision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The node's name, or its output's where it has none.
    pub node: String,
    /// The operator, with its domain where that is not ONNX's own.
    pub op: String,
    /// The obstacle.
    pub why: String,
}

/// Converts a model to half precision; the types of inputs and outputs stay.
///
/// A constant stays in single precision, and with it the nodes that read it, if a value is beyond half
/// precision's 65504, or if too much of it is lost below 2^-14.
///
/// ```
/// use classifold_onnx::{Dim, GraphBuilder, ModelInfo, Tensor, convert, proto::DataType};
/// # fn main() -> classifold_onnx::Result<()> {
/// let mut graph = GraphBuilder::new("head");
/// let x = graph.input("x", DataType::Float, &["batch".into(), Dim::Fixed(2)]);
/// let weight = graph.initializer("weight", &Tensor::f32(&[1, 2], vec![0.5; 2])?);
/// let bias = graph.initializer("bias", &Tensor::f32(&[1], vec![0.0])?);
/// let y = graph.gemm("fc", &x, &weight, &bias);
/// graph.output(&y, "y", DataType::Float, &["batch".into(), Dim::Fixed(1)]);
/// let mut document = graph.finish(&ModelInfo::default())?;
///
/// assert_eq!(convert::to_half(&mut document)?.halved, 2);
/// let operators: Vec<&str> = document.graph().node.iter().map(|node| node.op_type()).collect();
/// assert_eq!(operators, ["Cast", "Gemm", "Cast"]);
/// assert_eq!(document.outputs()[0].elem_type, DataType::Float);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The model is quantised, an operator is unknown and the file does not have the types of its outputs,
/// there is nothing to convert, or external data is missing.
pub fn to_half(document: &mut Document) -> Result<Half> {
    check_unquantized(document.graph())?;
    document.inline_external_data()?;
    super::remove_initializer_inputs(document);
    fold::fold(document)?;
    let types = types::infer(document)?;
    let opset = document.opset();
    let mut converter = Converter::new(document.graph(), &types, opset);
    for node in &document.graph().node {
        converter.add(node)?;
    }
    let Converter {
        nodes,
        constants,
        native,
        renamed,
        full,
        report,
        ..
    } = converter;
    if report.halved == 0 {
        return Err(Error::nothing_to_convert("weights in single precision"));
    }
    let graph = document.graph_mut();
    graph.node = nodes;
    for (output, inner) in renamed {
        if !full.contains_key(&output) {
            graph.node.push(cast(&inner, &output, DataType::Float));
        }
    }
    graph.initializer.extend(constants);
    let outputs: HashSet<&str> = graph.output.iter().map(|output| output.name()).collect();
    // The file's notes on types must agree with the values, or readers refuse it.
    for info in &mut graph.value_info {
        if native.contains(info.name())
            && !outputs.contains(info.name())
            && let Some(type_proto::Value::TensorType(tensor)) =
                info.r#type.as_mut().and_then(|t| t.value.as_mut())
        {
            tensor.elem_type = Some(DataType::Float16 as i32);
        }
    }
    surgery::prune(graph);
    document.check()?;
    Ok(report)
}

/// Converts the nodes one after the other.
struct Converter<'g> {
    graph: &'g GraphProto,
    types: &'g Types,
    opset: i64,
    /// Values that depend on the values of an input.
    dependent: HashSet<String>,
    used_names: UsedNames,
    /// The new nodes.
    nodes: Vec<NodeProto>,
    /// New constants, in half precision.
    constants: Vec<TensorProto>,
    /// Values that their nodes compute in half precision.
    native: HashSet<String>,
    /// New names of the graph's outputs that are computed in half precision: the old names are those
    /// of the copies in single precision. In order, so that the same model gives the same bytes.
    renamed: BTreeMap<String, String>,
    /// Names of the half-precision copies of values in single precision.
    half: HashMap<String, String>,
    /// Names of the single-precision copies of values in half precision.
    full: HashMap<String, String>,
    report: Half,
}

impl<'g> Converter<'g> {
    fn new(graph: &'g GraphProto, types: &'g Types, opset: i64) -> Self {
        Self {
            graph,
            types,
            opset,
            dependent: super::input_dependent(graph),
            used_names: UsedNames::new(graph),
            nodes: Vec::with_capacity(graph.node.len()),
            constants: Vec::new(),
            native: HashSet::new(),
            renamed: BTreeMap::new(),
            half: HashMap::new(),
            full: HashMap::new(),
            report: Half::default(),
        }
    }

    fn is_float(&self, value: &str) -> bool {
        self.types.get(value) == Some(&DataType::Float)
    }

    fn add(&mut self, node: &NodeProto) -> Result<()> {
        let mut new = node.clone();
        if node.op_type() == "Cast" && is_standard(node) {
            self.add_cast(new);
            return Ok(());
        }
        let half = self.is_half(node)?;
        for (index, name) in new.input.iter_mut().enumerate() {
            if !self.is_float(name) {
                continue;
            }
            *name = if half && has_computed_type(node, index) {
                self.in_half(name)?
            } else {
                self.in_full(name)
            };
        }
        self.rename_captured(&mut new);
        if half {
            for name in &mut new.output {
                if self.is_float(name) {
                    *name = self.native_output(name);
                }
            }
        }
        self.nodes.push(new);
        Ok(())
    }

    /// Changes a cast to single precision into one to half precision, if that holds every value.
    fn add_cast(&mut self, mut new: NodeProto) {
        let ([input], [output]) = (&new.input[..], &new.output[..]) else {
            self.nodes.push(new);
            return;
        };
        let (input, output) = (input.clone(), output.clone());
        // Of integers, half precision holds all up to 2048: 8 bits, but not 16.
        let narrow = matches!(
            self.types.get(&input),
            Some(
                DataType::Float
                    | DataType::Float16
                    | DataType::Bool
                    | DataType::Uint8
                    | DataType::Int8
            )
        );
        if let Some(inner) = self.renamed.get(&input) {
            new.input[0].clone_from(inner);
        }
        if self.is_float(&output) && narrow && self.dependent.contains(&output) {
            let to = new.attribute.iter_mut().find(|a| a.name() == "to");
            if let Some(to) = to {
                to.i = Some(DataType::Float16 as i64);
            }
            new.output[0] = self.native_output(&output);
        }
        self.nodes.push(new);
    }

    /// Whether a node will compute in half precision. If not, reports the obstacle.
    fn is_half(&mut self, node: &NodeProto) -> Result<bool> {
        let floats = |names: &[String]| names.iter().any(|name| self.is_float(name));
        if !floats(&node.input) && !floats(&node.output) {
            return Ok(false);
        }
        let read = surgery::names_read(node);
        if !read.iter().any(|name| self.dependent.contains(*name)) {
            return Ok(false);
        }
        let Some(why) = self.obstacle(node)? else {
            return Ok(true);
        };
        self.report.kept.push(Kept {
            node: label(node),
            op: operator(node),
            why,
        });
        Ok(false)
    }

    /// The reason why a node stays in single precision.
    fn obstacle(&self, node: &NodeProto) -> Result<Option<String>> {
        // The first two lack half precision in their specification, the third did before opset 14.
        let unknown = match node.op_type() {
            "Range" | "Celu" => true,
            "CumSum" => self.opset < 14,
            _ => !types::computes_in_input_type(node),
        };
        if unknown {
            let why = "half precision is not known of this operator";
            return Ok(Some(why.to_owned()));
        }
        for (index, name) in node.input.iter().enumerate() {
            // A constant with a copy in half precision was checked before.
            let checked = self.half.contains_key(name);
            if checked || !self.is_float(name) || !has_computed_type(node, index) {
                continue;
            }
            if let Some(proto) = walk::constant(self.graph, name) {
                let tensor = Tensor::from_proto(&proto)?;
                // A bound beyond 65504 becomes infinite and bounds nothing, as before: all values are
                // within half precision.
                let bound = node.op_type() == "Clip";
                if let Some(why) = precision_loss(&tensor.as_f32()?, bound) {
                    return Ok(Some(format!("`{name}` {why}")));
                }
            }
        }
        Ok(None)
    }

    /// The name of a value in half precision. Adds a copy if there is none.
    fn in_half(&mut self, name: &str) -> Result<String> {
        if self.native.contains(name) {
            return Ok(self.native_name(name));
        }
        if let Some(half) = self.half.get(name) {
            return Ok(half.clone());
        }
        let half = self.used_names.unique(&format!("{name}_fp16"));
        match walk::constant(self.graph, name) {
            Some(proto) => {
                let tensor = Tensor::from_proto(&proto)?;
                let values = tensor.as_f32()?;
                let bits = values.iter().map(|v| f16::from_f32(*v).to_bits()).collect();
                let tensor = Tensor::new(&tensor.dims, TensorData::F16(bits))?;
                self.constants.push(tensor.to_proto(&half));
                self.report.halved += 1;
            }
            None => self.nodes.push(cast(name, &half, DataType::Float16)),
        }
        self.half.insert(name.to_owned(), half.clone());
        Ok(half)
    }

    /// The name of a value in single precision. Adds a copy if there is none.
    fn in_full(&mut self, name: &str) -> String {
        if !self.native.contains(name) {
            return name.to_owned();
        }
        if let Some(full) = self.full.get(name) {
            return full.clone();
        }
        let full = match self.renamed.contains_key(name) {
            true => name.to_owned(),
            false => self.used_names.unique(&format!("{name}_fp32")),
        };
        let from = self.native_name(name);
        self.nodes.push(cast(&from, &full, DataType::Float));
        self.full.insert(name.to_owned(), full.clone());
        full
    }

    /// Feeds a node's subgraphs, which stay in single precision, with copies of the values they capture.
    fn rename_captured(&mut self, node: &mut NodeProto) {
        let bodies = node.attribute.iter().flat_map(walk::subgraphs);
        let captured: BTreeSet<String> = bodies
            .flat_map(surgery::used_names)
            .filter(|name| self.native.contains(*name))
            .map(str::to_owned)
            .collect();
        for name in captured {
            let full = self.in_full(&name);
            for attribute in &mut node.attribute {
                let bodies = attribute.g.as_deref_mut().into_iter();
                for body in bodies.chain(&mut attribute.graphs) {
                    surgery::rename_value(body, &name, &full);
                }
            }
        }
    }

    /// Records that a value is computed in half precision and returns its name.
    fn native_output(&mut self, name: &str) -> String {
        self.native.insert(name.to_owned());
        if surgery::is_output(self.graph, name) {
            let inner = self.used_names.unique(&format!("{name}_fp16"));
            self.renamed.insert(name.to_owned(), inner);
        }
        self.native_name(name)
    }

    fn native_name(&self, name: &str) -> String {
        let name = self.renamed.get(name).map_or(name, String::as_str);
        name.to_owned()
    }
}

/// Whether a floating-point input has the type in which a node computes.
fn has_computed_type(node: &NodeProto, index: usize) -> bool {
    // The others are always in single precision: region and scales, and the ratio of `Dropout`.
    index == 0 || !matches!(node.op_type(), "Resize" | "Upsample" | "Dropout")
}

/// The reason why half precision cannot hold values. `bound`: values beyond its range do no harm.
fn precision_loss(values: &[f32], bound: bool) -> Option<&'static str> {
    /// Relative error in the 2-norm. Rounding alone costs at most 2^-11 of each number; numbers below
    /// 2^-14 are subnormal and lose more.
    const MAX_LOSS: f64 = 1.0 / 1024.0;
    let (mut lost, mut all) = (0.0, 0.0);
    for value in values.iter().filter(|value| value.is_finite()) {
        let half = f16::from_f32(*value).to_f32();
        if half.is_infinite() {
            if bound {
                continue;
            }
            return Some("has values beyond 65504");
        }
        lost += f64::from(value - half).powi(2);
        all += f64::from(*value).powi(2);
    }
    (lost > MAX_LOSS.powi(2) * all).then_some("is too small for half precision")
}

fn cast(from: &str, to: &str, elem_type: DataType) -> NodeProto {
    let attributes = vec![("to", Attr::Int(elem_type as i64))];
    node("Cast", to, &[from], &[to], attributes)
}

#[cfg(test)]
mod tests {
    use super::precision_loss;

    #[test]
    fn numbers_that_half_precision_loses_are_told() {
        assert_eq!(precision_loss(&[0.1, -3.0, 65504.0, 0.0], false), None);
        assert_eq!(precision_loss(&[f32::NEG_INFINITY, 1.0], false), None);
        assert!(precision_loss(&[70000.0], false).is_some_and(|why| why.contains("65504")));
        assert_eq!(precision_loss(&[f32::MAX], true), None);
        // A small number among large ones costs nothing; alone it does.
        assert_eq!(precision_loss(&[1e-9, 1.0], false), None);
        assert!(precision_loss(&[1e-9], false).is_some_and(|why| why.contains("too small")));
        assert!(precision_loss(&[1e-5], false).is_some());
    }
}
