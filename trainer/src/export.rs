//! Export of a trained network to an ONNX file with its card, verified through ONNX Runtime.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data::card::{
    self, Card, Comparison, FeaturesNote, Golden, OutputKind, Provenance, ScoreKind, ScoreNote,
};
use data::metrics::VerificationScores;
use data::{Dataset, Pairs, Preprocess, Scores, Split};
use models::{Backbone, Network};
use onnx::siamese::DistanceHead;
use onnx::{Document, ModelFile};
use report::run_files::{Agreement, Calibration};
use serde_json::Value;

use crate::calibrate;
use crate::error::Result;
use crate::golden_images;
use crate::output_files::remove_if_any;
use crate::pair_score::{self, Decision};
use crate::preprocessing::InputPreprocess;
use crate::recipe::Recipe;
use crate::verify::{self, Reference};

/// Fields of the card, besides what the network knows of itself.
#[derive(Clone, Debug)]
pub struct CardFields {
    /// Class names in output order.
    pub classes: Vec<String>,
    /// From an image to the network's input.
    pub preprocess: Preprocess,
    pub provenance: Provenance,
    /// Of a verifier: how it decides.
    pub decision: Option<Decision>,
    /// Of an encoder alone: what its verifier has behind it.
    pub head: Option<DistanceHead>,
}

impl CardFields {
    /// The fields for a network that was trained by `recipe` on `dataset`, whose fingerprint is `fingerprint`:
    /// options without the paths of this machine, and the numbers of images.
    pub fn new(
        network: &Network,
        preprocess: InputPreprocess,
        recipe: &Recipe,
        dataset: &Dataset,
        fingerprint: String,
    ) -> Result<Self> {
        let counts = [Split::Train, Split::Val, Split::Test]
            .map(|split| (split.to_string(), dataset.samples(split).len() as u64));
        Ok(Self {
            classes: dataset.classes.clone(),
            preprocess: preprocess.preprocess,
            provenance: Provenance {
                tool: "trainer".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                seed: recipe.seed,
                options: options(recipe)?,
                backbone_sha256: network.backbone_sha256().map(str::to_string),
                backbone_licence: preprocess.backbone_licence,
                backbone_source: preprocess.backbone_source,
                features: network.backbone().map(|backbone| features_note(backbone)),
                preprocess_source: Some(preprocess.source),
                dataset_fingerprint: fingerprint,
                counts: counts.into_iter().collect(),
                date: card::utc_date(),
                ..Provenance::default()
            },
            decision: None,
            head: None,
        })
    }

    /// The fields of a verifier that was trained on `pairs`: its counts are those of pairs.
    #[must_use]
    pub fn of_verifier(mut self, pairs: &Pairs, decision: Decision) -> Self {
        let count = |split: Split| (split.to_string(), pairs.of(split).len() as u64);
        self.provenance.counts = Split::ALL.map(count).into();
        self.classes = data::pairs::CLASSES.map(str::to_owned).to_vec();
        self.decision = Some(decision);
        self
    }

    #[must_use]
    pub fn with_score(mut self, split: Split, scores: &Scores) -> Self {
        add_score(&mut self.provenance, split, scores.accuracy, scores.count);
        self
    }

    /// Adds the accuracy of the validation images, `[0, 1]`, and the temperature.
    #[must_use]
    pub fn with_validation(
        mut self,
        accuracy: Option<f64>,
        count: usize,
        calibration: Option<&Calibration>,
    ) -> Self {
        if let Some(accuracy) = accuracy {
            add_score(&mut self.provenance, Split::Val, accuracy, count as u64);
        }
        if let Some(calibration) = calibration {
            calibrate::add_to_card(calibration, &mut self.provenance);
        }
        self
    }
}

/// An exported file, with its verification.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file: as asked, or `*.unverified.onnx`.
    pub path: PathBuf,
    /// How far the network's own logits and ONNX Runtime's agree.
    pub agreement: Agreement,
    /// The network's own logits of the images that it was verified with.
    pub reference: Reference,
    document: Document,
    card: Card,
}

