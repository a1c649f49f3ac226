//! Weights and values in half precision (IEEE 754 binary16) between inputs and outputs in single
//! precision.
//!
//! A node computes in half precision where its operator follows the type that it is fed, it works on
//! what depends on an input, and its constants survive. All others keep single precision, with `Cast`
//! around them: arithmetic on shapes, scales of `Resize`, bodies of `If`, `Loop` and `Scan`, operators
//! that are not known.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::types::{self, Types};
use super::{check_unquantized, fold, is_standard, refused};
use crate::builder::{Attr, node};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::float::{f16_to_f32, f32_to_f16};
use crate::proto::{DataType, GraphProto, NodeProto, TensorProto, type_proto};
use crate::surgery;
use crate::tensor::{Tensor, TensorData};
use crate::walk;

/// What [`to_half`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Constants that are in half precision now.
    pub halved: usize,
    /// Nodes on the way from input to output that stayed in single precision.
    pub kept: Vec<Kept>,
}

/// A node that stayed in single precision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The node, or what it gives where it has no name.
    pub node: String,
    /// Its operator.
    pub op: String,
    /// Why.
    pub why: String,
}

/// Brings a model to half precision; inputs and outputs stay what they are.
///
/// A constant stays in single precision, and with it the nodes that take it, where a value lies beyond
/// half precision's 65504 or most of it is lost below 2^-14.
///
/// ```
/// use onnx::{Dim, GraphBuilder, ModelInfo, Tensor, convert, proto::DataType};
/// # fn main() -> onnx::Result<()> {
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
/// [`Error::Unconvertible`] where an operator is not known and the file does not say the types of its
/// outputs, or the model is quantised; [`Error::NothingToConvert`]; missing external data.
pub fn to_half(document: &mut Document) -> Result<Half> {
    check_unquantized(document.graph())?;
    document.inline_external_data()?;
    super::own_constants(document);
    fold::fold(document)?;
    let types = types::infer(document)?;
    let opset = document.opset();
    let graph = std::mem::take(document.graph_mut());
    let mut converter = Converter::new(&graph, &types, opset);
    let made = graph.node.iter().try_for_each(|node| converter.add(node));
    let (nodes, constants) = (converter.nodes, converter.constants);
    let (native, renamed, report) = (converter.native, converter.renamed, converter.report);
    let full_outputs = converter.full;
    *document.graph_mut() = graph;
    made?;
    if report.halved == 0 {
        let what = "weights in single precision";
        return Err(Error::NothingToConvert { what });
    }
    let graph = document.graph_mut();
    graph.node = nodes;
    for (output, inner) in sorted(renamed) {
        if !full_outputs.contains_key(&output) {
            graph.node.push(cast(&inner, &output, DataType::Float));
        }
    }
    graph.initializer.extend(constants);
    let outputs: HashSet<&str> = graph.output.iter().map(|output| output.name()).collect();
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

/// Writes the nodes anew, one after the other.
struct Converter<'g> {
    graph: &'g GraphProto,
    types: &'g Types,
    opset: i64,
    /// Values that depend on an input by more than its shape.
    moving: HashSet<String>,
    used: HashSet<String>,
    nodes: Vec<NodeProto>,
    /// Constants in half precision.
    constants: Vec<TensorProto>,
    /// Values that are made in half precision.
    native: HashSet<String>,
    /// Outputs of the graph that are made in half precision, and what they are called then.
    renamed: HashMap<String, String>,
    /// Names of values once in half and once in single precision, where a `Cast` or a copy makes them.
    half: HashMap<String, String>,
    full: HashMap<String, String>,
    report: Half,
}

