//! Temperature scaling: one number that makes a network's probabilities calibrated.
//!
//! Temperature scaling (Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2)
//! divides all logits by one number T > 0: no answer changes, only how sure it is. The division goes
//! into the classification layer, for (W / T) x + b / T = (W x + b) / T: whatever computes the layer
//! computes calibrated logits and knows nothing of T.

mod held_out;

use std::fmt::Display;

use data::card::Provenance;
use fs_err as fs;
use models::Network;
use report::run_files::Calibration;

pub use held_out::calibrate;

use crate::error::{Error, Result};
use crate::kfold::HeldOut;
use crate::output_files::{remove_if_any, save_json};
use crate::run_dir::RunDir;

/// The bounds of ln T that are searched: T from 1/100 to 100.
const LN_BOUND: f64 = 4.605_170_185_988_092;
/// Halvings of that interval: ln T is known to 1e-11.
const HALVINGS: u32 = 40;
/// Standard errors by which the loss must fall: one-sided, 95 %. The gain is measured on the images that the
/// temperature was fitted to, so that some gain is always there.
const GAIN_ERRORS: f64 = 1.645;
/// The card's option with the temperature.
const OPTION: &str = "temperature";

/// Fits a temperature to the held-out logits of the network of `epoch`. It is applied where these are
/// [`Calibration::MIN_IMAGES`] or more, and the mean loss falls by more than chance would explain.
pub fn fit_temperature(
    held_out: &HeldOut,
    fitted_on: impl Into<String>,
    epoch: usize,
) -> Calibration {
    let temperature = best_temperature(held_out);
    let losses = |temperature: f64| -> Vec<f64> {
        let rows = held_out.logits.iter().zip(&held_out.labels);
        rows.map(|(row, label)| loss(row, *label, temperature))
            .collect()
    };
    let (before, after) = (losses(1.0), losses(temperature));
    let gains: Vec<f64> = before.iter().zip(&after).map(|(a, b)| a - b).collect();
    let (gain, standard_error) = mean_and_error(&gains);
    Calibration {
        temperature,
        applied: gains.len() >= Calibration::MIN_IMAGES && gain > GAIN_ERRORS * standard_error,
        fitted_on: fitted_on.into(),
        count: gains.len(),
        loss_before: mean_and_error(&before).0,
        loss_after: mean_and_error(&after).0,
        standard_error,
        epoch,
    }
}

/// Reads `calibration.json`; none where the run was not calibrated.
pub fn open_calibration(run: &RunDir) -> Result<Option<Calibration>> {
    let path = run.calibration();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let refuse = |reason: &dyn Display| {
        Error::refused_with_hint(
            format!("`{}` is not a usable calibration: {reason}", path.display()),
            "remove the file to use the network as it was trained, or let `trainer fit --resume RUN` write \
             it again",
        )
    };
    let calibration: Calibration = serde_json::from_str(&text).map_err(|error| refuse(&error))?;
    if !(calibration.temperature.is_finite() && calibration.temperature > 0.0) {
        return Err(refuse(&"the temperature is not above 0"));
    }
    Ok(Some(calibration))
}

/// Writes `calibration.json`; without a calibration, removes what an earlier end of the run left.
pub fn save_calibration(calibration: Option<&Calibration>, run: &RunDir) -> Result<()> {
    match calibration {
        Some(calibration) => save_json(&run.calibration(), calibration),
        None => remove_if_any(&run.calibration()),
    }
}

/// The network with calibrated logits, where there is a calibration and it gains enough.
#[must_use]
pub fn apply(calibration: Option<&Calibration>, network: Network) -> Network {
    match calibration.filter(|calibration| calibration.applied) {
        Some(calibration) => network.with_temperature(calibration.temperature),
        None => network,
    }
}

/// Puts an applied temperature on the card.
pub fn add_to_card(calibration: &Calibration, provenance: &mut Provenance) {
    if calibration.applied {
        let options = &mut provenance.options;
        options.insert(OPTION.into(), calibration.temperature.into());
    }
}

/// The temperature that a card says its logits were divided by.
pub fn card_temperature(provenance: &Provenance) -> Option<f64> {
    provenance.options.get(OPTION)?.as_f64()
}

/// The temperature of the least mean loss against smoothed labels.
///
/// Without smoothing the loss falls without end as T goes to 0 where every held-out answer is right, and one
/// wrong answer later costs all the confidence gained. Platt (1999, Probabilistic Outputs for Support Vector
/// Machines, section 2.2) therefore assumes one more image of either kind: a label counts 1 - e, and the other
/// classes share e = 1 / (N + 2).
///
/// In 1 / T the loss is convex: its slope, the mean of E_p\[z\] - z_label, changes sign once.
fn best_temperature(held_out: &HeldOut) -> f64 {
    let smoothing = 1.0 / (held_out.labels.len() as f64 + 2.0);
    let is_too_soft = |ln_temperature: f64| {
        let inverse = (-ln_temperature).exp();
        let rows = held_out.logits.iter().zip(&held_out.labels);
        let slopes = rows.map(|(row, label)| slope(row, *label, inverse, smoothing));
        slopes.sum::<f64>() < 0.0
    };
    let (mut low, mut high) = (-LN_BOUND, LN_BOUND);
    // Bisection: the slope falls with T, so its sign tells on which side the minimum is.
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if is_too_soft(middle) {
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
        // Relative to the highest logit, so that `exp` cannot overflow.
        let below = f64::from(*logit) - highest;
        let weight = (inverse * below).exp();
        weights += weight;
        weighted += weight * below;
        all += below;
    }
    let own = row
        .get(label)
        .map_or(f64::NAN, |logit| f64::from(*logit) - highest);
    // The other classes share the smoothing evenly.
    let others = (all - own) / (row.len() as f64 - 1.0).max(1.0);
    weighted / weights - (1.0 - smoothing) * own - smoothing * others
}

/// Negative log-likelihood of a label when the logits are divided by `temperature`, in nats.
fn loss(row: &[f32], label: u32, temperature: f64) -> f64 {
    let highest = highest(row);
    let scaled = |logit: f32| (f64::from(logit) - highest) / temperature;
    let sum: f64 = row.iter().map(|logit| scaled(*logit).exp()).sum();
    // Log-sum-exp, shifted by the highest logit so that `exp` cannot overflow.
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
    // n - 1, since the mean is of the same values.
    (mean, (squares / (count - 1.0) / count).sqrt())
}

#[cfg(test)]
mod tests;