impl Exported {
    /// Puts a score on the card of the file, whose graph stays as it was verified.
    pub fn add_score(&mut self, split: Split, scores: &Scores) -> Result<()> {
        let provenance = &mut self.card.provenance;
        add_score(provenance, split, scores.accuracy, scores.count);
        self.save_card()
    }

    /// As [`add_score`](Self::add_score), of a verifier.
    pub fn add_verification(&mut self, split: Split, scores: &VerificationScores) -> Result<()> {
        let note = ScoreNote {
            accuracy: scores.accuracy,
            interval: scores.interval,
            count: scores.count,
            equal_error_rate: Some(scores.equal_error_rate),
            auc: Some(scores.auc),
        };
        let provenance = &mut self.card.provenance;
        provenance.scores.insert(split.to_string(), note);
        self.save_card()
    }

    fn save_card(&mut self) -> Result<()> {
        self.document
            .set_metadata(card::PREFIX, &self.card.to_pairs());
        Ok(self.document.save(&self.path)?)
    }
}

/// Exports the network with its card, compares its own logits of `images` (prepared for it) with ONNX Runtime's on
/// the file's bytes, and writes them: to `out` when they agree, to `*.unverified.onnx` when they do not.
pub fn export(
    network: &Network,
    fields: CardFields,
    images: &[Vec<f32>],
    out: &Path,
) -> Result<Exported> {
    let document = network.to_onnx()?;
    let golden = GoldenImages::prepared(&fields.preprocess)?;
    let golden_logits = verify::reference(network, &golden.inputs)?.logits;
    let golden = golden.samples(golden_logits);
    let described = Described::new(document, fields, golden)?;
    let reference = verify::reference(network, images)?;
    let agreement = verify::verify(&reference, &described.file, network, images)?;
    described.write(agreement, reference, out)
}

/// As [`export`], of a verifier: one file with two inputs, compared on real pairs.
pub fn export_verifier(
    network: &Network,
    fields: CardFields,
    pairs: &[[Vec<f32>; 2]],
    out: &Path,
) -> Result<Exported> {
    let document = network.to_verifier_onnx()?;
    let golden = GoldenImages::prepared(&fields.preprocess)?;
    let scores = verify::reference_pairs(network, &golden.pairs())?.logits;
    let golden = golden.pair_samples(scores);
    let described = Described::new(document, fields, golden)?;
    let reference = verify::reference_pairs(network, pairs)?;
    let agreement = verify::verify_pairs(&reference, &described.file, network, pairs)?;
    described.write(agreement, reference, out)
}

/// As [`export_verifier`], of the verifier's encoder alone. Its features, compared as its card says, must give the network's
/// scores of the pairs.
pub fn export_encoder(
    network: &Network,
    mut fields: CardFields,
    pairs: &[[Vec<f32>; 2]],
    out: &Path,
) -> Result<Exported> {
    let document = network.to_encoder_onnx()?;
    fields.head = Some(pair_score::distance_head(network)?);
    let golden = GoldenImages::prepared(&fields.preprocess)?;
    let features = verify::features(network, &golden.inputs)?;
    let golden = golden.samples(features);
    let described = Described::new(document, fields, golden)?;
    let reference = verify::reference_pairs(network, pairs)?;
    let agreement = verify::verify_encoder(&reference, &described.file, pairs)?;
    described.write(agreement, reference, out)
}

/// A document with its card, and the file that they make.
struct Described {
    document: Document,
    card: Card,
    file: ModelFile,
}

impl Described {
    fn new(mut document: Document, fields: CardFields, golden: Vec<Golden>) -> Result<Self> {
        let card = card(&document, fields, golden);
        document.set_metadata(card::PREFIX, &card.to_pairs());
        describe(&mut document, &card);
        document.inline_external_data()?;
        let file = ModelFile::from_bytes(document.to_bytes())?;
        Ok(Self {
            document,
            card,
            file,
        })
    }

