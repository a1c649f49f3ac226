//! An exported model opened to be looked into, and what it makes of one picture.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use data::{Limits, Preprocess, RgbImage, Tally};
use deploy::{Classifier, Model, Session, SessionOptions, Tap, Taps};
use onnx::Document;

use super::anatomy::{self, Conv, Head};
use super::attention::{self, Heat, Maps};
use super::simplified;
use crate::error::{Error, Result};

/// The least side of maps that Eigen-CAM takes.
const LEAST_SIDE: usize = 4;
/// How far the scores may be from the mean of the class maps, of the largest score: quantised
/// models round on the way.
const TOLERANCE: f64 = 0.05;

/// What a file that carries no card does not say.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// Names of the classes; without any they are numbered.
    pub classes: Option<Vec<String>>,
    /// From a picture to the model's input.
    pub preprocess: Option<Preprocess>,
}

/// A model to look into.
#[derive(Debug)]
pub struct Subject {
    path: PathBuf,
    document: Document,
    classifier: Classifier,
    convs: Vec<Conv>,
    head: Option<Head>,
    /// Values from the output back to the input.
    way: Vec<String>,
    taps: Taps,
    /// The convolutions chained, and what runs them.
    simplified: Option<(Taps, Vec<Conv>, Vec<String>)>,
}

/// A picture as the model takes it, and what the model made of it.
#[derive(Clone, Debug)]
pub struct View {
    /// After resize and crop: what the network saw.
    pub picture: RgbImage,
    /// Of every class.
    pub probabilities: Vec<f64>,
    taps: Vec<Tap>,
    simplified: Vec<Tap>,
}

/// Where the model looks, and how that was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// A class activation map; its mean plus `bias` is the score.
    ClassMap {
        /// In units of the score, on the grid of the feature maps.
        heat: Heat,
        /// The maps' name.
        value: String,
        /// What the layer adds for the class.
        bias: f32,
        /// How far mean plus bias is from the score.
        off: f64,
    },
    /// Eigen-CAM, of no class.
    Eigen {
        /// In units of the activations, on the grid of the feature maps.
        heat: Heat,
        /// The maps' name.
        value: String,
        /// Why there is no class activation map.
        why: &'static str,
    },
}

impl Subject {
    /// Opens an exported model, `model` being what its file at `path` says, in ONNX Runtime, which
    /// must have been loaded. With `simplified` its convolutions are also chained
    /// ([`simplified::chain`]).
    ///
    /// # Errors
    /// The file is no classifier of images, or says nothing of preprocessing and neither does
    /// `described`; it has no convolutions.
    pub fn open(
        path: &Path,
        model: &Model,
        described: Described,
        simplified: bool,
        threads: usize,
    ) -> Result<Subject> {
        let card = model.card.as_ref();
        let preprocess = described
            .preprocess
            .or_else(|| card.map(|card| card.preprocess.clone()))
            .ok_or_else(|| deploy::Error::no_card(path, "how images are prepared for it"))?;
        let shape = preprocess.output_shape();
        let session = Session::open(
            path,
            &SessionOptions {
                threads: Some(threads),
                image_shape: Some(shape),
                output: card.and_then(|card| card.outputs.first().cloned()),
                ..SessionOptions::default()
            },
        )?;
        let output = session.output().to_owned();
        let kind = card.map_or(model.guessed_kind, |card| card.output_kind);
        let count = session.num_outputs();
        let numbered = || {
            let count = if count == 1 { 2 } else { count };
            (0..count).map(|class| format!("class {class}")).collect()
        };
        let classes = described
            .classes
            .or_else(|| card.map(|card| card.classes.clone()))
            .unwrap_or_else(numbered);
        let classifier =
            Classifier::from_engines(vec![Box::new(session)], classes, preprocess, kind)?;
        let document = Document::open(path)?;
        let convs = anatomy::convolutions(document.graph());
        if convs.is_empty() {
            return Err(Error::Inspect {
                path: path.into(),
                reason: "it has no convolution".into(),
            });
        }
        let head = anatomy::head(&document, &output);
        let way = anatomy::way_back(&document, &output);
        let taps = Taps::open(
            &document,
            &values(&document, &convs, head.as_ref(), &way),
            shape,
            Some(threads),
        )?;
        let simplified = simplified
            .then(|| {
                let chain = simplified::chain(&document)?;
                let outputs: Vec<String> = chain.convs.iter().map(|c| c.output.clone()).collect();
                let taps = Taps::open(&chain.document, &outputs, shape, Some(threads))?;
                Ok::<_, Error>((taps, chain.convs, chain.left_out))
            })
            .transpose()?;
        Ok(Subject {
            path: path.into(),
            document,
            classifier,
            convs,
            head,
            way,
            taps,
            simplified,
        })
    }

    /// What classifies.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// The convolutions whose maps a [`View`] has: all of them, or those of the chain.
    pub fn convs(&self) -> &[Conv] {
        self.simplified
            .as_ref()
            .map_or(&self.convs, |(_, convs, _)| convs)
    }

    /// The convolutions that the chain leaves out.
    pub fn left_out(&self) -> &[String] {
        self.simplified
            .as_ref()
            .map_or(&[], |(_, _, left_out)| left_out)
    }

