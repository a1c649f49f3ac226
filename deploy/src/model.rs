//! Model file: header, card, inputs and outputs. Needs no runtime and keeps no weights.

use std::path::Path;

use onnx::proto::{DataType, GraphProto, NodeProto};
use onnx::{Activation, Dim, Document, Header, ModelFile, ValueInfo};
use pixels::{Card, Preprocess};

use crate::error::{Error, Result};

/// A model file as read from the disk: header, card, inputs, outputs; no weights are kept.
#[derive(Debug, Clone)]
pub struct Model {
    /// Versions, producer and metadata.
    pub header: Header,
    /// The card, where the file carries one.
    pub card: Option<Card>,
    /// The inputs of the graph.
    pub inputs: Vec<ValueInfo>,
    /// The outputs of the graph.
    pub outputs: Vec<ValueInfo>,
    /// For each output, the function that computes it of the class scores.
    pub activations: Vec<Option<Activation>>,
    /// Precision of the weights: `fp32`, `fp16` or `int8`.
    pub precision: &'static str,
    /// Numbers in the weights.
    pub num_parameters: u64,
    /// The operator that takes numbers from all images of a run at once, if there is one: such a model is run one
    /// image at a time.
    pub across_images: Option<String>,
}

impl Model {
    /// Reads a model file. Needs no runtime.
    ///
    /// # Errors
    /// The file is missing, damaged, a git-LFS pointer or no model; its external data is missing; its
    /// card cannot be honoured.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_file(&ModelFile::open(path)?)
    }

    /// As [`Model::open`], of a file that was read.
    pub fn from_file(file: &ModelFile) -> Result<Self> {
        let header = Header::from_file(file)?;
        let pairs = header.metadata.iter();
        let card = Card::from_pairs(pairs.map(|(key, value)| (key.as_str(), value.as_str())))?;
        Self::read(file, header, card)
    }

    /// Reads a model without its card, which may be damaged and is about to be replaced.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn from_file_without_card(file: &ModelFile) -> Result<Self> {
        Self::read(file, Header::from_file(file)?, None)
    }

    fn read(file: &ModelFile, header: Header, card: Option<Card>) -> Result<Self> {
        let document = Document::from_file(file)?;
        document.check_external_data()?;
        let outputs = document.outputs();
        let activation = |output: &ValueInfo| Activation::of(&document.model, &output.name);
        let activations = outputs.iter().map(activation).collect();
        let (precision, num_parameters) = precision_and_size(document.graph());
        Ok(Self {
            header,
            card,
            inputs: document.inputs(),
            outputs,
            activations,
            precision,
            num_parameters,
            across_images: across_images(&document),
        })
    }

    /// Refuses a model without exactly one image input, and one output to read.
    pub(crate) fn check_classifier(&self, path: &Path) -> Result<()> {
        let not = |expected: &str, found: String| Error::not_a_classifier(path, expected, &found);
        let names = |infos: &[ValueInfo]| {
            let texts: Vec<String> = infos.iter().map(ValueInfo::to_string).collect();
            format!("{}: {}", infos.len(), texts.join("; "))
        };
        let [input] = self.inputs.as_slice() else {
            return Err(not("one input [N, C, H, W]", names(&self.inputs)));
        };
        if input.ranked && input.dims.len() != 4 {
            return Err(not("an input [N, C, H, W]", input.to_string()));
        }
        let chosen = self
            .card
            .as_ref()
            .is_some_and(|card| !card.outputs.is_empty());
        if self.outputs.len() != 1 && !chosen {
            return Err(not("one output [N, K]", names(&self.outputs)));
        }
        Ok(())
    }

    /// The seed of the training, with which it divided its data; 0 without a card.
    pub fn seed(&self) -> u64 {
        self.card.as_ref().map_or(0, |card| card.provenance.seed)
    }

    /// The function that computes an output of the class scores; `None` where no known one does.
    pub fn activation(&self, output: &str) -> Option<Activation> {
        let index = self.outputs.iter().position(|known| known.name == output)?;
        *self.activations.get(index)?
    }

    /// The batch size, where the file fixes it; 1 where answers would depend on the other images of a run.
    pub fn fixed_batch(&self) -> Option<usize> {
        match self.inputs.first()?.dims.first()? {
            Dim::Fixed(batch) if *batch > 0 => usize::try_from(*batch).ok(),
            _ => self.across_images.is_some().then_some(1),
        }
    }

    /// The class names: those chosen, or the card's.
    pub(crate) fn classes(&self, path: &Path, chosen: Option<Vec<String>>) -> Result<Vec<String>> {
        chosen
            .or_else(|| self.card.as_ref().map(|card| card.classes.clone()))
            .ok_or_else(|| Error::no_card(path, "what its classes are called"))
    }

    /// The preprocessing: the one chosen, or the card's.
    pub(crate) fn preprocess(&self, path: &Path, chosen: Option<Preprocess>) -> Result<Preprocess> {
        chosen
            .or_else(|| self.card.as_ref().map(|card| card.preprocess.clone()))
            .ok_or_else(|| Error::no_card(path, "how images are prepared for it"))
    }
}

/// The first operator that mixes the images of a run: their range (dynamic quantisation), or their mean and variance
/// (batch norm that was exported in training mode).
pub(crate) fn across_images(document: &Document) -> Option<String> {
    let in_training = |node: &NodeProto| {
        let mut attributes = node.attribute.iter();
        attributes.any(|a| a.name() == "training_mode" && a.i() != 0)
    };
    let mixes = |node: &&&NodeProto| match node.op_type() {
        "BatchNormalization" => in_training(node),
        op => op.starts_with("DynamicQuantize"),
    };
    let nodes = document.all_nodes();
    nodes
        .iter()
        .find(mixes)
        .map(|node| node.op_type().to_owned())
}

/// Precision of most weights, and how many numbers they are.
fn precision_and_size(graph: &GraphProto) -> (&'static str, u64) {
    let (mut full, mut half, mut byte) = (0u64, 0u64, 0u64);
    for tensor in &graph.initializer {
        let count = tensor
            .dims
            .iter()
            .fold(1u64, |n, d| n.saturating_mul((*d).max(0) as u64));
        match DataType::try_from(tensor.data_type()) {
            Ok(DataType::Float16 | DataType::Bfloat16) => half += count,
            Ok(DataType::Int8 | DataType::Uint8) => byte += count,
            Ok(DataType::Float | DataType::Double) => full += count,
            _ => {}
        }
    }
    let precision = match full.max(half).max(byte) {
        // In a tie the wider one: a file is only called `fp16` or `int8` where most of its weights are.
        most if most == full => "fp32",
        most if most == half => "fp16",
        _ => "int8",
    };
    (precision, full + half + byte)
}
