//! Trial of a provider: its libraries, then a tiny model with a known result.

use std::time::Instant;

use deploy::probe::{self, SearchPaths};
use deploy::runtime::{self, RuntimeLibrary, Search};
use deploy::{Provider, Session, SessionOptions};
use onnx::proto::DataType;
use onnx::{Attr, Dim, Document, GraphBuilder, ModelInfo, Tensor};

use super::{Inference, PluginDevice, Problem, RuntimeUsed, Trial};

/// Side of the tiny model's images.
const SIDE: usize = 8;
/// Channels after its convolution.
const CHANNELS: usize = 4;
/// Images in a batch.
const BATCH: usize = 2;
/// Runs that are timed after the first.
const RUNS: usize = 11;
/// Largest difference of a correct result: single precision stays a hundred times below, TF32 does not.
const TOLERANCE: f32 = 1e-4;

pub(super) fn run(provider: Provider, search: &Search) -> Trial {
    let mut trial = Trial {
        provider: provider.to_string(),
        ..Trial::default()
    };
    let found = match runtime::find(search) {
        Ok(found) => found,
        Err(error) => {
            trial.readiness = probe::readiness(provider, &SearchPaths::for_runtime(None));
            trial.error = Some(problem(&deploy::Error::from(error).into()));
            return trial;
        }
    };
    trial.readiness = probe::readiness(provider, &SearchPaths::for_runtime(Some(&found.path)));
    trial.runtime = Some(RuntimeUsed {
        path: found.path.clone(),
        version: found.version.clone(),
        source: found.source.to_string(),
    });
    let plugin = trial.readiness.plugin.as_deref();
    let verified = runtime::verify(&found)
        .and_then(|()| plugin.map_or(Ok(()), |path| runtime::verify_plugin(provider, path)));
    if let Err(error) = verified {
        trial.error = Some(problem(&deploy::Error::from(error).into()));
    } else if trial.readiness.missing.is_empty() {
        match infer(provider, &found, &mut trial.devices) {
            Ok(inference) if inference.max_difference <= TOLERANCE => {
                trial.ready = true;
                trial.inference = Some(inference);
            }
            Ok(inference) => {
                let what = format!("its result is off by {}", inference.max_difference);
                trial.error = Some(Problem { what, fix: None });
                trial.inference = Some(inference);
            }
            Err(error) => trial.error = Some(problem(&error)),
        }
    }
    trial
}

fn problem(error: &anyhow::Error) -> Problem {
    let hint = error
        .downcast_ref::<deploy::Error>()
        .and_then(deploy::Error::hint);
    Problem {
        what: format!("{error:#}"),
        fix: hint,
    }
}

/// Runs the tiny model and compares its result with plain loops.
fn infer(
    provider: Provider,
    found: &RuntimeLibrary,
    devices: &mut Vec<PluginDevice>,
) -> anyhow::Result<Inference> {
    runtime::load(found)?;
    *devices = deploy::plugin::devices(provider)?
        .into_iter()
        .map(|device| PluginDevice {
            name: device.name,
            description: device.description,
            precisions: device.precisions.iter().map(ToString::to_string).collect(),
        })
        .collect();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tiny.onnx");
    model()?.save(&path)?;
    let options = SessionOptions {
        provider,
        threads: Some(1),
        // Engines are removed with the folder.
        engines: Some(folder.path().join("engines")),
        ..SessionOptions::default()
    };
    let start = Instant::now();
    let mut session = Session::open(&path, &options)?;
    let open_ms = milliseconds(start);
    let images = images();
    let start = Instant::now();
    let answer = session.run(&images, BATCH)?;
    let first_ms = milliseconds(start);
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        session.run(&images, BATCH)?;
        times.push(milliseconds(start));
    }
    times.sort_by(f64::total_cmp);
    let differences = answer.iter().zip(expected(&images));
    Ok(Inference {
        open_ms,
        first_ms,
        run_ms: times[RUNS / 2],
        nodes_by_provider: session.placement().counts(),
        max_difference: differences.fold(0.0, |max, (a, b)| max.max((a - b).abs())),
    })
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Numbers in `[-0.5, 0.5]` that look random.
fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((7 * i * i + 37 * i + 101 * seed) % 97) as f32 / 96.0 - 0.5)
        .collect()
}