    /// Writes the file: to `out` where it was verified.
    fn write(self, agreement: Agreement, reference: Reference, out: &Path) -> Result<Exported> {
        let Self {
            document,
            card,
            file,
        } = self;
        let path = if agreement.verified {
            out.to_path_buf()
        } else {
            unverified(out)
        };
        data::write::atomically(&path, file.bytes())?;
        if agreement.verified {
            // What an earlier export left there is no longer true.
            remove_if_any(&unverified(out))?;
        }
        Ok(Exported {
            path,
            agreement,
            reference,
            document,
            card,
        })
    }
}

fn features_note(backbone: &Backbone) -> FeaturesNote {
    let cut = &backbone.file.cut;
    FeaturesNote {
        values: cut.values.clone(),
        width: backbone.width as u64,
        found_by: cut.rule.to_string(),
    }
}

/// Puts a score on the card.
fn add_score(provenance: &mut Provenance, split: Split, accuracy: f64, count: u64) {
    let (low, high) = data::metrics::wilson((accuracy * count as f64).round() as u64, count);
    let note = ScoreNote {
        accuracy,
        interval: [low, high],
        count,
        ..ScoreNote::default()
    };
    provenance.scores.insert(split.to_string(), note);
}

/// The recipe as options: a path becomes its last part.
fn options(recipe: &Recipe) -> Result<BTreeMap<String, Value>> {
    let Value::Object(options) = serde_json::to_value(recipe)? else {
        return Ok(BTreeMap::new());
    };
    let mut options: BTreeMap<String, Value> = options.into_iter().collect();
    for key in ["data", "backbone", "feature-table"] {
        if let Some(Value::String(text)) = options.get_mut(key)
            && let Some(last) = Path::new(text.as_str()).file_name()
        {
            *text = last.to_string_lossy().into_owned();
        }
    }
    // These say something of the machine or of other trainings, nothing of the model.
    let others = ["threads", "memory", "feature-cache", "folds", "seeds"];
    let ineffective = recipe.ineffective().into_iter().map(|(key, _)| key);
    for key in others.into_iter().chain(ineffective) {
        options.remove(key);
    }
    Ok(options)
}

/// `model.onnx` becomes `model.unverified.onnx`.
pub fn unverified(path: &Path) -> PathBuf {
    path.with_extension("unverified.onnx")
}

fn card(document: &Document, fields: CardFields, golden: Vec<Golden>) -> Card {
    let names = |values: Vec<onnx::ValueInfo>| values.into_iter().map(|v| v.name).collect();
    let (task, output_kind) = match (fields.decision, &fields.head) {
        (Some(_), Some(_)) => (card::ENCODE, OutputKind::Features),
        (Some(decision), None) => (card::VERIFY, decision.kind.into()),
        (None, _) => (card::CLASSIFY, OutputKind::Logits),
    };
    Card {
        version: card::VERSION,
        task: task.into(),
        inputs: names(document.inputs()),
        outputs: names(document.outputs()),
        golden,
        // Features are no classes.
        classes: match fields.head {
            Some(_) => vec![],
            None => fields.classes,
        },
        preprocess: fields.preprocess,
        output_kind,
        provenance: fields.provenance,
        threshold: fields.decision.map(|decision| decision.threshold),
        comparison: fields.decision.zip(fields.head).map(comparison),
    }
}

fn comparison((decision, head): (Decision, DistanceHead)) -> Comparison {
    Comparison {
        distance: head.distance.name().into(),
        weight: head.weight,
        bias: head.bias,
        score: decision.kind,
    }
}

/// Drawn images whose logits go on the card: golden samples.
struct GoldenImages {
    images: Vec<(&'static str, Vec<u8>)>,
    inputs: Vec<Vec<f32>>,
}

impl GoldenImages {
    /// The images, prepared for the network.
    fn prepared(preprocess: &Preprocess) -> Result<Self> {
        Ok(Self {
            images: card::golden_images::images(),
            inputs: golden_images::prepared(preprocess)?,
        })
    }

    /// Every image with the next one.
    fn pairs(&self) -> Vec<[Vec<f32>; 2]> {
        let next = self.inputs.iter().cycle().skip(1);
        let pairs = self.inputs.iter().zip(next);
        pairs.map(|(a, b)| [a.clone(), b.clone()]).collect()
    }

