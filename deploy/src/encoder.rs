//! Encoder: the features `[D]` of an image, from a classifier that is cut before its classification layer. Knows no
//! classes.

use std::fmt;
use std::path::{Path, PathBuf};

use onnx::{Dim, Document, FeatureCut, ModelFile};
use pixels::card::FeaturesNote;
use pixels::{Card, Preprocess};

use crate::classifier::{Classifier, ClassifierBuilder, Input};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::taps::FeatureShape;

/// What features depend on besides the image. Tables of features name it in each row, so that a new layer is not trained
/// on features of another backbone.
///
/// ```
/// use classifold::encoder::FeatureOrigin;
///
/// let origin = FeatureOrigin {
///     sha256: "3a5f".into(),
///     values: vec!["flatten".into()],
///     preprocess: classifold::Preprocess::imagenet(),
/// };
/// assert!(origin.to_string().starts_with("3a5f flatten | decode(rgb"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureOrigin {
    /// SHA-256 of the backbone's file in hexadecimal; of one that was cut, of the file before.
    pub sha256: String,
    /// Names of the values in the file's graph; several are joined.
    pub values: Vec<String>,
    /// Steps from an image to the file's input.
    pub preprocess: Preprocess,
}

impl fmt::Display for FeatureOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(" ");
        write!(f, "{} {values} | {}", self.sha256, self.preprocess)
    }
}

/// A model whose one output is the features of an image, `[N, D]`.
#[derive(Clone, Debug)]
pub struct CutModel {
    /// The graph.
    pub document: Document,
    /// Which values of the model's graph they are, and how many.
    pub features: FeaturesNote,
    /// SHA-256 of the file that the features are of, in hexadecimal.
    sha256: String,
    card: Option<Card>,
}

impl CutModel {
    /// Cuts a classifier before its classification layer; a backbone that was cut stays as it is. Needs no runtime.
    ///
    /// # Errors
    /// The model compares images; its features cannot be found.
    pub fn from_file(file: &ModelFile) -> Result<Self> {
        let (path, model) = (file.path(), Model::from_file(file)?);
        let mut document = Document::from_file(file)?;
        document.inline_external_data()?;
        let card = model.card.as_ref();
        let noted = card.and_then(|card| card.provenance.features.as_ref());
        if let (true, Some(card), Some(noted)) = (model.is_cut_backbone(), card, noted) {
            let sha256 = card.provenance.backbone_sha256.clone();
            return Ok(Self {
                document,
                features: noted.clone(),
                sha256: sha256.unwrap_or_else(|| file.sha256().to_owned()),
                card: model.card.clone(),
            });
        }
        model.check_task(path, pixels::card::CLASSIFY)?;
        let cut = find(&document, noted.map_or(&[], |note| note.values.as_slice()))?;
        let width = cut.width().or(noted.map(|note| note.width as usize));
        // Where there is no layer, an output is the features.
        let output = model.outputs.iter().find(|o| o.name == cut.output);
        let width = width.or(match output.and_then(|output| output.dims.last()) {
            Some(Dim::Fixed(width)) => usize::try_from(*width).ok(),
            _ => None,
        });
        let width = width.ok_or_else(|| Error::no_features(path))?;
        Self::new(file, document, model.card, cut, width)
    }

    /// As [`CutModel::from_file`], with the value of the graph that is the features. Its shape is that of one run with an
    /// image of `image_shape`, `[C, H, W]` or `[H, W, C]`; the runtime must have been loaded ([`crate::runtime::load`]).
    ///
    /// # Errors
    /// The model compares images; the graph has no such value, or it is neither `[N, D]` nor `[N, D, H, W]`.
    pub fn at(file: &ModelFile, value: &str, image_shape: [usize; 3]) -> Result<Self> {
        let (path, model) = (file.path(), Model::from_file(file)?);
        let mut document = Document::from_file(file)?;
        document.inline_external_data()?;
        model.check_task(path, pixels::card::CLASSIFY)?;
        let mut cut = FeatureCut::at(&document, value)?;
        let shape = FeatureShape::of(&document, value, image_shape)?;
        cut.pooled = shape.is_map;
        Self::new(file, document, model.card, cut, shape.width)
    }

    /// Cuts the whole `document` of a file.
    fn new(
        file: &ModelFile,
        mut document: Document,
        card: Option<Card>,
        cut: FeatureCut,
        width: usize,
    ) -> Result<Self> {
        cut.cut(&mut document)?;
        Ok(Self {
            document,
            features: FeaturesNote {
                width: width as u64,
                found_by: cut.rule.to_string(),
                values: cut.values,
            },
            sha256: file.sha256().to_owned(),
            card,
        })
    }
}

/// A classifier without its classification layer, for search, clustering and new layers.
///
/// On the CPU an image is run alone: no bit of its features depends on its neighbours.
///
/// ```no_run
/// use classifold::Encoder;
///
/// let encoder = Encoder::open("model.onnx")?;
/// let (a, b) = (std::path::Path::new("a.jpg"), std::path::Path::new("b.jpg"));
/// let features = [encoder.features(a)?, encoder.features(b)?].map(Encoder::normalized);
/// let cosine: f32 = features[0].iter().zip(&features[1]).map(|(a, b)| a * b).sum();
/// # Ok::<(), classifold::Error>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    path: PathBuf,
    origin: FeatureOrigin,
    card: Option<Card>,
    encoder: Classifier,
}