impl<'g> Converter<'g> {
    fn new(graph: &'g GraphProto, types: &'g Types, opset: i64) -> Self {
        Self {
            graph,
            types,
            opset,
            moving: super::moving(graph),
            used: super::names(graph),
            nodes: Vec::with_capacity(graph.node.len()),
            constants: Vec::new(),
            native: HashSet::new(),
            renamed: HashMap::new(),
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
        for (at, name) in new.input.iter_mut().enumerate() {
            if !self.is_float(name) {
                continue;
            }
            *name = if half && takes_half(node, at) {
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

    /// A conversion to single precision becomes one to half precision where nothing is lost by it.
    fn add_cast(&mut self, mut new: NodeProto) {
        let input = new.input.first().cloned().unwrap_or_default();
        let output = new.output.first().cloned().unwrap_or_default();
        let from = self.types.get(&input).copied();
        let narrow = matches!(
            from,
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
        if self.is_float(&output) && narrow && self.moving.contains(&output) {
            let to = new.attribute.iter_mut().find(|a| a.name() == "to");
            if let Some(to) = to {
                to.i = Some(DataType::Float16 as i64);
            }
            new.output[0] = self.native_output(&output);
        }
        self.nodes.push(new);
    }

    /// Whether a node is to compute in half precision; notes why not.
    fn is_half(&mut self, node: &NodeProto) -> Result<bool> {
        let floats = |names: &[String]| names.iter().any(|name| self.is_float(name));
        if !floats(&node.input) && !floats(&node.output) {
            return Ok(false);
        }
        if !surgery::taken(node)
            .iter()
            .any(|name| self.moving.contains(*name))
        {
            return Ok(false);
        }
        let why = match self.obstacle(node)? {
            None => return Ok(true),
            Some(why) => why,
        };
        let Error::Unconvertible { op, node, why } = refused(node, &why) else {
            return Ok(false);
        };
        self.report.kept.push(Kept { node, op, why });
        Ok(false)
    }

    /// What keeps a node in single precision.
    fn obstacle(&self, node: &NodeProto) -> Result<Option<String>> {
        // Without half precision in their operator's definition.
        let lacking = match node.op_type() {
            "Range" | "Celu" => true,
            "CumSum" => self.opset < 14,
            _ => !types::follows_its_input(node),
        };
        if lacking {
            return Ok(Some(
                "half precision is not known of this operator".to_owned(),
            ));
        }
        for (at, name) in node.input.iter().enumerate() {
            if !self.is_float(name) || !takes_half(node, at) || self.half.contains_key(name) {
                continue;
            }
            if let Some(proto) = walk::constant(self.graph, name) {
                let tensor = Tensor::from_proto(&proto)?;
                // Beyond every half-precision number, a bound is none.
                let bound = node.op_type() == "Clip";
                if let Some(why) = misfit(&tensor.as_f32()?, bound) {
                    return Ok(Some(format!("`{name}` {why}")));
                }
            }
        }
        Ok(None)
    }

    /// A value's name in half precision, made where it is not there yet.
    fn in_half(&mut self, name: &str) -> Result<String> {
        if self.native.contains(name) {
            return Ok(self.inner(name));
        }
        if let Some(half) = self.half.get(name) {
            return Ok(half.clone());
        }
        let half = self.fresh(&format!("{name}_fp16"));
        match walk::constant(self.graph, name) {
            Some(proto) => {
                let tensor = Tensor::from_proto(&proto)?;
                let bits = tensor.as_f32()?.iter().map(|v| f32_to_f16(*v)).collect();
                let tensor = Tensor::new(&tensor.dims, TensorData::F16(bits))?;
                self.constants.push(tensor.to_proto(&half));
                self.report.halved += 1;
            }
            None => self.nodes.push(cast(name, &half, DataType::Float16)),
        }
        self.half.insert(name.to_owned(), half.clone());
        Ok(half)
    }

    /// A value's name in single precision, made where it is not there yet.
    fn in_full(&mut self, name: &str) -> String {
        if !self.native.contains(name) {
            return name.to_owned();
        }
        if let Some(full) = self.full.get(name) {
            return full.clone();
        }
        let full = match self.renamed.contains_key(name) {
            true => name.to_owned(),
            false => self.fresh(&format!("{name}_fp32")),
        };
        let from = self.inner(name);
        self.nodes.push(cast(&from, &full, DataType::Float));
        self.full.insert(name.to_owned(), full.clone());
        full
    }

    /// What a node's subgraphs take from outside stays in single precision.
    fn rename_captured(&mut self, node: &mut NodeProto) {
        let bodies = node.attribute.iter().flat_map(walk::subgraphs);
        let captured: BTreeSet<String> = bodies
            .flat_map(super::names)
            .filter(|name| self.native.contains(name))
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

    /// Notes that a value is made in half precision; gives the name under which.
    fn native_output(&mut self, name: &str) -> String {
        self.native.insert(name.to_owned());
        if surgery::is_output(self.graph, name) {
            let inner = self.fresh(&format!("{name}_fp16"));
            self.renamed.insert(name.to_owned(), inner);
        }
        self.inner(name)
    }

    fn inner(&self, name: &str) -> String {
        self.renamed
            .get(name)
            .map_or(name, String::as_str)
            .to_owned()
    }

    fn fresh(&mut self, base: &str) -> String {
        super::fresh(&mut self.used, base)
    }
}

/// Whether the floating-point input `at` has the type in which a node computes.
fn takes_half(node: &NodeProto, at: usize) -> bool {
    // Region and scales; the ratio of what is dropped in training.
    at == 0 || !matches!(node.op_type(), "Resize" | "Upsample" | "Dropout")
}

/// Why numbers cannot be in half precision.
fn misfit(values: &[f32], bound: bool) -> Option<&'static str> {
    /// Rounding alone costs at most 2^-11 of each number.
    const MAX_LOSS: f64 = 1.0 / 1024.0;
    let (mut lost, mut all) = (0.0, 0.0);
    for value in values.iter().filter(|value| value.is_finite()) {
        let half = f16_to_f32(f32_to_f16(*value));
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

fn sorted(map: HashMap<String, String>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = map.into_iter().collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::misfit;

    #[test]
    fn numbers_that_half_precision_loses_are_told() {
        assert_eq!(misfit(&[0.1, -3.0, 65504.0, 0.0], false), None);
        assert_eq!(misfit(&[f32::NEG_INFINITY, 1.0], false), None);
        assert!(misfit(&[70000.0], false).is_some_and(|why| why.contains("65504")));
        assert_eq!(misfit(&[f32::MAX], true), None);
        // A small number among large ones costs nothing; alone it does.
        assert_eq!(misfit(&[1e-9, 1.0], false), None);
        assert!(misfit(&[1e-9], false).is_some_and(|why| why.contains("too small")));
        assert!(misfit(&[1e-5], false).is_some());
    }
}
