//! Model card: classes, preprocessing, provenance and reference results of a classifier.
//!
//! Stored as pairs of strings, the metadata properties of a `.onnx` file under the prefix `classifier.`.
//! Knows nothing of the file's format.

pub mod golden_images;

use crate::{Error, Kind, Preprocess, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::{Duration, SystemTime};

/// Version of the card's keys and their meaning.
pub const VERSION: u32 = 1;

/// Task of a model that says which class an image is of.
pub const CLASSIFY: &str = "classify";
/// Task of a model of two images that says whether they are the same.
pub const VERIFY: &str = "verify";

/// Task of a model that computes the features of an image: for a verifier that compares them, or of a backbone alone, for
/// new classification layers.
pub const ENCODE: &str = "encode";

/// Prefix of every key of the card.
pub const PREFIX: &str = "classifier.";

/// Model card: all that a program needs to use a classifier, and its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// [`VERSION`].
    pub version: u32,
    /// [`CLASSIFY`], [`VERIFY`] or [`ENCODE`].
    pub task: String,
    /// Names of the model's inputs.
    pub inputs: Vec<String>,
    /// Names of the model's outputs.
    pub outputs: Vec<String>,
    /// Names of the classes, in the order of the outputs; none of features.
    pub classes: Vec<String>,
    /// Steps from an image to the network's input.
    pub preprocess: Preprocess,
    /// Whether the output is before or after softmax.
    pub output_kind: OutputKind,
    /// Origin of the model.
    pub provenance: Provenance,
    /// Reference images with the logits to expect.
    pub golden: Vec<Golden>,
    /// Of a verifier or its encoder: the least probability, or the largest distance, at which two images are the same. Of
    /// a classifier: the least probability of an answer, `[0, 1]`; a less sure one is "unknown".
    pub threshold: Option<f64>,
    /// Of a verifier's encoder: how the features of two images are compared.
    pub comparison: Option<Comparison>,
}

/// How the features `f(a)` and `f(b)` of two images become the score of a verifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// `absolute-difference`: `|f(a) - f(b)|`, number by number; `cosine`: of their angle; `euclidean`: their distance.
    pub distance: String,
    /// Multiplies the distance: `[D]` numbers, or one.
    pub weight: Vec<f32>,
    /// Added to the product.
    pub bias: f32,
    /// Of a probability, the sigmoid of the sum is the score; of a distance, the sum itself.
    pub score: ScoreKind,
}

/// Kind of numbers in a model's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// Before softmax.
    #[default]
    Logits,
    /// After softmax: they sum to 1, or to 100.
    Probabilities,
    /// Probabilities of each class for itself, such as several sigmoids: they need not sum to 1.
    Independent,
    /// Of a verifier: how far two images are apart, from 0 on.
    Distances,
    /// Numbers of an image that mean nothing alone.
    Features,
}

impl OutputKind {
    /// Its name, as in the card.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
            Self::Independent => "independent",
            Self::Distances => "distances",
            Self::Features => "features",
        }
    }
}

/// What a verifier's score is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// The probability that both images are the same.
    #[default]
    Probability,
    /// How far apart they are: the same have a small one.
    Distance,
}

impl ScoreKind {
    /// Its name, as in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::Distance => "distance",
        }
    }

    /// A score, or a threshold, on the scale on which the same images are high: a distance with a minus. That of a
    /// similarity is the score again.
    ///
    /// ```
    /// use classifold_pixels::card::ScoreKind;
    /// assert_eq!(ScoreKind::Distance.similarity(0.25), -0.25);
    /// assert_eq!(ScoreKind::Probability.similarity(0.25), 0.25);
    /// ```
    #[must_use]
    pub fn similarity(self, score: f64) -> f64 {
        match self {
            Self::Probability => score,
            Self::Distance => -score,
        }
    }

    /// Whether a score says that both are the same.
    #[must_use]
    pub fn accepts(self, score: f64, threshold: f64) -> bool {
        self.similarity(score) >= self.similarity(threshold)
    }
}