impl Encoder {
    /// Opens a model on the CPU, with the ONNX Runtime that is loaded or found in the usual places.
    ///
    /// # Errors
    /// There is no ONNX Runtime library; the file has no preprocessing, or its features cannot be found.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_file(
            &ModelFile::open(path.as_ref())?,
            ClassifierBuilder::default(),
        )
    }

    /// As [`Encoder::open`], of a file that was read, with the provider, the threads, the runtime and, for a file
    /// without a card, the preprocessing of `settings`.
    ///
    /// # Errors
    /// As [`Encoder::open`].
    pub fn from_file(file: &ModelFile, settings: ClassifierBuilder) -> Result<Self> {
        Self::from_cut(file.path(), CutModel::from_file(file)?, settings)
    }

    /// As [`Encoder::from_file`], of a file at `path` that was cut.
    ///
    /// # Errors
    /// As [`Encoder::open`].
    pub fn from_cut(path: &Path, cut: CutModel, settings: ClassifierBuilder) -> Result<Self> {
        let CutModel {
            document,
            features,
            sha256,
            card,
        } = cut;
        let known = || card.as_ref().map(|card| card.preprocess.clone());
        let preprocess = settings.own_preprocess().or_else(known);
        let preprocess =
            preprocess.ok_or_else(|| Error::no_card(path, "how images are prepared for it"))?;
        let width = features.width as usize;
        let file = ModelFile::from_bytes(document.to_bytes())?;
        let settings = settings.for_encoder(file, width, preprocess.clone());
        let settings = settings.one_at_a_time();
        Ok(Self {
            path: path.to_owned(),
            origin: FeatureOrigin {
                sha256,
                values: features.values,
                preprocess,
            },
            card,
            encoder: settings.open()?,
        })
    }

    /// The model file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the values in the file's graph that hold the features; several are joined.
    pub fn values(&self) -> &[String] {
        &self.origin.values
    }

    /// What its features depend on besides the image.
    pub fn origin(&self) -> &FeatureOrigin {
        &self.origin
    }

    /// The card of its file: of a classifier, or of a backbone that was cut.
    pub fn card(&self) -> Option<&Card> {
        self.card.as_ref()
    }

    /// Number of features `D`.
    pub fn width(&self) -> usize {
        self.encoder.classes().len()
    }

    /// Its sessions; what it calls logits are features.
    pub fn encoder(&self) -> &Classifier {
        &self.encoder
    }

    /// The features `[D]` of an image.
    ///
    /// # Errors
    /// The image cannot be read or decoded; the model stops.
    pub fn features<'a>(&self, input: impl Into<Input<'a>>) -> Result<Vec<f32>> {
        let prepared = self.encoder.prepare_input(input)?;
        self.encoder.logits(&prepared, 1)
    }

    /// The features `[D]` of many images, on all sessions and in batches, handed to `sink` in the order of the images.
    /// An image that cannot be read is an error of its own; it fails no other.
    pub fn features_many<'a, I>(&self, inputs: I, mut sink: impl FnMut(usize, Result<Vec<f32>>))
    where
        I: IntoIterator,
        I::Item: Into<Input<'a>>,
        I::IntoIter: Send,
    {
        self.encoder.logits_many(inputs, &mut sink);
    }

    /// The features `[N, D]` of images; the first that cannot be read is the error.
    ///
    /// # Errors
    /// As [`Encoder::features`].
    #[cfg(feature = "ndarray")]
    pub fn features_array<'a, I>(&self, inputs: I) -> Result<ndarray::Array2<f32>>
    where
        I: IntoIterator,
        I::Item: Into<Input<'a>>,
        I::IntoIter: Send,
    {
        let (mut numbers, mut failed) = (Vec::new(), None);
        self.features_many(inputs, |_, features| match features {
            Ok(features) => numbers.extend(features),
            Err(error) => {
                failed.get_or_insert(error);
            }
        });
        match failed {
            Some(error) => Err(error),
            None => crate::classifier::rows(numbers, self.width()),
        }
    }

    /// Features of length 1 (L2 norm), whose dot product is the cosine of their angle; zeros stay zeros.
    pub fn normalized(features: Vec<f32>) -> Vec<f32> {
        let square = |value: &f32| f64::from(*value) * f64::from(*value);
        let norm = features.iter().map(square).sum::<f64>().sqrt();
        if norm == 0.0 {
            return features;
        }
        let unit = |value| (f64::from(value) / norm) as f32;
        features.into_iter().map(unit).collect()
    }
}

/// The features that the card names, where its one value is in the graph, or those before the classification layer.
fn find(document: &Document, noted: &[String]) -> Result<FeatureCut> {
    let found = FeatureCut::find(document);
    if let ([value], Err(_)) = (noted, &found)
        && let Ok(named) = FeatureCut::at(document, value)
    {
        return Ok(named);
    }
    Ok(found?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalized_features_have_length_one_and_zeros_stay() {
        assert_eq!(Encoder::normalized(vec![3.0, -4.0]), [0.6, -0.8]);
        assert_eq!(Encoder::normalized(vec![0.0; 3]), [0.0; 3]);
        // Squares beyond single precision.
        assert_eq!(Encoder::normalized(vec![1e30, 0.0]), [1.0, 0.0]);
    }
}
