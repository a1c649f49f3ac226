//! The one evaluation at the end: on the test images, or on the validation images with `--no-test`
//! and where there are none.

use std::sync::atomic::AtomicBool;

use data::card::Provenance;
use data::{Dataset, Scores, Split};
use models::Network;

use super::stock::Stock;
use crate::answers::{Answer, Answers};
use crate::error::{Error, Result};
use crate::export::{self, Exported};
use crate::recipe::{DeviceKind, Recipe};
use crate::run_dir::RunDir;
use crate::stage::Machine;

/// What is evaluated, and on what.
pub(super) struct Closing<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) recipe: &'a Recipe,
    pub(super) dataset: &'a Dataset,
    pub(super) network: &'a Network,
}

/// Scores, and the answers that they count.
pub(super) struct Scored {
    pub(super) scores: Scores,
    pub(super) answers: Answers,
}

/// Scores by the features that the run trained on.
pub(super) enum Kept {
    /// It trained on pictures.
    Nothing,
    /// Ctrl-C came first.
    Stopped,
    /// They count once the file is verified.
    Scores(Scored),
    /// To be said when the file is written.
    Failed(Error),
}

impl Closing<'_> {
    /// Which images.
    pub(super) fn split(&self) -> Split {
        if self.recipe.no_test || self.dataset.test.is_empty() {
            Split::Val
        } else {
            Split::Test
        }
    }

    /// Scores by kept features, if that is what the run trained on.
    pub(super) fn by_features(&self, stock: &mut Stock, stop: &AtomicBool) -> Kept {
        let Stock::Features(features) = stock else {
            return Kept::Nothing;
        };
        let (split, printer) = (self.split(), self.machine.printer);
        match features.score(self.network, self.dataset, split, stop, printer) {
            Ok(Some(scores)) => Kept::Scores(scores),
            Ok(None) => Kept::Stopped,
            Err(error) => Kept::Failed(error),
        }
    }

    /// Puts kept scores on the card; others follow when the file has been scored.
    pub(super) fn note(&self, kept: &Kept, provenance: &mut Provenance) {
        if let Kept::Scores(Scored { scores, .. }) = kept {
            export::note(provenance, self.split(), scores.accuracy, scores.count);
        }
    }

    /// The scores that count, and who computed them; the answers behind them are written to the run.
    pub(super) fn scores(
        &self,
        run: &RunDir,
        stock: &Stock,
        kept: Kept,
        exported: &mut Exported,
    ) -> Result<(&'static str, Scores)> {
        let (by, Scored { scores, answers }) = self.scored(stock, kept, exported)?;
        answers.write(&run.predictions())?;
        Ok((by, scores))
    }

    /// `kept` ones, which are on the file's card already, when the file is verified and agrees with
    /// the features; otherwise ONNX Runtime runs the file.
    fn scored(
        &self,
        stock: &Stock,
        kept: Kept,
        exported: &mut Exported,
    ) -> Result<(&'static str, Scored)> {
        let kept = match kept {
            Kept::Scores(scores) => Some(scores),
            Kept::Failed(error) => return Err(error),
            Kept::Nothing | Kept::Stopped => None,
        };
        if let (Stock::Features(features), Some(scores)) = (stock, kept)
            && exported.agreement.verified
        {
            if features.hold(self.network, &exported.logits)? {
                return Ok((by(self.recipe.device), scores));
            }
            self.machine.printer.warn(
                "the features that were trained on are not this backbone's: remove `features` in \
                 the cache folder (`deploy cache dir`) and train again",
            );
        }
        let scored = self.by_file(exported)?;
        exported.add_score(self.split(), &scored.scores)?;
        Ok(("ONNX Runtime", scored))
    }

    /// The exported file through ONNX Runtime.
    fn by_file(&self, exported: &Exported) -> Result<Scored> {
        let Machine {
            printer, threads, ..
        } = self.machine;
        let samples = self.dataset.samples(self.split());
        let bar = printer.image_bar("evaluating", samples.len() as u64);
        let classifier = deploy::Classifier::builder(&exported.path)
            .parallel(*threads)
            .open()?;
        let options = deploy::eval::EvalOptions {
            batch: classifier.good_batch(),
            threads: Some(*threads),
            strict: self.recipe.strict_images,
            progress: &|done| bar.set_position(done as u64),
        };
        let classes = &self.dataset.classes;
        let evaluation = deploy::eval::evaluate(&classifier, samples, classes, &options);
        bar.finish_and_clear();
        let evaluation = evaluation?;
        for file in &evaluation.unreadable {
            let path = file.path.display();
            printer.warn(format!("left out `{path}`: {}", file.reason));
        }
        let classes = classifier.classes().to_vec();
        let rows = evaluation.logits.chunks_exact(classes.len().max(1));
        let answer = |(prediction, logits): (&data::Prediction, &[f32])| {
            let label = classes.iter().position(|class| *class == prediction.label);
            Answer::new(&prediction.path, label.unwrap_or_default(), logits)
        };
        let rows = evaluation
            .predictions
            .iter()
            .zip(rows)
            .map(answer)
            .collect();
        let (split, scores) = (self.split(), evaluation.scores);
        let answers = Answers {
            split,
            classes,
            rows,
        };
        Ok(Scored { scores, answers })
    }
}

fn by(device: DeviceKind) -> &'static str {
    match device {
        DeviceKind::Cpu => "features by ONNX Runtime",
        DeviceKind::Cuda | DeviceKind::Wgpu => "features by Burn",
    }
}