fn images() -> Vec<f32> {
    numbers(1, BATCH * 3 * SIDE * SIDE) // [N, 3, H, W]
}

fn weights() -> Vec<f32> {
    numbers(2, CHANNELS * 3 * 9) // [C, 3, 3, 3]
}

fn head() -> Vec<f32> {
    numbers(3, 2 * CHANNELS) // [K, C]
}

/// Convolution 3 x 3, ReLU, global average, two scores.
fn model() -> anyhow::Result<Document> {
    let mut graph = GraphBuilder::new("doctor");
    let side = Dim::from(SIDE);
    let dims = ["batch".into(), Dim::Fixed(3), side.clone(), side];
    let x = graph.input("input", DataType::Float, &dims);
    let weight = graph.initializer(
        "conv.weight",
        &Tensor::f32(&[CHANNELS, 3, 3, 3], weights())?,
    );
    let pads = vec![("pads", Attr::Ints(vec![1; 4]))];
    let x = graph.node("Conv", "conv", &[&x, &weight], pads);
    let x = graph.node("Relu", "relu", &[&x], vec![]);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let weight = graph.initializer("fc.weight", &Tensor::f32(&[2, CHANNELS], head())?);
    let bias = graph.initializer("fc.bias", &Tensor::f32(&[2], vec![0.0; 2])?);
    let y = graph.gemm("fc", &x, &weight, &bias);
    let dims = ["batch".into(), Dim::Fixed(2)];
    graph.output(&y, "logits", DataType::Float, &dims);
    Ok(graph.finish(&ModelInfo::default())?)
}

/// The same in plain loops: `[N, 2]`.
fn expected(images: &[f32]) -> Vec<f32> {
    let (weights, head) = (weights(), head());
    images
        .chunks(3 * SIDE * SIDE)
        .flat_map(|image| {
            let means: Vec<f32> = weights.chunks(27).map(|w| mean(image, w)).collect(); // [C]
            let rows = head.chunks(CHANNELS);
            rows.map(|row| row.iter().zip(&means).map(|(a, b)| a * b).sum())
                .collect::<Vec<f32>>()
        })
        .collect()
}

/// Mean over all pixels of one output channel after the ReLU; the border is padded with zeros.
fn mean(image: &[f32], weight: &[f32]) -> f32 {
    let pixel = |c: usize, y: usize, x: usize| {
        // `y` and `x` count from the padding.
        let inside = (1..=SIDE).contains(&y) && (1..=SIDE).contains(&x);
        inside.then(|| image[(c * SIDE + y - 1) * SIDE + x - 1])
    };
    let mut sum = 0.0;
    for y in 0..SIDE {
        for x in 0..SIDE {
            let taps = (0..27).map(|i| {
                let (c, dy, dx) = (i / 9, i % 9 / 3, i % 3);
                weight[i] * pixel(c, y + dy, x + dx).unwrap_or(0.0)
            });
            sum += taps.sum::<f32>().max(0.0);
        }
    }
    sum / (SIDE * SIDE) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_answer_depends_on_every_image() {
        let images = images();
        let answer = expected(&images);
        assert_eq!(answer.len(), 2 * BATCH);
        assert!(answer.iter().all(|score| score.abs() > TOLERANCE));
        assert_ne!(answer[..2], answer[2..]);
        // One pixel of weight one: the mean of the positive pixels.
        let mut weight = vec![0.0; 27];
        weight[4] = 1.0;
        let positive = images[..SIDE * SIDE]
            .iter()
            .map(|v| v.max(0.0))
            .sum::<f32>();
        let difference = mean(&images[..3 * SIDE * SIDE], &weight) - positive / 64.0;
        assert!(difference.abs() < 1e-6, "{difference}");
    }
}
