//! Opset conversion: raises a graph of opset 7 to 12 to 13, for the operators of image classifiers.
//!
//! Knows no precision. Source: the changes of each operator at <https://onnx.ai/onnx/operators/>.

use std::collections::HashSet;

use super::{UsedNames, is_standard, unconvertible};
use crate::builder::{Attr, attribute, node};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{AttributeProto, NodeProto, TensorProto, is_standard_domain};
use crate::tensor::Tensor;
use crate::value::ValueInfo;
use crate::walk;

/// The first opset whose `DequantizeLinear` has a scale for each channel.
const OPSET: i64 = 13;
/// The IR version that came with opset 13.
const IR_VERSION: i64 = 7;
/// The first opset whose elementwise operators broadcast as they do today.
const MIN_OPSET: i64 = 7;

/// Raises the operator set to 13 if it is lower.
pub(super) fn raise(document: &mut Document) -> Result<()> {
    let from = document.opset();
    if from >= OPSET {
        return Ok(());
    }
    if from < MIN_OPSET {
        return Err(Error::nothing_to_convert("operator set of 7 or newer"));
    }
    let rank_two = rank_two_values(document);
    let graph = document.graph_mut();
    let mut raiser = Raiser {
        from,
        rank_two,
        used_names: UsedNames::new(graph),
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
        if is_standard_domain(id.domain()) {
            id.version = Some(OPSET);
        }
    }
    Ok(())
}

/// Values with two axes, by the file's own word.
fn rank_two_values(document: &Document) -> HashSet<String> {
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
    rank_two: HashSet<String>,
    used_names: UsedNames,
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
        if old.attribute.iter().flat_map(walk::subgraphs).count() > 0 {
            return Err(self.refused(old));
        }
        match old.op_type() {
            // Deprecated in favour of `Resize` and `ScatterElements`.
            "Upsample" | "Scatter" => return Err(self.refused(old)),
            // Opset 11 changed its inputs and which pixels it reads.
            "Resize" if self.from < 11 => return Err(self.refused(old)),
            // Opset 9 removed the attribute `spatial`, whose default is 1.
            "BatchNormalization" if take(&mut new, "spatial").is_some_and(|a| a.i() == 0) => {
                return Err(self.refused(old));
            }
            // `ratio` matters in training alone.
            "Dropout" if self.from < 12 => {
                take(&mut new, "ratio");
            }
            // Opset 11 made the bounds inputs.
            "Clip" if self.from < 11 => {
                for bound in ["min", "max"] {
                    let value = take(&mut new, bound).map(|a| Tensor::f32(&[], vec![a.f()]));
                    self.push_input(&mut new, bound, value.transpose()?);
                }
            }
            // Opset 11 made `pads` and `value` inputs.
            "Pad" if self.from < 11 => {
                let pads = take(&mut new, "pads")
                    .ok_or_else(|| self.refused(old))?
                    .ints;
                self.push_input(&mut new, "pads", Some(Tensor::i64(&[pads.len()], pads)?));
                let value = take(&mut new, "value").map_or(0.0, |a| a.f());
                self.push_input(&mut new, "value", Some(Tensor::f32(&[], vec![value])?));
            }
            // Opset 10 made all its attributes inputs, in this order.
            "Slice" if self.from < 10 => {
                for name in ["starts", "ends", "axes"] {
                    let numbers =
                        take(&mut new, name).map(|a| Tensor::i64(&[a.ints.len()], a.ints));
                    self.push_input(&mut new, name, numbers.transpose()?);
                }
            }
            // Opset 10 made `k` an input.
            "TopK" if self.from < 10 => {
                let count = take(&mut new, "k").map_or(1, |a| a.i());
                self.push_input(&mut new, "k", Some(Tensor::i64(&[1], vec![count])?));
            }
            // Opset 13 made these attributes inputs.
            "Squeeze" | "Unsqueeze" | "ReduceSum" => self.numbers_to_input(&mut new, "axes")?,
            "Split" => self.numbers_to_input(&mut new, "split")?,
            "Softmax" | "LogSoftmax" | "Hardmax" => return self.add_softmax(new),
            _ => {}
        }
        self.nodes.push(new);
        Ok(())
    }

    fn refused(&self, node: &NodeProto) -> Error {
        let reason = format!("its form in opset {} has none in opset {OPSET}", self.from);
        unconvertible(node, &reason)
    }

    /// Turns an attribute of integers into an input.
    fn numbers_to_input(&mut self, node: &mut NodeProto, name: &str) -> Result<()> {
        if let Some(attribute) = take(node, name) {
            let numbers = Tensor::i64(&[attribute.ints.len()], attribute.ints)?;
            self.push_input(node, name, Some(numbers));
        }
        Ok(())
    }

    /// Adds a constant input, or an empty name for an absent one.
    fn push_input(&mut self, node: &mut NodeProto, name: &str, value: Option<Tensor>) {
        let Some(value) = value else {
            node.input.push(String::new());
            return;
        };
        let base = node.output.first().map_or("", String::as_str);
        let name = self.used_names.unique(&format!("{base}_{name}"));
        self.constants.push(value.to_proto(&name));
        node.input.push(name);
    }

    /// Up to opset 12, a softmax is over all axes from `axis` (default 1) on at once; since opset 13, over
    /// `axis` (default -1) alone. The old one is a softmax of the flattened value, reshaped back.
    fn add_softmax(&mut self, mut new: NodeProto) -> Result<()> {
        let axis = take(&mut new, "axis").map_or(1, |a| a.i());
        let (input, output) = (new.input[0].clone(), new.output[0].clone());
        // Over the last axis, both are the same.
        if axis == -1 || axis == 1 && self.rank_two.contains(&output) {
            new.attribute.push(attribute("axis", Attr::Int(axis)));
            self.nodes.push(new);
            return Ok(());
        }
        let names = ["shape", "flat", "scores"];
        let [shape, flat, scores] =
            names.map(|name| self.used_names.unique(&format!("{output}_{name}")));
        self.nodes
            .push(node("Shape", &shape, &[&input], &[&shape], vec![]));
        let axis = vec![("axis", Attr::Int(axis))];
        self.nodes
            .push(node("Flatten", &flat, &[&input], &[&flat], axis));
        new.input[0].clone_from(&flat);
        new.output[0].clone_from(&scores);
        new.attribute.push(attribute("axis", Attr::Int(-1)));
        self.nodes.push(new);
        let back = self.used_names.unique(&format!("{output}_reshape"));
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

/// Removes an attribute from a node.
fn take(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let index = node.attribute.iter().position(|a| a.name() == name)?;
    Some(node.attribute.remove(index))
}