    /// Golden samples of [`pairs`](Self::pairs), with the scores that the network gives for them.
    fn pair_samples(&self, scores: Vec<Vec<f32>>) -> Vec<Golden> {
        let next = self.images.iter().cycle().skip(1);
        let samples = self.samples(scores).into_iter().zip(next);
        let pair = |(sample, (name, bytes)): (Golden, &(&str, Vec<u8>))| Golden {
            name: format!("{} + {name}", sample.name),
            ..sample.with_second(bytes)
        };
        samples.map(pair).collect()
    }

    /// Golden samples: the images with the logits that the network gives for them.
    fn samples(&self, logits: Vec<Vec<f32>>) -> Vec<Golden> {
        let tolerance: BTreeMap<String, f64> = deploy::golden::TOLERANCES
            .iter()
            .map(|(name, value)| ((*name).to_string(), *value))
            .collect();
        let pairs = self.images.iter().zip(logits);
        pairs
            .map(|((name, bytes), logits)| Golden::new(*name, bytes, logits, tolerance.clone()))
            .collect()
    }
}

/// The standard fields of the format.
fn describe(document: &mut Document, card: &Card) {
    document.model.producer_name = Some("trainer".into());
    document.model.producer_version = Some(env!("CARGO_PKG_VERSION").into());
    let calibrated =
        calibrate::card_temperature(&card.provenance).map_or_else(String::new, |temperature| {
            format!(" Calibrated: the logits are divided by a temperature of {temperature:.4}.")
        });
    let what = match card.threshold.map(|_| card.score_kind()) {
        Some(_) if card.comparison.is_some() => {
            "Encoder of a verifier: the features of an image".to_owned()
        }
        Some(ScoreKind::Probability) => {
            "Verifier of two images: the probability that they are of one identity".to_owned()
        }
        Some(ScoreKind::Distance) => "Verifier of two images: their distance".to_owned(),
        None => format!("Image classifier: {}", card.classes.join(", ")),
    };
    let description = format!(
        "{what}. Preprocessing: {}.{calibrated} See the metadata under `classifier.`.",
        card.preprocess
    );
    document.model.doc_string = Some(description.into_bytes());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{options, unverified};
    use crate::recipe::{Recipe, Views};

    #[test]
    fn options_hold_no_path_of_this_machine() {
        let recipe = Recipe {
            data: "/home/grace/photos".into(),
            backbone: Some("/home/grace/nets/resnet.onnx".into()),
            lr: Some(1e-3),
            ..Recipe::default()
        };
        let options = options(&recipe).unwrap();
        assert_eq!(options["data"], "photos");
        assert_eq!(options["backbone"], "resnet.onnx");
        assert_eq!(options["lr"], 1e-3);
        assert!(!format!("{options:?}").contains("grace"), "{options:?}");
    }

    #[test]
    fn options_name_what_was_used_alone() {
        let names = |recipe: Recipe| options(&recipe).unwrap().into_keys().collect::<Vec<_>>();
        let custom = names(Recipe::default());
        let has = |names: &[String], key: &str| names.iter().any(|name| name == key);
        assert!(has(&custom, "augment") && has(&custom, "width") && !has(&custom, "momentum"));
        let frozen = |views| {
            names(Recipe {
                backbone: Some("resnet18".into()),
                views: Some(views),
                ..Recipe::default()
            })
        };
        let plain = frozen(Views::ORIGINAL);
        for key in [
            "augment",
            "augment-val",
            "width",
            "cells",
            "growth",
            "cell",
            "channels",
            "size",
        ] {
            assert!(!has(&plain, key), "{key}");
        }
        assert!(has(&frozen(Views::AUGMENTED), "augment"));
    }

    #[test]
    fn a_file_that_fails_verification_says_so_in_its_name() {
        assert_eq!(
            unverified(Path::new("runs/1/model.onnx")),
            Path::new("runs/1/model.unverified.onnx")
        );
    }
}
