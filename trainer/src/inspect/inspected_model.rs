//! An exported model opened for inspection, and its values for one image.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use data::{DecodedImage, Limits, Preprocess};
use deploy::{Classifier, Model, Session, SessionOptions, Tap, Taps};
use onnx::{Document, ModelFile};

use super::attention::{self, Heat, Maps};
use super::graph_analysis::{self, Conv, Head};
use super::simplified;
use crate::error::{Error, Result};

/// The least side of maps for Eigen-CAM: smaller ones show nothing over an image.
const LEAST_SIDE: usize = 4;
/// Allowed difference between a score and the mean of its class map, relative to the largest score:
/// quantised models round in between.
const TOLERANCE: f64 = 0.05;

/// What the user says of a file, in place of its card.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Names of the classes; without any they are numbered.
    pub classes: Option<Vec<String>>,
    /// From an image to the model's input.
    pub preprocess: Option<Preprocess>,
}

/// An exported model, opened for inspection.
#[derive(Debug)]
pub struct InspectedModel {
    path: PathBuf,
    document: Document,
    classifier: Classifier,
    convs: Vec<Conv>,
    head: Option<Head>,
    /// Names of the values from the output back to the input.
    values_back: Vec<String>,
    taps: Taps,
    simplified: Option<SimplifiedPass>,
}

/// The chained convolutions, and what runs them.
#[derive(Debug)]
struct SimplifiedPass {
    taps: Taps,
    convs: Vec<Conv>,
    left_out: Vec<String>,
}

/// An image as the model takes it, with the values of the model's forward pass.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The image after resize and crop.
    pub image: DecodedImage,
    /// Probability of every class.
    pub probabilities: Vec<f64>,
    taps: Vec<Tap>,
    simplified: Vec<Tap>,
}

/// Attribution of a prediction to parts of the image, by one of two methods.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribution {
    /// A class activation map; its mean plus `bias` is the score.
    ClassMap {
        /// In units of the score, on the grid of the feature maps.
        heat: Heat,
        value: String,
        bias: f32,
        /// |mean plus bias - score|.
        error: f64,
    },
    /// Eigen-CAM, of no class.
    Eigen {
        /// In units of the activations, on the grid of the feature maps.
        heat: Heat,
        /// The maps' name.
        value: String,
        /// Why there is no class activation map.
        reason: &'static str,
    },
}

impl InspectedModel {
    /// Opens an exported model in ONNX Runtime, which must have been loaded. `model` is the header and the
    /// card of `file`. With `simplified` its convolutions are also chained
    /// ([`simplified::chain`]).
    ///
    /// # Errors
    /// When the file is no image classifier, when neither its card nor `overrides` has a preprocessing, or
    /// when it has no convolution.
    pub fn open(
        file: &ModelFile,
        model: &Model,
        overrides: Overrides,
        simplified: bool,
        threads: usize,
    ) -> Result<InspectedModel> {
        let (card, path) = (model.card.as_ref(), file.path());
        let preprocess = overrides
            .preprocess
            .or_else(|| card.map(|card| card.preprocess.clone()))
            .ok_or_else(|| deploy::Error::no_card(path, "how images are prepared for it"))?;
        let shape = preprocess.output_shape();
        let classes = overrides.classes.or_else(|| model.class_names());
        let output = model.output(path, None, classes.as_ref().map(Vec::len))?;
        let session = Session::from_file(
            file,
            &SessionOptions {
                threads: Some(threads),
                image_shape: Some(shape),
                output: Some(output.clone()),
                ..SessionOptions::default()
            },
        )?;
        let card_kind = card.map(|card| card.output_kind);
        let count = session.num_outputs();
        let numbered = || {
            // A single output is the score of the second of two classes.
            let count = if count == 1 { 2 } else { count };
            (0..count).map(|class| format!("class {class}")).collect()
        };
        let classes = classes.unwrap_or_else(numbered);
        let mut classifier = Classifier::from_engines(
            vec![Box::new(session)],
            classes,
            preprocess,
            card_kind.unwrap_or_default(),
        )?;
        if card_kind.is_none() {
            classifier = classifier.infer_output_kind(model.activation(&output))?;
        }
        let document = Document::from_file(file)?;
        let convs = graph_analysis::convolutions(document.graph());
        if convs.is_empty() {
            return Err(Error::Inspect {
                path: path.into(),
                reason: "it has no convolution".into(),
            });
        }
        let head = graph_analysis::head(&document, &output);
        let values_back = graph_analysis::values_back_from(&document, &output);
        let taps = Taps::open(
            &document,
            &values(&document, &convs, head.as_ref(), &values_back),
            shape,
            Some(threads),
        )?;
        let simplified = simplified
            .then(|| {
                let chain = simplified::chain(&document)?;
                let outputs: Vec<String> = chain.convs.iter().map(|c| c.output.clone()).collect();
                let taps = Taps::open(&chain.document, &outputs, shape, Some(threads))?;
                Ok::<_, Error>(SimplifiedPass {
                    taps,
                    convs: chain.convs,
                    left_out: chain.left_out,
                })
            })
            .transpose()?;
        Ok(InspectedModel {
            path: path.into(),
            document,
            classifier,
            convs,
            head,
            values_back,
            taps,
            simplified,
        })
    }

    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// The convolutions whose maps a [`Inspection`] has: all of them, or those of the chain.
    pub fn convs(&self) -> &[Conv] {
        self.simplified
            .as_ref()
            .map_or(&self.convs, |pass| &pass.convs)
    }

