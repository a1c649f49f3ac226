//! Contents of the files in a run folder: `trainer` writes them, a page shows them. Their names are in
//! [`data::run_files`].

mod pairs;

use std::collections::BTreeMap;

use data::{Scores, Split};
use serde::{Deserialize, Serialize};

pub use pairs::{
    MeanDeviation, PairFoldScore, PairFolds, PairSeedScore, PairSeeds, PairSummary, UnstablePair,
};

/// Training history of one epoch: a row of `metrics.csv`. Accuracies are in percent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Counted from 1.
    pub epoch: usize,
    pub lr: f64,
    /// Mean over the training images, while the weights moved, of the loss that was minimised.
    pub train_loss: f64,
    /// Percent.
    pub train_accuracy: f64,
    /// Mean cross-entropy over the validation images, after the epoch: the plain one, whatever was minimised.
    pub val_loss: f64,
    /// Percent.
    pub val_accuracy: f64,
    pub train_seconds: f64,
    pub val_seconds: f64,
    pub train_images_per_second: f64,
    pub val_images_per_second: f64,
    /// Time in which training steps waited for their batches. Earlier versions did not write it.
    #[serde(default)]
    pub train_wait_seconds: f64,
}

/// How the classification layer of a frozen backbone, or the scale of its distances, was brought to its minimum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadFit {
    /// L2 penalty: half of it is the factor of the squared weights of standardised features, against the sum of the
    /// losses. One over it is scikit-learn's `C`. The scale of distances has none: 0.
    pub penalty: f64,
    /// Folds of the training images that chose it; 0 where there were too few images, or the penalty was given.
    pub folds: usize,
    /// From strong to weak.
    pub tried: Vec<TriedPenalty>,
    /// Steps of L-BFGS, or of Newton's method for a scale.
    pub steps: usize,
}

/// A penalty with the mean log loss of the images that were held out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedPenalty {
    pub penalty: f64,
    pub loss: f64,
}

/// Validation of a network. The accuracy is in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkScore {
    pub val_loss: f64,
    pub val_accuracy: f64,
}

/// A fine-tuned network beside the frozen backbone, with its fitted classification layer, that it began as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FineTuned {
    /// Validation images, or pairs.
    pub images: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pairs: bool,
    pub frozen: NetworkScore,
    pub tuned: NetworkScore,
    /// Mean over the images of the frozen network's log loss less the fine-tuned one's.
    pub gain: f64,
    /// Standard error of `gain`; none of a single image.
    pub standard_error: Option<f64>,
    /// Whether `gain` is larger than its standard error.
    pub is_better: bool,
    /// Whether the fine-tuned network is the one that is exported.
    pub kept_tuned: bool,
}

/// Network and training of a run: what `summary.json` has of every task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrainingSummary {
    pub run: String,
    /// The exported file, relative to the run folder.
    pub model: String,
    /// Whether ONNX Runtime agrees with Burn on it.
    pub verified: bool,
    pub network: String,
    pub parameters: usize,
    pub trainable_parameters: usize,
    /// Number of epochs done.
    pub epochs: usize,
    /// The exported epoch, counted from 1; 0 where the frozen backbone of a fine-tuning was kept.
    pub epoch: usize,
    /// `finished` or `early-stopped`.
    pub ended: String,
    /// Validation accuracy of the exported epoch, in `[0, 1]`; `null` where it is not known. Of pairs, at a probability of
    /// a half, or at half the margin.
    pub val_accuracy: Option<f64>,
    pub seconds: f64,
    /// How the classification layer was fitted, where no epochs trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadFit>,
    /// What fine-tuning changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine_tuned: Option<FineTuned>,
}

/// Result of a run: `summary.json`, and what `fit --json` writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    #[serde(flatten)]
    pub training: TrainingSummary,
    /// The split of the scores: `test`, or `val` with `--no-test`.
    pub split: Split,
    /// Number of images of val and of test that are also in an earlier split.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaks: BTreeMap<Split, usize>,
    /// Scores of the exported file through ONNX Runtime.
    #[serde(flatten)]
    pub scores: Scores,
}