    /// Shows it a picture.
    ///
    /// # Errors
    /// The picture cannot be read, or the model stops.
    pub fn look(&mut self, picture: &Path) -> Result<View> {
        let picture = data::decode::open(picture, &Limits::default())?;
        let preprocess = self.classifier.preprocess();
        let picture = preprocess.geometry(&picture)?;
        let mut prepared = vec![0.0; preprocess.output_len()];
        preprocess.tensor_into(&picture, &mut prepared)?;
        let logits = self.classifier.logits(&prepared, 1)?;
        let simplified = match &mut self.simplified {
            Some((taps, ..)) => taps.run(&prepared)?,
            None => vec![],
        };
        Ok(View {
            picture,
            probabilities: Tally::probabilities(&logits),
            taps: self.taps.run(&prepared)?,
            simplified,
        })
    }

    /// The first convolution's weight `[out, in, h, w]`.
    ///
    /// # Errors
    /// It is neither in the file nor a value of four axes.
    pub fn kernels(&self, view: &View) -> Result<Tap> {
        let name = self.convs.first().map_or("", |conv| &conv.weight);
        let weight = self.weight(view, name)?;
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

    /// The class activation map of `class`, or what Eigen-CAM makes of other heads, and of last maps
    /// of a single place; none where no value is a feature map of a few places.
    pub fn attention(&self, view: &View, class: usize) -> Result<Option<Look>> {
        if let Some(head) = &self.head
            && let Some(look) = self.class_map(view, head, class)?
        {
            return Ok(Some(look));
        }
        let found = self.way.iter().find_map(|value| {
            let maps = Maps::of(view.value(value)?)?;
            let wide = maps.channels > 1 && maps.width.min(maps.height) >= LEAST_SIDE;
            wide.then(|| (attention::eigen(&maps), value.clone()))
        });
        let last = self.head.as_ref().and_then(|head| view.value(&head.maps));
        let why = match last.map(|last| last.dims.as_slice()) {
            Some([_, _, 1, 1]) => "the last feature maps are a single place",
            _ => "the scores are not one linear step from the mean of the last feature maps",
        };
        Ok(found.map(|(heat, value)| Look::Eigen { heat, value, why }))
    }

    /// None where the maps are one place, or their weighted mean is not the score.
    fn class_map(&self, view: &View, head: &Head, class: usize) -> Result<Option<Look>> {
        let (Some(maps), Some(scores)) = (
            view.value(&head.maps).and_then(Maps::of),
            view.value(&head.scores),
        ) else {
            return Ok(None);
        };
        // One score for two classes is the second one's, and speaks against the first.
        let single = scores.numbers.len() == 1 && self.classifier.classes().len() == 2;
        let (place, sign) = match (single, class) {
            (true, 0) => (0, -1.0),
            (true, _) => (0, 1.0),
            (false, class) => (class, 1.0),
        };
        let (row, bias) = match &head.linear {
            None => {
                let one = |channel| if channel == place { 1.0 } else { 0.0 };
                ((0..maps.channels).map(one).collect(), 0.0)
            }
            Some(linear) => {
                let weight = self.weight(view, &linear.weight)?;
                let bias = match &linear.bias {
                    Some(bias) => self.weight(view, bias)?.numbers.get(place).copied(),
                    None => Some(0.0),
                };
                (
                    row(&weight, linear.rows_are_classes, place),
                    bias.unwrap_or(0.0),
                )
            }
        };
        let row: Vec<f32> = row.into_iter().map(|w| sign * w).collect();
        let Some(heat) = attention::class_map(&maps, &row) else {
            return Ok(None);
        };
        let score = f64::from(sign * scores.numbers.get(place).copied().unwrap_or(f32::NAN));
        let bias = sign * bias;
        let off = (heat.mean() + f64::from(bias) - score).abs();
        let largest = scores.numbers.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let holds = off <= TOLERANCE * f64::from(largest);
        let value = head.maps.clone();
        let look = Look::ClassMap {
            heat,
            value,
            bias,
            off,
        };
        Ok((holds && maps.width * maps.height > 1).then_some(look))
    }

    /// A weight: in the file, or as the runtime made it of what is in the file.
    fn weight<'v>(&self, view: &'v View, name: &str) -> Result<Cow<'v, Tap>> {
        if let Some(tap) = view.value(name) {
            return Ok(Cow::Borrowed(tap));
        }
        let tensor = self.document.tensor(name)?;
        let numbers = match tensor.as_f32() {
            Ok(numbers) => numbers.into_owned(),
            Err(_) => tensor.as_i64()?.iter().map(|v| *v as f32).collect(),
        };
        Ok(Cow::Owned(Tap {
            name: name.into(),
            dims: tensor.dims,
            numbers,
        }))
    }
}

impl View {
    /// The class of the greatest probability.
    pub fn predicted(&self) -> usize {
        let by = |a: &(usize, &f64), b: &(usize, &f64)| a.1.total_cmp(b.1).then(b.0.cmp(&a.0));
        let greatest = self.probabilities.iter().enumerate().max_by(by);
        greatest.map_or(0, |(class, _)| class)
    }

    /// A value of the network, or of the chain of its convolutions.
    pub fn value(&self, name: &str) -> Option<&Tap> {
        let mut taps = self.simplified.iter().chain(&self.taps);
        taps.find(|tap| tap.name == name)
    }
}

/// All values that are looked at, each once; what the file holds is not asked of the runtime.
fn values(document: &Document, convs: &[Conv], head: Option<&Head>, way: &[String]) -> Vec<String> {
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
        .chain(way)
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
    let place = |row| weight.numbers.get(row * columns + class).copied();
    (0..rows).filter_map(place).collect()
}
