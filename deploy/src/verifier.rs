//! Verifier: whether two images are of the same identity. Knows no provider.
//!
//! Its file takes two images, or is its encoder alone, which takes one. In both cases the encoder runs on each image once
//! here, so that an embedding can be kept and compared with many; the layer behind it is a sum, computed in double
//! precision.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::DynamicImage;
use machine::Provider;
use onnx::siamese::{self, Distance, DistanceHead};
use onnx::{Dim, Document, ModelFile};
use ort::session::{Session as OrtSession, SessionInputValue};
use ort::value::TensorElementType;
use pixels::Card;
use pixels::card::{Comparison, ScoreKind};

use crate::classifier::{Classifier, ClassifierBuilder};
use crate::error::{Error, Result, chain};
use crate::model::Model;
use crate::placement::Placement;
use crate::session::{Session, SessionOptions, tensor_io};

/// Says whether two images are the same, ready to be used from many threads at once.
///
/// ```no_run
/// let verifier = classifold::Verifier::open("model.onnx")?;
/// let answer = verifier.verify_paths("signature.png", "cheque.png")?;
/// println!("{} ({:.3})", answer.same, answer.score);
///
/// // For a database: each image is encoded once.
/// let known = verifier.encode(&classifold::image::open("signature.png").unwrap())?;
/// let new = verifier.encode(&classifold::image::open("cheque.png").unwrap())?;
/// assert_eq!(verifier.compare(&known, &new)?, answer);
/// # Ok::<(), classifold::Error>(())
/// ```
#[derive(Debug)]
pub struct Verifier {
    path: PathBuf,
    model: Model,
    card: Card,
    head: DistanceHead,
    threshold: f64,
    encoder: Classifier,
}

/// Answer of a verifier for two images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verification {
    /// Whether both are the same, by the threshold.
    pub same: bool,
    /// The probability that both are the same, `[0, 1]`, or their distance: see [`Verifier::score_kind`].
    pub score: f64,
}

/// What a verifier's file consists of.
struct VerifierParts {
    path: PathBuf,
    model: Model,
    card: Card,
    head: DistanceHead,
    encoder: ModelFile,
}

impl VerifierParts {
    /// Reads the file of a verifier or of its encoder; refuses other files by name.
    fn read(file: &ModelFile) -> Result<Self> {
        let (path, model) = (file.path().to_owned(), Model::from_file(file)?);
        if !model.compares_images() {
            return Err(Error::other_task(&path, model.kind()));
        }
        let card = model.card.clone();
        let card = card.expect("without a card a file is a classifier");
        let (encoder, head) = if let Some(comparison) = &card.comparison {
            (file.clone(), head_of_card(&path, &model, comparison)?)
        } else {
            let mut document = Document::from_file(file)?;
            document.inline_external_data()?;
            let (encoder, head) = siamese::separate(&document)?;
            (ModelFile::from_bytes(encoder.to_bytes())?, head)
        };
        Ok(Self {
            path,
            model,
            card,
            head,
            encoder,
        })
    }
}

/// The layer behind an encoder, which its card has.
fn head_of_card(path: &Path, model: &Model, comparison: &Comparison) -> Result<DistanceHead> {
    let bad = |reason: String| Error::bad_comparison(path, &reason);
    let name = &comparison.distance;
    let distance = Distance::from_name(name)
        .ok_or_else(|| bad(format!("the distance `{name}` is not known here")))?;
    let outputs = model.outputs.as_slice();
    let width = match outputs.first().map(|output| output.dims.as_slice()) {
        Some([_, Dim::Fixed(width)]) if outputs.len() == 1 => *width as usize,
        _ => return Err(bad("the model's output is not [N, D]".into())),
    };
    let (expected, found) = (distance.width(width), comparison.weight.len());
    if found != expected {
        let reason = format!("it has {found} weights where {width} features need {expected}");
        return Err(bad(reason));
    }
    Ok(DistanceHead {
        distance,
        width,
        weight: comparison.weight.clone(),
        bias: comparison.bias,
    })
}