impl FineTuned {
    /// What was found and which network is exported, for people.
    pub fn line(&self) -> String {
        // That of pairs may be contrastive.
        let (what, loss) = match self.pairs {
            true => ("pairs", "loss"),
            false => ("images", "log loss"),
        };
        let score = |score: &NetworkScore| {
            let accuracy = 100.0 * score.val_accuracy;
            format!("{loss} {:.4}, accuracy {accuracy:.1} %", score.val_loss)
        };
        let error = match self.standard_error {
            Some(error) => format!(" (standard error {error:.4})"),
            None => String::new(),
        };
        let verdict = match (self.kept_tuned, self.is_better) {
            (true, true) => "the fine-tuned network is kept",
            (true, false) => "the fine-tuned network is kept, as asked",
            (false, _) => "that may be chance, so the frozen backbone is kept",
        };
        let change = match self.gain >= 0.0 {
            true => "lowers",
            false => "raises",
        };
        format!(
            "{} validation {what}: frozen {}; fine-tuned {}. Fine-tuning {change} the {loss} by {:.4}{error}: {verdict}",
            self.images,
            score(&self.frozen),
            score(&self.tuned),
            self.gain.abs(),
        )
    }

    /// What to know of a fine-tuned network that was kept though it is worse than the frozen backbone.
    pub fn warning(&self) -> Option<String> {
        (self.kept_tuned && self.gain < 0.0).then(|| {
            "the fine-tuned network is worse than the frozen backbone in validation: leave out \
             `--keep tuned`, or lower `--lr`"
                .to_owned()
        })
    }
}

impl HeadFit {
    /// A fit with a penalty that no folds chose.
    pub fn with_penalty(penalty: f64) -> Self {
        Self {
            penalty,
            folds: 0,
            tried: vec![],
            steps: 0,
        }
    }

    /// Whether it is the scale of distances, in whose contrastive loss the weights have no penalty.
    pub fn is_scale(&self) -> bool {
        self.penalty == 0.0
    }

    /// The mean log loss of the images that were held out, with the chosen penalty.
    pub fn held_out_loss(&self) -> Option<f64> {
        let chosen = self
            .tried
            .iter()
            .find(|tried| tried.penalty == self.penalty);
        chosen.map(|tried| tried.loss)
    }

    /// One line for the log.
    pub fn line(&self, seconds: f64) -> String {
        let Self {
            penalty,
            folds,
            tried,
            steps,
        } = self;
        if self.is_scale() {
            return format!(
                "scale of the distances: at the minimum of the contrastive loss, {steps} steps, {seconds:.2} s"
            );
        }
        let choice = match self.held_out_loss() {
            Some(loss) => format!(
                "the best of {} by the held-out log loss of {folds} folds, {loss:.4}",
                tried.len()
            ),
            None => "not chosen: too few images or identities for folds".into(),
        };
        format!(
            "classification layer: its minimum by L-BFGS, {steps} steps, {seconds:.2} s; L2 penalty {penalty:.3} ({choice})"
        )
    }
}

impl TrainingSummary {
    /// What to know of a fine-tuned network that was kept though it is worse than the frozen backbone.
    pub fn warning(&self) -> Option<String> {
        self.fine_tuned.as_ref().and_then(FineTuned::warning)
    }
}

impl Summary {
    /// What the leaks between splits spoil, where there are any.
    pub fn leak_warning(&self) -> Option<String> {
        let scored = leak_warning(self.split, self.scores.count, &self.leaks);
        let chosen = self
            .leaks
            .get(&Split::Val)
            // A layer at its minimum has no epochs to choose from.
            .filter(|_| self.split != Split::Val && self.training.head.is_none());
        let chosen = chosen.map(|count| {
            format!("the epoch was chosen with {count} val images that are also train images")
        });
        let warnings: Vec<String> = scored.into_iter().chain(chosen).collect();
        (!warnings.is_empty()).then(|| warnings.join("; "))
    }
}

