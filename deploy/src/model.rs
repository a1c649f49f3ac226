//! Model file: header, card, inputs and outputs. Needs no runtime and keeps no weights.

pub(crate) mod arithmetic;
mod class_names;

use std::path::Path;

use onnx::proto::DataType;
use onnx::{Activation, Dim, Document, Header, ModelFile, ValueInfo};
use pixels::card::{CLASSIFY, ENCODE, VERIFY};
use pixels::{Card, Preprocess};

use crate::error::{CUT_BACKBONE, Error, Result};

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
    /// Precision in which products are computed: `fp32`, or `fp16` or `int8` where some are.
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
        Ok(Self {
            header,
            card,
            inputs: document.inputs(),
            outputs,
            activations,
            precision: arithmetic::precision(&document),
            num_parameters: arithmetic::num_parameters(document.graph()),
            across_images: arithmetic::across_images(&document),
        })
    }

    /// What the model does: [`CLASSIFY`], also without a card, [`VERIFY`] or [`ENCODE`].
    pub fn task(&self) -> &str {
        self.card.as_ref().map_or(CLASSIFY, |card| &card.task)
    }

    /// Whether it says if two images are the same: a verifier, or the encoder of one.
    pub fn compares_images(&self) -> bool {
        let is_of_verifier = |card: &Card| card.task == VERIFY || card.comparison.is_some();
        self.card.as_ref().is_some_and(is_of_verifier)
    }

    /// What it is, for [`Error::other_task`].
    pub(crate) fn kind(&self) -> &str {
        match self.is_cut_backbone() {
            true => CUT_BACKBONE,
            false => self.task(),
        }
    }

    /// Whether it gives the features of an image and nothing else: a backbone that was cut, and no verifier's encoder.
    pub fn is_cut_backbone(&self) -> bool {
        self.task() == ENCODE && !self.compares_images()
    }

    /// Refuses a model of another task than `task`, by name; `path` is its file.
    ///
    /// # Errors
    /// The model's task is another one.
    pub fn check_task(&self, path: &Path, task: &str) -> Result<()> {
        match self.task() == task {
            true => Ok(()),
            false => Err(Error::other_task(path, self.kind())),
        }
    }

    /// Refuses a model without exactly one image input.
    pub(crate) fn check_input(&self, path: &Path) -> Result<()> {
        self.check_task(path, CLASSIFY)?;
        let not = |expected: &str, found: String| Error::not_a_classifier(path, expected, &found);
        let [input] = self.inputs.as_slice() else {
            return Err(not("one input [N, C, H, W]", list(&self.inputs)));
        };
        if input.ranked && input.dims.len() != 4 {
            return Err(not("an input [N, C, H, W]", input.to_string()));
        }
        Ok(())
    }

    /// The name of the output to read: the one chosen, else the card's, else the only one that can be the scores of
    /// `classes` classes (`None`: of any number).
    ///
    /// # Errors
    /// There is no such output, or more than one.
    pub fn output(
        &self,
        path: &Path,
        chosen: Option<&str>,
        classes: Option<usize>,
    ) -> Result<String> {
        let card = self.card.as_ref().and_then(|card| card.outputs.first());
        if let Some(name) = chosen.or(card.map(String::as_str)) {
            return match self.outputs.iter().any(|output| output.name == name) {
                true => Ok(name.to_owned()),
                false => Err(Error::no_output(path, name, &list(&self.outputs))),
            };
        }
        let is_scores = |output: &&ValueInfo| can_be_scores(output, classes);
        let candidates: Vec<&ValueInfo> = self.outputs.iter().filter(is_scores).collect();
        match (self.outputs.as_slice(), candidates.as_slice()) {
            // Opening it says what is wrong with the only one.
            ([only], _) => Ok(only.name.clone()),
            (_, [only]) => Ok(only.name.clone()),
            (outputs, []) => {
                let expected = "an output [N, K]";
                let error = Error::not_a_classifier(path, expected, &list(outputs));
                let is_no_tensor = |o: &ValueInfo| o.elem_type == DataType::Undefined;
                Err(match outputs.iter().any(is_no_tensor) {
                    true => error.with_hint(
                        "maps from names to scores (ZipMap) are not read: export the model without",
                    ),
                    false => error,
                })
            }
            (outputs, [first, ..]) => {
                Err(Error::several_outputs(path, &list(outputs), &first.name))
            }
        }
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

    /// The class names that the file has: those of its card, or those that Ultralytics' exporter writes.
    pub fn class_names(&self) -> Option<Vec<String>> {
        let card = self.card.as_ref().map(|card| card.classes.clone());
        card.or_else(|| {
            let names = self.header.metadata.iter().find(|(key, _)| key == "names");
            class_names::parse(&names?.1)
        })
    }

    /// The class names: those chosen, or the file's.
    pub(crate) fn classes(&self, path: &Path, chosen: Option<Vec<String>>) -> Result<Vec<String>> {
        chosen
            .or_else(|| self.class_names())
            .ok_or_else(|| Error::no_card(path, "what its classes are called"))
    }

    /// The preprocessing: the one chosen, or the card's.
    pub(crate) fn preprocess(&self, path: &Path, chosen: Option<Preprocess>) -> Result<Preprocess> {
        chosen
            .or_else(|| self.card.as_ref().map(|card| card.preprocess.clone()))
            .ok_or_else(|| Error::no_card(path, "how images are prepared for it"))
    }
}

/// Inputs or outputs and their number, for messages.
fn list(infos: &[ValueInfo]) -> String {
    let texts: Vec<String> = infos.iter().map(ValueInfo::to_string).collect();
    format!("{}: {}", infos.len(), texts.join("; "))
}

/// Whether type and shape of an output allow scores of so many classes.
fn can_be_scores(output: &ValueInfo, classes: Option<usize>) -> bool {
    let is_float = matches!(
        output.elem_type,
        DataType::Float | DataType::Float16 | DataType::Double
    );
    let dims = match output.dims.as_slice() {
        [_, dims @ ..] if !dims.is_empty() => dims,
        dims => dims,
    };
    let mut sizes = dims.iter().map(|dim| match dim {
        Dim::Fixed(size) => usize::try_from(*size).ok(),
        Dim::Named(_) | Dim::Unknown => None,
    });
    let is_vector = sizes.clone().filter(|size| *size != Some(1)).count() <= 1;
    let numbers = sizes.try_fold(1_usize, |product, size| product.checked_mul(size?));
    let fits = match (numbers, classes) {
        // One number stands for two classes.
        (Some(numbers), Some(classes)) => numbers == classes || (numbers, classes) == (1, 2),
        _ => true,
    };
    is_float && is_vector && fits
}
