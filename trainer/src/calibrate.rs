//! Temperature scaling: one number that makes a network's probabilities calibrated.
//!
//! Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2)
//! divides all logits by one number T > 0: no answer changes, only how sure it is. The division goes
//! into the classification layer, for (W / T) x + b / T = (W x + b) / T: whatever computes the layer
//! computes calibrated logits and knows nothing of T.

mod held_out;

use std::path::Path;

use console::Printer;
use data::card::Provenance;
use fs_err as fs;
use models::Network;
use serde::{Deserialize, Serialize};

pub use held_out::calibrate;

use crate::error::{Error, Result};
use crate::kfold::HeldOut;
use crate::run_dir::RunDir;
use crate::train::State;

/// The bounds of ln T that are searched: T from 1/100 to 100.
const LN_BOUND: f64 = 4.605_170_185_988_092;
/// Halvings of that interval: ln T is known to 1e-11.
const HALVINGS: u32 = 40;
/// The card's option with the temperature.
const OPTION: &str = "temperature";

/// A temperature and what it gains; the content of `calibration.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The temperature that fits the held-out logits.
    pub temperature: f64,
    /// Whether the logits are divided by it; otherwise they stay as they are.
    pub applied: bool,
    /// What it was fitted on.
    pub fitted_on: String,
    /// Images.
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

impl Calibration {
    /// Fits a temperature to the logits of the network of `epoch`, and takes it where the mean loss
    /// falls by more than one standard error.
    pub fn fit(held_out: &HeldOut, fitted_on: impl Into<String>, epoch: usize) -> Self {
        let temperature = temperature(held_out);
        let losses = |temperature: f64| -> Vec<f64> {
            let rows = held_out.logits.iter().zip(&held_out.labels);
            rows.map(|(row, label)| loss(row, *label, temperature))
                .collect()
        };
        let (before, after) = (losses(1.0), losses(temperature));
        let gains: Vec<f64> = before.iter().zip(&after).map(|(a, b)| a - b).collect();
        let (gain, standard_error) = mean_and_error(&gains);
        Self {
            temperature,
            applied: gain > standard_error,
            fitted_on: fitted_on.into(),
            count: gains.len(),
            loss_before: mean_and_error(&before).0,
            loss_after: mean_and_error(&after).0,
            standard_error,
            epoch,
        }
    }

    /// What a run's folder holds; none where the run was not calibrated.
    pub fn open(run: &RunDir) -> Result<Option<Self>> {
        let path = run.calibration();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let parsed: Self = serde_json::from_str(&text).map_err(|error| broken(&path, &error))?;
        if !(parsed.temperature.is_finite() && parsed.temperature > 0.0) {
            return Err(broken(&path, &"the temperature is not above 0"));
        }
        Ok(Some(parsed))
    }

    /// Writes `calibration.json`; without a calibration, removes what an earlier end of the run left.
    pub fn save(calibration: Option<&Self>, run: &RunDir) -> Result<()> {
        let path = run.calibration();
        match calibration {
            Some(calibration) => crate::summary::save(&path, calibration),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            },
        }
    }

    /// The network with calibrated logits, if there is a calibration.
    #[must_use]
    pub fn apply_if_any(calibration: Option<&Self>, network: Network) -> Network {
        match calibration {
            Some(calibration) => calibration.apply(network),
            None => network,
        }
    }

    /// The network with calibrated logits.
    #[must_use]
    pub fn apply(&self, network: Network) -> Network {
        if self.applied {
            network.with_temperature(self.temperature)
        } else {
            network
        }
    }

    /// Puts the temperature on the card.
    pub fn note(&self, provenance: &mut Provenance) {
        if self.applied {
            let options = &mut provenance.options;
            options.insert(OPTION.into(), self.temperature.into());
        }
    }

    /// One line for the log.
    pub fn line(&self) -> String {
        let (before, after) = (self.loss_before, self.loss_after);
        let verdict = if self.applied {
            format!(
                "temperature {:.3}, folded into the last layer",
                self.temperature
            )
        } else {
            format!("no temperature ({:.3} gains too little)", self.temperature)
        };
        format!(
            "calibration: {verdict}; log loss {before:.4} before, {after:.4} after, standard error \
             {:.4}, {} images ({})",
            self.standard_error, self.count, self.fitted_on
        )
    }
}