    /// The convolutions that the chain leaves out.
    pub fn left_out(&self) -> &[String] {
        self.simplified.as_ref().map_or(&[], |pass| &pass.left_out)
    }

    /// Runs the model on an image file.
    pub fn inspect(&mut self, path: &Path) -> Result<Inspection> {
        let preprocess = self.classifier.preprocess();
        let image = data::decode::open_as(path, preprocess.color(), &Limits::default())?;
        let image = preprocess.geometry(&image)?;
        let mut prepared = vec![0.0; preprocess.output_len()];
        preprocess.tensor_into(&image, &mut prepared)?;
        let logits = self.classifier.logits(&prepared, 1)?;
        let probabilities = self.classifier.probabilities(&logits);
        let probabilities = probabilities.map_err(|error| error.about(path.display()))?;
        let simplified = match &mut self.simplified {
            Some(pass) => pass.taps.run(&prepared)?,
            None => vec![],
        };
        Ok(Inspection {
            image,
            probabilities,
            taps: self.taps.run(&prepared)?,
            simplified,
        })
    }

    /// The first convolution's weight `[out, in, h, w]`.
    ///
    /// # Errors
    /// It is neither in the file nor a value of four axes.
    pub fn kernels(&self, inspection: &Inspection) -> Result<Tap> {
        let name = self.convs.first().map_or("", |conv| &conv.weight);
        let weight = self.weight(inspection, name)?;
        if weight.dims.len() != 4 {
            return Err(Error::Inspect {
                path: self.path.clone(),
                reason: format!(
                    "the weight of its first convolution has shape {:?}",
                    weight.dims
                ),
            });
        }
        Ok(weight.into_owned())
    }

    /// The class activation map of `class`. Eigen-CAM where the head is another, or the last maps are
    /// `1 x 1`; none where no value is a feature map of `4 x 4` or more.
    pub fn attribution(
        &self,
        inspection: &Inspection,
        class: usize,
    ) -> Result<Option<Attribution>> {
        if let Some(head) = &self.head
            && let Some(attribution) = self.class_map(inspection, head, class)?
        {
            return Ok(Some(attribution));
        }
        let (width, height) = inspection.image.rgb.dimensions();
        let eigen = self.values_back.iter().find_map(|value| {
            let maps = Maps::from_tap(inspection.value(value)?)?;
            let wide = maps.channels > 1 && maps.width.min(maps.height) >= LEAST_SIDE;
            (wide && maps.is_like_image((height, width)))
                .then(|| (attention::eigen(&maps), value.clone()))
        });
        let last = self
            .head
            .as_ref()
            .and_then(|head| inspection.value(&head.maps));
        let reason = match last.map(|last| last.dims.as_slice()) {
            Some([_, _, 1, 1]) => "the last feature maps are 1 x 1",
            _ => "the scores are not one linear step from the mean of the last feature maps",
        };
        Ok(eigen.map(|(heat, value)| Attribution::Eigen {
            heat,
            value,
            reason,
        }))
    }

