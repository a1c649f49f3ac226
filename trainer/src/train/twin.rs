//! Optimisers and schedules against PyTorch's, as `scripts/reference/twin.py` stored them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::optim::{AdamState, AdaptiveMomentumState, GradientsParams, Optimizer};
use burn::tensor::{Device, Tensor};
use fs_err as fs;
use serde::Deserialize;

use super::schedule::Position;
use super::*;
use crate::recipe::{OptimizerKind, SchedulerKind};
use safetensors::tensor::{Dtype, SafeTensors};

#[derive(Deserialize)]
struct Twin {
    lr: f64,
    states: Vec<StoredState>,
    schedules: Schedules,
    optimizers: Optimizers,
}

#[derive(Deserialize)]
struct StoredState {
    step: usize,
}

#[derive(Deserialize)]
struct Schedules {
    lr: f64,
    plateau: Plateau,
    cosine: Vec<Cosine>,
    step: Vec<Step>,
}

#[derive(Deserialize)]
struct Plateau {
    losses: Vec<f64>,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct Cosine {
    t_max: usize,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct Step {
    step_size: usize,
    gamma: f64,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct Optimizers {
    start: BTreeMap<String, Vec<f32>>,
    gradients: Vec<BTreeMap<String, Vec<f32>>>,
    runs: Vec<OptimizerRun>,
}

#[derive(Deserialize)]
struct OptimizerRun {
    optimizer: OptimizerKind,
    lr: f64,
    #[serde(default)]
    weight_decay: f64,
    #[serde(default)]
    momentum: f64,
    after: Vec<BTreeMap<String, Vec<f32>>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference")
}

fn twin() -> Twin {
    let text = fs::read_to_string(folder().join("twin.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &Device::default())
}

fn assert_within(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let apart = (found - expected).abs();
        assert!(apart <= tolerance, "{what}: {found} is not {expected}");
    }
}

#[test]
fn adam_fed_pytorchs_gradients_gives_its_new_weights_to_1e_6() {
    let twin = twin();
    let adam = options(OptimizerKind::Adam, 0.0, 0.0).adam();
    for state in &twin.states {
        let path = folder().join(format!("twin_step{}.safetensors", state.step));
        let bytes = fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let stored: BTreeMap<&str, Vec<f32>> = file
            .iter()
            .filter(|(_, view)| view.dtype() == Dtype::F32)
            .map(|(name, view)| {
                let words = view.data().as_chunks::<4>().0.iter();
                (name, words.map(|word| f32::from_le_bytes(*word)).collect())
            })
            .collect();
        let get = |kind: &str, name: &str| {
            stored
                .get(format!("{kind}.{name}").as_str())
                .map(|values| tensor(values))
        };
        let names: Vec<_> = stored
            .keys()
            .filter_map(|key| key.strip_prefix("grad."))
            .collect();
        assert!(names.len() > 20);
        for name in names {
            let moments = get("exp_avg", name).zip(get("exp_avg_sq", name));
            assert_eq!(moments.is_some(), state.step > 0);
            let moments = moments.map(|(first, second)| {
                AdamState::new(AdaptiveMomentumState::new(state.step, first, second))
            });
            let (before, gradient) = (get("before", name), get("grad", name));
            let (after, _) = adam.step(twin.lr, before.unwrap(), gradient.unwrap(), moments);
            let found = after.into_data().try_to_vec::<f32>().unwrap();
            let what = format!("{name} after step {}", state.step);
            assert_within(
                &found,
                &stored[format!("after.{name}").as_str()],
                1e-6,
                &what,
            );
        }
    }
}

#[test]
fn every_optimiser_takes_pytorchs_steps() {
    let Optimizers {
        start,
        gradients,
        runs,
    } = twin().optimizers;
    assert_eq!(runs.len(), 3);
    for run in runs {
        let options = options(run.optimizer, run.weight_decay, run.momentum);
        for (name, start) in &start {
            let start = Tensor::from_inner(tensor(start));
            let mut weights = Param::<Tensor<1>>::from_tensor(start);
            let mut optimizer = options.init(None);
            for (gradient, after) in gradients.iter().zip(&run.after) {
                let mut all = GradientsParams::new();
                all.register(weights.id, tensor(&gradient[name]));
                weights = optimizer.step(run.lr, weights, all);
                let found = weights
                    .valid()
                    .val()
                    .into_data()
                    .try_to_vec::<f32>()
                    .unwrap();
                assert_within(
                    &found,
                    &after[name],
                    1e-6,
                    &format!("{:?} {name}", run.optimizer),
                );
            }
        }
    }
}

fn options(kind: OptimizerKind, weight_decay: f64, momentum: f64) -> OptimizerOptions {
    OptimizerOptions {
        kind,
        weight_decay,
        momentum,
    }
}

fn assert_rates(kind: SchedulerKind, lr: f64, epochs: usize, losses: &[f64], expected: &[f64]) {
    let mut scheduler = Scheduler::new(kind, lr);
    for (epoch, expected) in expected.iter().enumerate() {
        let found = scheduler.lr(&Position {
            epochs,
            steps_per_epoch: 1,
            step: 0,
            warmup: 0.0,
        });
        let near = (found - expected).abs() <= 1e-12 * expected.abs() + 1e-18;
        assert!(near, "{kind:?}, epoch {epoch}: {found} is not {expected}");
        scheduler.epoch_done(losses.get(epoch).copied().unwrap_or(1.0));
    }
}

#[test]
fn plateau_gives_pytorchs_rates() {
    let Schedules { lr, plateau, .. } = twin().schedules;
    assert_eq!(plateau.rates.len(), plateau.losses.len() + 1);
    assert!(
        plateau.rates.last().unwrap() < &1e-7,
        "the series reaches the smallest rate"
    );
    let epochs = plateau.losses.len();
    assert_rates(
        SchedulerKind::Plateau,
        lr,
        epochs,
        &plateau.losses,
        &plateau.rates,
    );
}

#[test]
fn cosine_and_step_give_pytorchs_rates() {
    let Schedules {
        lr, cosine, step, ..
    } = twin().schedules;
    assert!(cosine.len() >= 3);
    for Cosine { t_max, rates } in cosine {
        assert_rates(SchedulerKind::Cosine, lr, t_max, &[], &rates);
    }
    let ours: Vec<_> = step
        .iter()
        .filter(|s| s.step_size == 7 && s.gamma == 0.1)
        .collect();
    assert_eq!(ours.len(), 1);
    assert_rates(SchedulerKind::Step, lr, 12, &[], &ours[0].rates);
}