impl Verifier {
    /// Opens a verifier, or the encoder of one, on the CPU, with the ONNX Runtime that is loaded or found in the usual places.
    ///
    /// # Errors
    /// There is no ONNX Runtime library; whatever is wrong with the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_file(
            &ModelFile::open(path.as_ref())?,
            ClassifierBuilder::default(),
        )
    }

    /// Checks that a file is a verifier. Needs no runtime.
    ///
    /// # Errors
    /// Whatever is wrong with the file.
    pub fn check_file(file: &ModelFile) -> Result<()> {
        VerifierParts::read(file).map(|_| ())
    }

    /// As [`Verifier::open`], of a model file's bytes.
    ///
    /// # Errors
    /// As [`Verifier::open`].
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        Self::from_file(&ModelFile::from_bytes(bytes)?, ClassifierBuilder::default())
    }

    /// As [`Verifier::open`], of a file that was read, with the provider, the threads and the runtime of `settings`;
    /// class names, preprocessing and output are the card's.
    ///
    /// ```no_run
    /// use classifold::{ClassifierBuilder, Provider, Verifier, onnx::ModelFile};
    ///
    /// let file = ModelFile::open("model.onnx".as_ref())?;
    /// let settings = ClassifierBuilder::default().provider(Provider::Cpu).threads(2);
    /// let verifier = Verifier::from_file(&file, settings)?;
    /// # Ok::<(), classifold::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Verifier::open`].
    pub fn from_file(file: &ModelFile, settings: ClassifierBuilder) -> Result<Self> {
        let parts = VerifierParts::read(file)?;
        let (width, preprocess) = (parts.head.width, parts.card.preprocess.clone());
        let encoder = settings
            .for_encoder(parts.encoder, width, preprocess)
            .open()?;
        let threshold = parts.card.threshold;
        Ok(Self {
            path: parts.path,
            model: parts.model,
            threshold: threshold.expect("the card of a verifier has one"),
            card: parts.card,
            head: parts.head,
            encoder,
        })
    }

    /// The model file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Header, card, inputs and outputs of the file.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The model's card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The least probability, or the largest distance, at which two images are the same.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// What the score of two images, and the threshold, is.
    pub fn score_kind(&self) -> ScoreKind {
        self.card.score_kind()
    }

    /// What is computed of the features, and the layer behind it.
    pub fn head(&self) -> &DistanceHead {
        &self.head
    }

    /// The same verifier with another threshold: a higher probability, or a smaller distance, accepts fewer pairs.
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The encoder, whose outputs are the features of an image.
    pub fn encoder(&self) -> &Classifier {
        &self.encoder
    }

    /// The features `[D]` of an image, for [`compare`](Self::compare): the output of the encoder's file of
    /// `trainer export --encoder`, to the last bits.
    ///
    /// # Errors
    /// The pixels are floating-point numbers; the model stops.
    pub fn encode(&self, image: &DynamicImage) -> Result<Vec<f32>> {
        self.encoder.run(&self.encoder.prepare_pixels(image)?, 1)
    }

    /// As [`encode`](Self::encode), of an image file.
    ///
    /// # Errors
    /// The file cannot be read or decoded; the model stops.
    pub fn encode_path(&self, path: impl AsRef<Path>) -> Result<Vec<f32>> {
        let encoder = &self.encoder;
        let color = encoder.preprocess().color();
        let image = pixels::decode::open_as(path.as_ref(), color, encoder.limits())?;
        encoder.run(&encoder.prepare(&image)?, 1)
    }

    /// As [`encode`](Self::encode), of the bytes of an image file.
    ///
    /// # Errors
    /// As [`encode_path`](Self::encode_path).
    pub fn encode_bytes(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let encoder = &self.encoder;
        encoder.run(&encoder.prepare(&encoder.decode(bytes)?)?, 1)
    }

    /// Compares two images by their features. Neither is the first: the order changes nothing.
    ///
    /// # Errors
    /// The features are not this verifier's, or not finite.
    pub fn compare(&self, first: &[f32], second: &[f32]) -> Result<Verification> {
        let width = self.head.width;
        for features in [first, second] {
            if features.len() != width {
                return Err(Error::features_length(width, features.len()));
            }
            if !features.iter().all(|value| value.is_finite()) {
                return Err(Error::run("the features of an image are not finite"));
            }
        }
        let score = self.head.score(first, second);
        Ok(Verification {
            same: self.score_kind().accepts(score, self.threshold),
            score,
        })
    }

    /// Says whether two decoded images are the same.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn verify(&self, first: &DynamicImage, second: &DynamicImage) -> Result<Verification> {
        self.compare(&self.encode(first)?, &self.encode(second)?)
    }

    /// Says whether two image files are the same.
    ///
    /// # Errors
    /// As [`encode_path`](Self::encode_path).
    pub fn verify_paths(
        &self,
        first: impl AsRef<Path>,
        second: impl AsRef<Path>,
    ) -> Result<Verification> {
        self.compare(&self.encode_path(first)?, &self.encode_path(second)?)
    }
}