/// What leaks do to the scores of `count` images of a split.
pub fn leak_warning(split: Split, count: u64, leaks: &BTreeMap<Split, usize>) -> Option<String> {
    let leaked = leaks.get(&split)?;
    Some(format!(
        "these scores are too good: an earlier split has {leaked} of the {count} {split} images, too"
    ))
}

/// Temperature scaling of a network and what it gains: `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The temperature that fits the held-out logits.
    pub temperature: f64,
    /// Whether the logits are divided by it; otherwise they stay as they are.
    pub applied: bool,
    /// Which images it was fitted on.
    pub fitted_on: String,
    /// Number of those images.
    pub count: usize,
    /// Mean negative log-likelihood of the labels before, in nats.
    pub loss_before: f64,
    /// The same with the temperature.
    pub loss_after: f64,
    /// Standard error of the difference, paired by image.
    pub standard_error: f64,
    /// The epoch of the network, counted from 1.
    pub epoch: usize,
}

/// Whether an exported file computes what the network computes: `verify.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// What computed the network's own logits.
    #[serde(default = "burn")]
    pub reference: String,
    /// Whether every difference is within the tolerance and every top-1 is the same.
    pub verified: bool,
    /// Number of images, or of pairs, compared.
    pub images: usize,
    /// Whether they are pairs, and the output a probability.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pairs: bool,
    /// Batch sizes that ONNX Runtime ran them with.
    pub batches: Vec<usize>,
    /// The largest finite |difference| of a logit.
    pub max_difference: f64,
    /// The largest finite |logit| of the network.
    pub largest_logit: f64,
    /// The largest allowed difference.
    pub tolerance: f64,
    pub disagreements: Vec<Disagreement>,
}

/// The reference of files that name none.
fn burn() -> String {
    "Burn".to_owned()
}

/// An image on which the file disagrees with the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disagreement {
    pub image: usize,
    pub batch: usize,
    /// The largest |difference| of its logits; `null` where it is not a number.
    pub difference: Option<f64>,
    pub burn: usize,
    pub onnx_runtime: usize,
}

/// Scores of k-fold cross-validation: `folds.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folds {
    pub folds: usize,
    /// Number of images, each held out once.
    pub count: usize,
    /// Share of right answers, `[0, 1]`.
    pub accuracy: MeanInterval,
    /// Negative log-likelihood, in nats.
    pub loss: MeanInterval,
    pub per_fold: Vec<FoldScore>,
}

/// Mean over all held-out images with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanInterval {
    pub mean: f64,
    pub interval: [f64; 2],
}

/// Scores of one fold's network on the images held out from it: accuracy as a share, loss in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldScore {
    /// Counted from 1.
    pub fold: usize,
    /// Number of images held out.
    pub count: usize,
    pub accuracy: f64,
    pub loss: f64,
}

/// Scores of several seeds on the same images: `seeds.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seeds {
    /// Scores of the single seeds; the first is the run's own.
    pub seeds: Vec<SeedScore>,
    /// Share of right answers, `[0, 1]`.
    pub accuracy: MeanRange,
    /// Mean negative log-likelihood, in nats.
    pub loss: MeanRange,
    pub split: Split,
    pub count: usize,
    /// Images whose answer depends on the seed; those with the least agreement first.
    pub unstable: Vec<UnstableImage>,
}

/// Scores of the network of one seed: accuracy as a share, loss in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedScore {
    pub seed: u64,
    pub accuracy: f64,
    pub loss: f64,
}

/// Mean and extremes over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanRange {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

/// An image for which not all seeds give the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnstableImage {
    /// Relative to the data root.
    pub path: String,
    /// Name of its class.
    pub label: String,
    /// Number of seeds by predicted class.
    pub answers: BTreeMap<String, usize>,
}

/// List of the images that `trainer inspect` drew: `inspect/inspect.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct InspectList {
    /// In the order in which they were drawn.
    pub images: Vec<InspectImage>,
}