impl From<ScoreKind> for OutputKind {
    fn from(kind: ScoreKind) -> Self {
        match kind {
            ScoreKind::Probability => Self::Probabilities,
            ScoreKind::Distance => Self::Distances,
        }
    }
}

/// Origin of a model. Fields that a file leaves out are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Program that wrote the file.
    pub tool: String,
    /// That program's version.
    pub version: String,
    /// Revision of the program's sources, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
    /// Seed of the run.
    pub seed: u64,
    /// Options of the run, without paths of the user's machine.
    pub options: BTreeMap<String, Value>,
    /// SHA-256 of the file that the backbone was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_sha256: Option<String>,
    /// Licence of the backbone's weights, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_licence: Option<String>,
    /// Where the backbone's weights are from, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone_source: Option<String>,
    /// Where the features of a frozen backbone are in its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturesNote>,
    /// What the preprocessing was decided by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess_source: Option<String>,
    /// SHA-256 over the data set's file names and contents, in hexadecimal.
    pub dataset_fingerprint: String,
    /// Images per split.
    pub counts: BTreeMap<String, u64>,
    /// Scores per split.
    pub scores: BTreeMap<String, ScoreNote>,
    /// [`utc_date`].
    pub date: String,
}

/// The features that a classification layer was trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeaturesNote {
    /// Names of the values in the backbone's graph; several are joined.
    pub values: Vec<String>,
    /// Number of features D.
    pub width: u64,
    /// How the values were found.
    pub found_by: String,
}

impl std::fmt::Display for FeaturesNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = self.values.join("`, `");
        write!(f, "`{values}` [N, {}], {}", self.width, self.found_by)
    }
}

/// Scores on one split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreNote {
    /// `[0, 1]`.
    pub accuracy: f64,
    /// Wilson 95 % interval.
    pub interval: [f64; 2],
    /// Number of images, or of pairs.
    pub count: u64,
    /// Of a verifier: the rate at which as many pairs of either answer are wrong, `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal_error_rate: Option<f64>,
    /// Of a verifier: area under the ROC curve, `[0, 1]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc: Option<f64>,
}

/// Golden sample: an image with its logits, which shows that another machine computes the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// File name of the image.
    pub name: String,
    /// The image file in base64.
    pub image: String,
    /// Of a verifier: the file of the image that it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// The model's output in single precision: logits `[K]`, a verifier's score, or features `[D]`. Minus infinity, a masked
    /// class, is the text `-inf`: JSON has no such number.
    #[serde(with = "logits")]
    pub logits: Vec<f32>,
    /// Largest accepted difference, relative to the largest |logit|, per precision of the model
    /// (`fp32`, `fp16`, `int8`).
    #[serde(default)]
    pub tolerance: BTreeMap<String, f64>,
}

impl Golden {
    /// A sample of an image file's `bytes` and the logits `[K]` to expect.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        bytes: &[u8],
        logits: Vec<f32>,
        tolerance: BTreeMap<String, f64>,
    ) -> Self {
        Self {
            name: name.into(),
            image: STANDARD.encode(bytes),
            second: None,
            logits,
            tolerance,
        }
    }

    /// The sample with a second image, which a verifier compares with the first.
    #[must_use]
    pub fn with_second(mut self, bytes: &[u8]) -> Self {
        self.second = Some(STANDARD.encode(bytes));
        self
    }

    /// Content of the image file.
    ///
    /// # Errors
    /// The card's text is not base64.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.decoded(&self.image)
    }

    /// Content of the second image's file.
    ///
    /// # Errors
    /// There is none, or the card's text is not base64.
    pub fn second_bytes(&self) -> Result<Vec<u8>> {
        let second = self.second.as_deref();
        self.decoded(
            second
                .ok_or_else(|| bad("golden", format!("{}: there is no second image", self.name)))?,
        )
    }

    fn decoded(&self, text: &str) -> Result<Vec<u8>> {
        STANDARD
            .decode(text)
            .map_err(|error| bad("golden", format!("{}: {error}", self.name)))
    }
}

