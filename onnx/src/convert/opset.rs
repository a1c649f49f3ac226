//! Raises a graph of opset 7 to 12 to 13, as far as image classifiers go. What changed between two
//! versions of an operator is on its page at <https://onnx.ai/onnx/operators/>.

use std::collections::HashSet;

use super::{is_standard, refused};
use crate::builder::{Attr, attribute, node};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{AttributeProto, NodeProto, TensorProto};
use crate::tensor::Tensor;
use crate::value::ValueInfo;
use crate::walk;

const OPSET: i64 = 13;
/// The file format that came with it.
const IR_VERSION: i64 = 7;
/// From here on, elementwise operators broadcast as they do today.
const OLDEST: i64 = 7;

/// Brings the operator set to 13 at least.
pub(super) fn raise(document: &mut Document) -> Result<()> {
    let from = document.opset();
    if from >= OPSET {
        return Ok(());
    }
    if from < OLDEST {
        let what = "operator set of 7 or newer";
        return Err(Error::NothingToConvert { what });
    }
    let flat = flat_values(document);
    let graph = document.graph_mut();
    let mut raiser = Raiser {
        from,
        flat,
        used: super::names(graph),
        constants: Vec::new(),
        nodes: Vec::with_capacity(graph.node.len()),
    };
    for node in &graph.node {
        raiser.add(node)?;
    }
    graph.node = raiser.nodes;
    graph.initializer.extend(raiser.constants);
    let model = &mut document.model;
    model.ir_version = Some(model.ir_version().max(IR_VERSION));
    for id in &mut model.opset_import {
        if matches!(id.domain(), "" | "ai.onnx") {
            id.version = Some(OPSET);
        }
    }
    Ok(())
}

/// Values that the file says have two axes.
fn flat_values(document: &Document) -> HashSet<String> {
    let graph = document.graph();
    let described = graph.value_info.iter().chain(&graph.output);
    described
        .map(ValueInfo::from_proto)
        .filter(|info| info.ranked && info.dims.len() == 2)
        .map(|info| info.name)
        .collect()
}

struct Raiser {
    from: i64,
    flat: HashSet<String>,
    used: HashSet<String>,
    constants: Vec<TensorProto>,
    nodes: Vec<NodeProto>,
}

impl Raiser {
    fn add(&mut self, old: &NodeProto) -> Result<()> {
        let mut new = old.clone();
        if !is_standard(old) {
            self.nodes.push(new);
            return Ok(());
        }
        if old
            .attribute
            .iter()
            .flat_map(walk::subgraphs)
            .next()
            .is_some()
        {
            return Err(self.refuse(old));
        }
        match old.op_type() {
            "Upsample" | "Scatter" => return Err(self.refuse(old)),
            "Resize" if self.from < 11 => return Err(self.refuse(old)),
            // Opset 9 took out the attribute `spatial`, which is 1 unless said otherwise.
            "BatchNormalization" if take(&mut new, "spatial").is_some_and(|a| a.i() == 0) => {
                return Err(self.refuse(old));
            }
            "Dropout" if self.from < 12 => {
                take(&mut new, "ratio");
            }
            "Clip" if self.from < 11 => {
                for bound in ["min", "max"] {
                    let value = take(&mut new, bound).map(|a| Tensor::f32(&[], vec![a.f()]));
                    self.push_input(&mut new, bound, value.transpose()?);
                }
            }
            "Pad" if self.from < 11 => {
                let pads = take(&mut new, "pads").unwrap_or_default().ints;
                self.push_input(&mut new, "pads", Some(Tensor::i64(&[pads.len()], pads)?));
                let value = take(&mut new, "value").map_or(0.0, |a| a.f());
                self.push_input(&mut new, "value", Some(Tensor::f32(&[], vec![value])?));
            }
            "Slice" if self.from < 10 => {
                for name in ["starts", "ends", "axes"] {
                    let numbers =
                        take(&mut new, name).map(|a| Tensor::i64(&[a.ints.len()], a.ints));
                    self.push_input(&mut new, name, numbers.transpose()?);
                }
            }
            "TopK" if self.from < 10 => {
                let count = take(&mut new, "k").map_or(1, |a| a.i());
                self.push_input(&mut new, "k", Some(Tensor::i64(&[1], vec![count])?));
            }
            "Squeeze" | "Unsqueeze" | "ReduceSum" => self.numbers_to_input(&mut new, "axes")?,
            "Split" => self.numbers_to_input(&mut new, "split")?,
            "Softmax" | "LogSoftmax" | "Hardmax" => return self.add_softmax(new),
            _ => {}
        }
        self.nodes.push(new);
        Ok(())
    }

    fn refuse(&self, node: &NodeProto) -> Error {
        let why = format!("its form in opset {} has none in opset {OPSET}", self.from);
        refused(node, &why)
    }

    /// Numbers that were an attribute are an input.
    fn numbers_to_input(&mut self, node: &mut NodeProto, name: &str) -> Result<()> {
        if let Some(attribute) = take(node, name) {
            let numbers = Tensor::i64(&[attribute.ints.len()], attribute.ints)?;
            self.push_input(node, name, Some(numbers));
        }
        Ok(())
    }

    /// Adds a constant input, or an empty one.
    fn push_input(&mut self, node: &mut NodeProto, name: &str, value: Option<Tensor>) {
        let Some(value) = value else {
            node.input.push(String::new());
            return;
        };
        let base = node.output.first().map_or("", String::as_str);
        let name = super::fresh(&mut self.used, &format!("{base}_{name}"));
        self.constants.push(value.to_proto(&name));
        node.input.push(name);
    }

    /// Up to opset 12, a softmax goes over all axes from `axis` (1) on at once; since then, over `axis`
    /// (-1) alone.
    fn add_softmax(&mut self, mut new: NodeProto) -> Result<()> {
        let axis = take(&mut new, "axis").map_or(1, |a| a.i());
        let (input, output) = (new.input[0].clone(), new.output[0].clone());
        if axis == -1 || axis == 1 && self.flat.contains(&output) {
            new.attribute.push(attribute("axis", Attr::Int(axis)));
            self.nodes.push(new);
            return Ok(());
        }
        let names = ["shape", "flat", "scores"];
        let [shape, flat, scores] =
            names.map(|name| super::fresh(&mut self.used, &format!("{output}_{name}")));
        self.nodes
            .push(node("Shape", &shape, &[&input], &[&shape], vec![]));
        let axis = vec![("axis", Attr::Int(axis))];
        self.nodes
            .push(node("Flatten", &flat, &[&input], &[&flat], axis));
        new.input[0].clone_from(&flat);
        new.output[0].clone_from(&scores);
        new.attribute.push(attribute("axis", Attr::Int(-1)));
        self.nodes.push(new);
        let back = super::fresh(&mut self.used, &format!("{output}_reshape"));
        self.nodes.push(node(
            "Reshape",
            &back,
            &[&scores, &shape],
            &[&output],
            vec![],
        ));
        Ok(())
    }
}

/// Takes an attribute out of a node.
fn take(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let at = node.attribute.iter().position(|a| a.name() == name)?;
    Some(node.attribute.remove(at))
}