/// An image that `trainer inspect` drew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectImage {
    /// What the image shows, for people.
    pub title: String,
    /// The file, relative to the folder, with `/`.
    pub file: String,
    /// What the image shows, for programs.
    pub kind: InspectKind,
    /// The node or value of the graph that the image is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Kind of image that `trainer inspect` draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InspectKind {
    /// The image as the network sees it.
    Input,
    /// Weights of the first convolution.
    Kernels,
    /// Output of a convolution.
    FeatureMap,
    /// Class activation map, or Eigen-CAM.
    ActivationMap,
    Occlusion,
}

impl Calibration {
    /// Fewer held-out images say too little: in simulations, a temperature fitted to 4 images of a network that needs
    /// none raised the loss by up to 1, and one fitted to 25 by 0.2 in the worst of 3000 draws.
    pub const MIN_IMAGES: usize = 25;

    /// One line for the log.
    pub fn line(&self) -> String {
        let Self {
            temperature,
            fitted_on,
            count,
            loss_before: before,
            loss_after: after,
            standard_error: error,
            ..
        } = self;
        if *count < Self::MIN_IMAGES {
            let least = Self::MIN_IMAGES;
            return format!(
                "calibration: the logits stay as they are; {count} held-out images are too few, {least} are the least"
            );
        }
        match self.applied {
            true => format!(
                "calibration: the logits are divided by {temperature:.3}, in the last layer; log loss {before:.4} \
                 before, {after:.4} after (standard error {error:.4}), {count} images ({fitted_on})"
            ),
            false => format!(
                "calibration: the logits stay as they are; log loss {before:.4}, and {after:.4} if divided by \
                 {temperature:.3} (standard error {error:.4}), {count} images ({fitted_on})"
            ),
        }
    }
}

impl Agreement {
    /// What was compared and what of it, for people.
    pub fn compared(&self) -> (&'static str, &'static str) {
        match self.pairs {
            true => ("pairs", "scores"),
            false => ("images", "logits"),
        }
    }

    /// One line for the log.
    pub fn line(&self) -> String {
        let batches: Vec<String> = self.batches.iter().map(usize::to_string).collect();
        let verdict = match self.disagreements.len() {
            0 if self.verified => "agree".to_string(),
            count => format!("disagree ({count} times)"),
        };
        let (examples, outputs) = self.compared();
        format!(
            "{} and ONNX Runtime {verdict} on {} {examples} at batch {}: {outputs} differ by at most {:.1e}, {:.1e} \
             allowed",
            self.reference,
            self.images,
            batches.join(", "),
            self.max_difference,
            self.tolerance,
        )
    }
}

impl Folds {
    /// The scores as text for a terminal.
    pub fn text(&self) -> String {
        let Self {
            folds,
            count,
            accuracy,
            loss,
            ..
        } = self;
        let [low, high] = accuracy.interval.map(|share| 100.0 * share);
        let [low_loss, high_loss] = loss.interval;
        format!(
            "{folds}-fold cross-validation, {count} training and validation images\n\
             accuracy   {:.2} %   95 % interval {low:.2} to {high:.2} %\n\
             log loss   {:.4}    95 % interval {low_loss:.4} to {high_loss:.4}",
            100.0 * accuracy.mean,
            loss.mean,
        )
    }
}

impl Seeds {
    /// The scores as text for a terminal.
    pub fn text(&self) -> String {
        let Self {
            accuracy,
            loss,
            split,
            count,
            ..
        } = self;
        format!(
            "{} seeds, {count} {split} images\n\
             accuracy   {:.2} %   from {:.2} to {:.2} %\n\
             log loss   {:.4}    from {:.4} to {:.4}\n\
             answer depends on the seed: {} of {count} images",
            self.seeds.len(),
            100.0 * accuracy.mean,
            100.0 * accuracy.min,
            100.0 * accuracy.max,
            loss.mean,
            loss.min,
            loss.max,
            self.unstable.len(),
        )
    }
}