impl Card {
    /// What the score of a verifier, or of that of an encoder, is.
    #[must_use]
    pub fn score_kind(&self) -> ScoreKind {
        match (&self.comparison, self.output_kind) {
            (Some(comparison), _) => comparison.score,
            (None, OutputKind::Distances) => ScoreKind::Distance,
            (None, _) => ScoreKind::Probability,
        }
    }

    /// The card as `(key, value)`, keys in a fixed order.
    ///
    /// ```
    /// use classifold_pixels::card::{Card, OutputKind, Provenance};
    /// let card = Card {
    ///     version: 1,
    ///     task: "classify".into(),
    ///     inputs: vec!["input".into()],
    ///     outputs: vec!["logits".into()],
    ///     classes: vec!["ants".into(), "bees".into()],
    ///     preprocess: classifold_pixels::Preprocess::imagenet(),
    ///     output_kind: OutputKind::Logits,
    ///     provenance: Provenance::default(),
    ///     golden: vec![],
    ///     threshold: None,
    ///     comparison: None,
    /// };
    /// let pairs = card.to_pairs();
    /// let again = Card::from_pairs(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
    /// assert_eq!(again, Some(card));
    /// # Ok::<(), classifold_pixels::Error>(())
    /// ```
    #[must_use]
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let pairs = [
            ("version", self.version.to_string()),
            ("task", self.task.clone()),
            ("inputs", json(&self.inputs)),
            ("outputs", json(&self.outputs)),
            ("classes", json(&self.classes)),
            ("preprocess", json(&self.preprocess)),
            ("output_kind", self.output_kind.name().to_string()),
            ("provenance", json(&self.provenance)),
            ("golden", json(&self.golden)),
        ];
        let threshold = self
            .threshold
            .map(|threshold| ("threshold", json(&threshold)));
        let comparison = self.comparison.as_ref();
        let comparison = comparison.map(|comparison| ("comparison", json(comparison)));
        pairs
            .into_iter()
            .chain(threshold)
            .chain(comparison)
            .map(|(key, value)| (format!("{PREFIX}{key}"), value))
            .collect()
    }

    /// Reads a card from a file's metadata. `None` when no key starts with `classifier.`.
    ///
    /// Unknown keys are ignored, and of the known ones only version, classes and preprocessing
    /// must be there.
    ///
    /// # Errors
    /// The version is unknown, or a value cannot be read or honoured.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Option<Self>> {
        let values: BTreeMap<&str, &str> = pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)))
            .collect();
        if values.is_empty() {
            return Ok(None);
        }
        let text = |key: &str| values.get(key).copied();
        let needed = |key: &str| text(key).ok_or_else(|| bad(key, "is missing"));
        // First the version: in another one, the other keys may mean something else.
        let version = needed("version")?;
        if version.trim().parse() != Ok(VERSION) {
            let message = format!(
                "the model card has version {version}; this program knows version {VERSION}"
            );
            let hint = Some("use a newer release of this program");
            return Err(Error::Invalid {
                kind: Kind::Model,
                message,
                hint,
            });
        }
        let task = text("task").unwrap_or(CLASSIFY);
        if ![CLASSIFY, VERIFY, ENCODE].contains(&task) {
            return Err(bad(
                "task",
                format!(
                    "`{task}` is not known here, only `{CLASSIFY}`, `{VERIFY}` and `{ENCODE}` are"
                ),
            ));
        }
        let comparison = match text("comparison") {
            Some(text) => Some(parse("comparison", text)?),
            None => None,
        };
        let threshold = match text("threshold") {
            Some(text) => Some(parse("threshold", text)?),
            None if task == VERIFY || comparison.is_some() => {
                return Err(bad("threshold", "is missing"));
            }
            None => None,
        };
        let classes: Vec<String> = parse("classes", needed("classes")?)?;
        if task != ENCODE {
            check_classes(&classes).map_err(|reason| bad("classes", reason))?;
        }
        let output_kind = match text("output_kind") {
            None | Some("logits") => OutputKind::Logits,
            Some("probabilities") => OutputKind::Probabilities,
            Some("independent") => OutputKind::Independent,
            Some("distances") if task == VERIFY => OutputKind::Distances,
            Some("features") if task == ENCODE => OutputKind::Features,
            Some(other) => {
                return Err(bad(
                    "output_kind",
                    format!("`{other}` is not logits, probabilities or independent"),
                ));
            }
        };
        Ok(Some(Self {
            version: VERSION,
            task: task.into(),
            inputs: parse("inputs", text("inputs").unwrap_or("[]"))?,
            outputs: parse("outputs", text("outputs").unwrap_or("[]"))?,
            classes,
            preprocess: parse("preprocess", needed("preprocess")?)?,
            output_kind,
            provenance: parse("provenance", text("provenance").unwrap_or("{}"))?,
            golden: parse("golden", text("golden").unwrap_or("[]"))?,
            threshold,
            comparison,
        }))
    }

    /// Checks that the model has one output for each class.
    ///
    /// # Errors
    /// Their numbers differ.
    pub fn check_outputs(&self, outputs: usize) -> Result<()> {
        let classes = self.classes.len();
        if classes == outputs {
            Ok(())
        } else {
            Err(Error::Invalid {
                kind: Kind::Model,
                message: format!(
                    "the model card names {classes} classes, the model has {outputs} outputs"
                ),
                hint: None,
            })
        }
    }
}