/// The temperature that a card says its logits were divided by.
pub fn on_card(provenance: &Provenance) -> Option<f64> {
    provenance.options.get(OPTION)?.as_f64()
}

/// The network of a checkpoint as `fit` exported it, and its calibration; as it is when the
/// checkpoint is of another epoch than the one that was calibrated.
pub fn restored(
    run: &RunDir,
    network: Network,
    state: &State,
    printer: &Printer,
) -> Result<(Network, Option<Calibration>)> {
    let Some(calibration) = Calibration::open(run)? else {
        return Ok((network, None));
    };
    // In the middle of an epoch the weights are no epoch's.
    let epoch = (state.train.step == 0).then_some(state.epoch - 1);
    if epoch != Some(calibration.epoch) {
        if calibration.applied {
            printer.log(format!(
                "not calibrated: the temperature is that of epoch {}",
                calibration.epoch
            ));
        }
        return Ok((network, None));
    }
    if calibration.applied {
        printer.log(format!("temperature {:.3}", calibration.temperature));
    }
    Ok((calibration.apply(network), Some(calibration)))
}

fn broken(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Calibration {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

/// The temperature of the least mean loss against smoothed labels.
///
/// Why smoothed? Where every held-out answer is right, the loss falls without end as T goes to 0,
/// and one wrong answer later costs whatever certainty was bought. As Platt (1999, Probabilistic
/// Outputs for Support Vector Machines, section 2.2) has it, one image more of either kind is assumed:
/// a label counts 1 - e and the others share e = 1 / (N + 2).
///
/// In 1 / T the loss is convex: its slope, the mean of E_p\[z\] - z_label, changes sign once.
fn temperature(held_out: &HeldOut) -> f64 {
    let smoothing = 1.0 / (held_out.labels.len() as f64 + 2.0);
    let too_soft = |ln_temperature: f64| {
        let inverse = (-ln_temperature).exp();
        let rows = held_out.logits.iter().zip(&held_out.labels);
        let slopes = rows.map(|(row, label)| slope(row, *label, inverse, smoothing));
        slopes.sum::<f64>() < 0.0
    };
    let (mut low, mut high) = (-LN_BOUND, LN_BOUND);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if too_soft(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    f64::midpoint(low, high).exp()
}

/// The derivative of one image's smoothed loss by 1 / T.
fn slope(row: &[f32], label: u32, inverse: f64, smoothing: f64) -> f64 {
    let (highest, label) = (highest(row), label as usize);
    let (mut weights, mut weighted, mut all) = (0.0, 0.0, 0.0);
    for logit in row {
        let below = f64::from(*logit) - highest;
        let weight = (inverse * below).exp();
        weights += weight;
        weighted += weight * below;
        all += below;
    }
    let own = row
        .get(label)
        .map_or(f64::NAN, |logit| f64::from(*logit) - highest);
    let others = (all - own) / (row.len() as f64 - 1.0).max(1.0);
    weighted / weights - (1.0 - smoothing) * own - smoothing * others
}

/// Negative log-likelihood of a label when the logits are divided by `temperature`, in nats.
fn loss(row: &[f32], label: u32, temperature: f64) -> f64 {
    let highest = highest(row);
    let scaled = |logit: f32| (f64::from(logit) - highest) / temperature;
    let sum: f64 = row.iter().map(|logit| scaled(*logit).exp()).sum();
    sum.ln() - row.get(label as usize).map_or(f64::NAN, |&own| scaled(own))
}

fn highest(row: &[f32]) -> f64 {
    row.iter().copied().fold(f32::NEG_INFINITY, f32::max).into()
}

/// The mean, and its standard error; the error of fewer than two values is not known and infinite.
pub(crate) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if values.len() < 2 {
        return (mean, f64::INFINITY);
    }
    (mean, (squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests;