/// A verifier's file as it is, with its two inputs, on the CPU: what other programs run.
#[derive(Debug)]
pub struct PairSession {
    session: OrtSession,
    placement: Placement,
    inputs: [String; 2],
    output: String,
    image_shape: [usize; 3],
}

impl PairSession {
    /// Opens a verifier of images of this shape, `[C, H, W]` or `[H, W, C]`. The runtime must have been loaded
    /// ([`crate::runtime::load`]).
    ///
    /// # Errors
    /// The file does not have two inputs and one output, or the runtime refuses it.
    pub fn open(file: &ModelFile, image_shape: [usize; 3]) -> Result<Self> {
        Self::with_options(file, image_shape, &SessionOptions::default())
    }

    /// As [`open`](Self::open), with the threads and the memory of `options`.
    ///
    /// # Errors
    /// As [`open`](Self::open); the provider is not the CPU.
    pub fn with_options(
        file: &ModelFile,
        image_shape: [usize; 3],
        options: &SessionOptions,
    ) -> Result<Self> {
        if options.provider != Provider::Cpu {
            return Err(Error::pairs_on_cpu(
                file.path(),
                &options.provider.to_string(),
            ));
        }
        let document = Document::from_file(file)?;
        let (inputs, outputs) = (document.inputs(), document.outputs());
        let ([a, b], [output]) = (inputs.as_slice(), outputs.as_slice()) else {
            return Err(Error::other_task(file.path(), "classify"));
        };
        let (session, placement) = Session::open_bare(file, options)?;
        Ok(Self {
            session,
            placement,
            inputs: [a, b].map(|input| input.name.clone()),
            output: output.name.clone(),
            image_shape,
        })
    }

    /// Where the nodes run.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The scores `[batch]` of prepared images, `first[i]` and `second[i]` being a pair.
    ///
    /// # Errors
    /// An input has another length, or ONNX Runtime stops.
    pub fn run(&mut self, first: &[f32], second: &[f32], batch: usize) -> Result<Vec<f32>> {
        let failed = |e: ort::Error| Error::run(chain(&e));
        let [x, y, z] = self.image_shape;
        let expected = batch * x * y * z;
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(2);
        for (name, images) in self.inputs.iter().zip([first, second]) {
            if images.len() != expected {
                return Err(Error::input_length(batch, expected, images.len()));
            }
            let shape = [batch, x, y, z];
            let value = tensor_io::to_input(TensorElementType::Float32, images, shape);
            inputs.push((name, value.map_err(failed)?));
        }
        let outputs = self.session.run(inputs).map_err(failed)?;
        let output = outputs.get(self.output.as_str());
        let output = output.ok_or_else(|| Error::run("there is no output"))?;
        tensor_io::to_f32(output).map_err(failed)
    }
}
