//! Latency breakdown from a file to an answer: the stages before and after the session, measured in one
//! thread on real files. Runs no model.

use std::sync::Arc;

use data::card::OutputKind;
use data::preprocess::PreprocessBuffers;
use data::{Limits, Sample, decode};
use deploy::Classifier;
use deploy::engine::FakeEngine;
use serde::{Deserialize, Serialize};

use crate::clock::timed;
use crate::plan::{BenchModel, TestSet};
use crate::stats::Stats;

/// Milliseconds per image; null where a stage is not there or was not measured.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct StageTimes {
    /// File to RGB, one thread.
    pub decode: Option<f64>,
    /// RGB to `[C, H, W]`, one thread.
    pub preprocess: Option<f64>,
    pub host_to_device: Option<f64>,
    /// In the model, all its threads.
    pub compute: Option<f64>,
    pub device_to_host: Option<f64>,
    /// Logits to the prediction.
    pub post: Option<f64>,
}

impl StageTimes {
    /// The stages in the order of reports.
    pub fn values(&self) -> [Option<f64>; 6] {
        [
            self.decode,
            self.preprocess,
            self.host_to_device,
            self.compute,
            self.device_to_host,
            self.post,
        ]
    }

    /// These stages with those of the session.
    pub fn with_session(self, stats: &Stats) -> Self {
        Self {
            host_to_device: stats.to_device,
            compute: Some(stats.compute),
            device_to_host: stats.from_device,
            ..self
        }
    }
}

/// Files that are read, evenly spread over the test set.
const FILES: usize = 64;
/// Most prepared images that sessions get as input.
const MAX_INPUTS: usize = 32;
/// Predictions that are timed; one takes less than a microsecond with few classes.
const DECISIONS: usize = 200;

/// Prepared images, and the time for each stage.
#[derive(Clone, Debug)]
pub struct PreparedImages {
    /// `[n, C, H, W]`.
    pub numbers: Arc<[f32]>,
    pub stages: StageTimes,
}

/// Reads files of the model's test set twice: the first time warms caches. `None` where there is no
/// readable one.
///
/// # Errors
/// Classes do not fit the preprocessing's or the model's outputs.
pub fn prepare(model: &BenchModel) -> deploy::Result<Option<PreparedImages>> {
    let (samples, preprocess) = match (&model.data, &model.pairs, &model.preprocess) {
        (Some(data), ..) => (data.samples(), &data.preprocess),
        (None, Some(pairs), Some(preprocess)) => (pairs.samples(), preprocess),
        (None, ..) => return Ok(None),
    };
    let step = samples.len().div_ceil(FILES).max(1);
    let chosen: Vec<&Sample> = samples.iter().step_by(step).collect();
    let mut buffers = PreprocessBuffers::new(preprocess);
    let len = preprocess.output_len();
    let (mut prepared, mut out) = (Vec::new(), vec![0.0; len]);
    let (mut decoding, mut preparing, mut count) = (0.0, 0.0, 0_u32);
    // The first pass fills the page cache and the code caches, and keeps the prepared images.
    for recorded in [false, true] {
        for sample in &chosen {
            let open = || decode::open_as(&sample.path, preprocess.color(), &Limits::default());
            let (image, seconds) = timed(open);
            // Unreadable files are reported where the model is scored.
            let Ok(image) = image else { continue };
            let (applied, preparation) = timed(|| buffers.apply_into(&image, &mut out));
            applied?;
            if recorded {
                decoding += seconds;
                preparing += preparation;
                count += 1;
            } else if prepared.len() < MAX_INPUTS * len {
                prepared.extend_from_slice(&out);
            }
        }
    }
    if count == 0 {
        return Ok(None);
    }
    // What a verifier takes for one image is a pair.
    let images = if model.pairs.is_some() { 2.0 } else { 1.0 };
    let ms = |seconds: f64| Some(1e3 * images * seconds / f64::from(count));
    Ok(Some(PreparedImages {
        numbers: prepared.into(),
        stages: StageTimes {
            decode: ms(decoding),
            preprocess: ms(preparing),
            // Of a verifier, the comparison is part of the model.
            post: model.data.as_ref().map(post).transpose()?,
            ..StageTimes::default()
        },
    }))
}

/// Milliseconds from the logits of one image to its prediction.
fn post(data: &TestSet) -> deploy::Result<f64> {
    let (classes, preprocess) = (data.classes.clone(), data.preprocess.clone());
    let engine = Box::new(FakeEngine::new(classes.len(), std::time::Duration::ZERO));
    let kind = OutputKind::Logits;
    let classifier = Classifier::from_engines(vec![engine], classes, preprocess, kind)?;
    let logits: Vec<f32> = (0..data.classes.len()).map(|k| (k % 7) as f32).collect();
    let (done, seconds) = timed(|| -> deploy::Result<()> {
        for _ in 0..DECISIONS {
            std::hint::black_box(classifier.decide(std::hint::black_box(&logits))?);
        }
        Ok(())
    });
    done?;
    Ok(1e3 * seconds / DECISIONS as f64)
}
