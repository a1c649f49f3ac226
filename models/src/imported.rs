//! Imported backbone: an ONNX image classifier as a Burn module that is trained whole, with a new classification
//! layer.
//!
//! `onnx-ir` gives typed nodes; each becomes a layer or a tensor operation of the plan. Knows how to run
//! and train the graph, not how to write it back (`export`).
//!
//! At run time, not by the Rust code that `burn-onnx` generates from a file: a user's file would need a
//! compiler, and tuned weights would have no names to go back to.

mod cut;
mod pair;
mod parse;
mod plan;
mod refuse;

pub(crate) use pair::Source;
pub(crate) use plan::{Op, Plan, Value};
pub(crate) use refuse::{changed, not_a_classifier};

use crate::error::Result;
use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d, Linear};
use burn::module::Module;
use burn::tensor::Tensor;
use onnx::FeatureCut;
use std::path::{Path, PathBuf};

/// The file of an imported network.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    /// Height and width of the file's input.
    pub(crate) input_size: (usize, usize),
    /// The value that its classification layer reads.
    pub(crate) cut: FeatureCut,
}

/// An ONNX graph up to its classification layer, and a new classification layer.
#[derive(Module, Debug)]
pub struct Imported {
    /// Convolutions in graph order.
    pub convs: Vec<Conv2d>,
    /// Batch normalisations in graph order.
    pub norms: Vec<BatchNorm>,
    /// Fully connected layers before the classification layer, in graph order.
    pub linears: Vec<Linear>,
    /// The new classification layer.
    pub fc: Linear,
    #[module(skip)]
    pub(crate) plan: Plan,
    #[module(skip)]
    pub(crate) sources: Vec<Source>,
    #[module(skip)]
    pub(crate) origin: Origin,
}

impl Imported {
    /// Reads the file and replaces its classification layer by a new, random one.
    pub(crate) fn open(path: &Path, num_classes: usize, init: &mut Init) -> Result<Self> {
        let file = onnx::ModelFile::open(path)?;
        let document = onnx::Document::from_file(&file)?;
        document.check_external_data()?;
        // Before `onnx-ir` reads the file, so that an error names operator, node and opset.
        pair::check_operators(path, &document)?;
        let input_size = pair::input_size(path, &document)?;
        let graph = parse::Graph::read(path, &init.device)?;
        // `onnx-ir` reads by name: names and weights must be of the same file.
        file.check_unchanged()?;
        let graph = cut::remove_classification_layer(path, graph)?;
        let sources = pair::sources(path, &document, &graph)?;
        let cut = FeatureCut::find(&document)?;
        let fc = Linear::new(graph.num_features, num_classes, init);
        let origin = Origin {
            path: path.to_path_buf(),
            sha256: file.sha256().to_owned(),
            input_size,
            cut,
        };
        let parse::Layers {
            convs,
            norms,
            linears,
        } = graph.layers;
        Ok(Self {
            convs,
            norms,
            linears,
            fc,
            plan: graph.plan,
            sources,
            origin,
        })
    }

    /// Images `[N, 3, H, W]` to the features that the classification layer sees, `[N, D]`.
    #[must_use]
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let mut values: Vec<Option<Value>> = vec![None; self.plan.num_values];
        values[self.plan.input] = Some(Value::Map(images));
        for (i, step) in self.plan.steps.iter().enumerate() {
            let mut inputs = step.inputs.iter().filter_map(|&id| {
                // The last reader takes the value: its memory is free early, and the layer may overwrite it.
                if self.plan.last_use[id] == i {
                    values[id].take()
                } else {
                    values[id].clone()
                }
            });
            let first = inputs.next().expect("`parse` gives every step an input");
            let second = inputs.next();
            drop(inputs);
            values[step.output] = Some(self.apply(&step.op, first, second));
        }
        match values[self.plan.output].take() {
            Some(Value::Row(features)) => features,
            _ => unreachable!("`cut` ends the plan at the input of a fully connected layer"),
        }
    }

    /// The step that uses a tensor of the state first; `None` for the classification layer.
    pub(crate) fn first_use(&self, name: &str) -> Option<usize> {
        let (kind, rest) = name.split_once('.')?;
        let index: usize = rest.split('.').next()?.parse().ok()?;
        self.plan.steps.iter().position(|step| match step.op {
            Op::Conv(i) => kind == "convs" && i == index,
            Op::Norm(i) => kind == "norms" && i == index,
            Op::Linear(i) => kind == "linears" && i == index,
            _ => false,
        })
    }

    fn apply(&self, op: &Op, x: Value, second: Option<Value>) -> Value {
        match (op, x, second) {
            (Op::Conv(i), Value::Map(x), _) => Value::Map(self.convs[*i].forward(x)),
            (Op::Norm(i), Value::Map(x), _) => Value::Map(self.norms[*i].forward(x)),
            (Op::Linear(i), Value::Row(x), _) => Value::Row(self.linears[*i].forward(x)),
            (Op::Add, Value::Map(a), Some(Value::Map(b))) => Value::Map(a + b),
            (Op::Add, Value::Row(a), Some(Value::Row(b))) => Value::Row(a + b),
            (op, x, None) => plan::apply(op, x),
            (op, ..) => unreachable!("`parse` has checked the inputs of {op:?}"),
        }
    }
}