    /// None where the maps are `1 x 1`, or their weighted mean is not the score.
    fn class_map(
        &self,
        inspection: &Inspection,
        head: &Head,
        class: usize,
    ) -> Result<Option<Attribution>> {
        let (Some(maps), Some(scores)) = (
            inspection.value(&head.maps).and_then(Maps::from_tap),
            inspection.value(&head.scores),
        ) else {
            return Ok(None);
        };
        // A single score of two classes is that of the second; its negative is that of the first.
        let single = scores.numbers.len() == 1 && self.classifier.classes().len() == 2;
        let (index, sign) = match (single, class) {
            (true, 0) => (0, -1.0),
            (true, _) => (0, 1.0),
            (false, class) => (class, 1.0),
        };
        let (row, bias) = match &head.linear {
            None => {
                let one = |channel| if channel == index { 1.0 } else { 0.0 };
                ((0..maps.channels).map(one).collect(), 0.0)
            }
            Some(linear) => {
                let weight = self.weight(inspection, &linear.weight)?;
                let bias = match &linear.bias {
                    Some(bias) => self.weight(inspection, bias)?.numbers.get(index).copied(),
                    None => Some(0.0),
                };
                (
                    row(&weight, linear.rows_are_classes, index),
                    bias.unwrap_or(0.0),
                )
            }
        };
        let row: Vec<f32> = row.into_iter().map(|w| sign * w).collect();
        let Some(heat) = attention::class_map(&maps, &row) else {
            return Ok(None);
        };
        let score = f64::from(sign * scores.numbers.get(index).copied().unwrap_or(f32::NAN));
        let bias = sign * bias;
        let error = (heat.mean() + f64::from(bias) - score).abs();
        let largest = scores.numbers.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let holds = error <= TOLERANCE * f64::from(largest);
        let value = head.maps.clone();
        let attribution = Attribution::ClassMap {
            heat,
            value,
            bias,
            error,
        };
        Ok((holds && maps.width * maps.height > 1).then_some(attribution))
    }

    /// A weight: from the file, or as the runtime computed it from the file (dequantised, say).
    fn weight<'v>(&self, inspection: &'v Inspection, name: &str) -> Result<Cow<'v, Tap>> {
        if let Some(tap) = inspection.value(name) {
            return Ok(Cow::Borrowed(tap));
        }
        let tensor = self.document.tensor(name)?;
        let numbers = match tensor.as_f32() {
            Ok(numbers) => numbers.into_owned(),
            // Quantised models store integers.
            Err(_) => tensor.as_i64()?.iter().map(|v| *v as f32).collect(),
        };
        Ok(Cow::Owned(Tap {
            name: name.into(),
            dims: tensor.dims,
            numbers,
        }))
    }
}

impl Inspection {
    /// Index of the most probable class.
    pub fn predicted(&self) -> usize {
        let probabilities = self.probabilities.iter().enumerate();
        // The first of equal ones, as `argmax` has it.
        let most = probabilities.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        most.expect("a classifier has classes").0
    }

    /// A value of the network, or of the chain of its convolutions.
    pub fn value(&self, name: &str) -> Option<&Tap> {
        let mut taps = self.simplified.iter().chain(&self.taps);
        taps.find(|tap| tap.name == name)
    }
}

/// Names of all values that an inspection needs, each once. Weights that the file holds are read from it.
fn values(
    document: &Document,
    convs: &[Conv],
    head: Option<&Head>,
    values_back: &[String],
) -> Vec<String> {
    let linear = head.and_then(|head| head.linear.as_ref());
    let weights = convs.first().map(|conv| &conv.weight);
    let weights = weights
        .into_iter()
        .chain(linear.map(|linear| &linear.weight))
        .chain(linear.and_then(|linear| linear.bias.as_ref()))
        .filter(|name| document.tensor(name).is_err());
    let head = head.into_iter().flat_map(|head| [&head.maps, &head.scores]);
    let mut seen = HashSet::new();
    let outputs = convs.iter().map(|conv| &conv.output);
    outputs
        .chain(weights)
        .chain(head)
        .chain(values_back)
        .filter(|name| seen.insert(name.as_str()))
        .cloned()
        .collect()
}

/// The class's weights `[D]` of a matrix `[K, D]` or `[D, K]`.
fn row(weight: &Tap, rows_are_classes: bool, class: usize) -> Vec<f32> {
    let &[rows, columns] = weight.dims.as_slice() else {
        return vec![];
    };
    if rows_are_classes {
        let row = weight.numbers.chunks_exact(columns).nth(class);
        return row.unwrap_or_default().to_vec();
    }
    let column = (0..rows).map(|row| row * columns + class);
    column
        .filter_map(|index| weight.numbers.get(index).copied())
        .collect()
}