/// Logits as JSON, for `#[serde(with)]`: minus infinity is the text `-inf`.
pub mod logits {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Logit<'a> {
        Number(f32),
        Text(&'a str),
    }

    const MASKED: &str = "-inf";

    /// Writes logits `[K]`.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(logits: &[f32], to: S) -> Result<S::Ok, S::Error> {
        let logit = |logit: &f32| match *logit {
            f32::NEG_INFINITY => Logit::Text(MASKED),
            number => Logit::Number(number),
        };
        to.collect_seq(logits.iter().map(logit))
    }

    /// Reads logits `[K]`.
    ///
    /// # Errors
    /// Those of the deserialiser; one is neither a finite number nor `-inf`.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let logit = |logit| match logit {
            Logit::Number(number) if number.is_finite() => Ok(number),
            Logit::Text(MASKED) => Ok(f32::NEG_INFINITY),
            _ => Err(D::Error::custom("a logit is neither a number nor `-inf`")),
        };
        Vec::<Logit<'de>>::deserialize(from)?
            .into_iter()
            .map(logit)
            .collect()
    }
}

fn check_classes(classes: &[String]) -> Result<(), String> {
    if classes.is_empty() {
        return Err("there are none".into());
    }
    let mut sorted: Vec<&String> = classes.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("`{}` is there twice", pair[0])),
        None => Ok(()),
    }
}

fn bad(key: &str, reason: impl Display) -> Error {
    Error::Invalid {
        kind: Kind::Model,
        message: format!("the model card's `{PREFIX}{key}`: {reason}"),
        hint: Some("write a good one with `deploy card attach`"),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("map keys are strings, and no type here fails to serialise")
}

fn parse<T: DeserializeOwned>(key: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| bad(key, error))
}

/// The present time in UTC as RFC 3339, or that of `SOURCE_DATE_EPOCH` (seconds) when it is set.
///
/// ```
/// assert!(classifold_pixels::card::utc_date().ends_with('Z'));
/// ```
#[must_use]
pub fn utc_date() -> String {
    date(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())
}

fn date(fixed: Option<&str>) -> String {
    let fixed = fixed
        .and_then(|text| text.trim().parse().ok())
        // The last second of the year 9999: RFC 3339 has four digits for a year.
        .filter(|seconds| *seconds <= 253_402_300_799)
        .map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    humantime::format_rfc3339_seconds(fixed.unwrap_or_else(SystemTime::now)).to_string()
}

#[cfg(test)]
mod tests;
