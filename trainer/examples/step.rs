//! Times training steps of a network on random images: forward, loss, gradients, Adam.
//!
//!     cargo run --release --workspace --example step -- custom --batch 32 --steps 20
//!     cargo run --release --workspace --example step -- resnet18.onnx --batch 16 --steps 5

#![expect(clippy::print_stdout, reason = "an example prints")]

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Distribution, Int, Tensor};
use kernels::{Precision, with_precision};
use models::{Backbone, BackboneFile, CustomConfig, FeatureExtractor, Network, Spec};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use trainer::recipe::OptimizerKind;
use trainer::train::OptimizerOptions;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str =
    "usage: step custom|FILE.onnx [--batch N] [--steps N] [--size N] [--inference | --bf16]";

struct Options {
    network: String,
    batch: usize,
    steps: usize,
    size: usize,
    inference: bool,
    precision: Precision,
}

fn options() -> Option<Options> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options {
        network: arguments.next()?,
        batch: 32,
        steps: 10,
        size: 224,
        inference: false,
        precision: Precision::F32,
    };
    while let Some(flag) = arguments.next() {
        let mut number = || arguments.next()?.parse::<usize>().ok().filter(|n| *n > 0);
        match flag.as_str() {
            "--batch" => options.batch = number()?,
            "--steps" => options.steps = number()?,
            "--size" => options.size = number()?,
            "--inference" => options.inference = true,
            "--bf16" => options.precision = Precision::Bf16,
            _ => return None,
        }
    }
    Some(options)
}

/// Nothing but training is timed.
#[derive(Debug)]
struct NoRuntime;

impl FeatureExtractor for NoRuntime {
    fn features(&self, _: &[f32], _: usize) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        Err("no runtime".into())
    }
}

fn backbone(path: &Path, size: usize) -> Result<Backbone, Box<dyn Error + Send + Sync>> {
    let file = BackboneFile::open(path, None)?;
    Ok(Backbone {
        width: file.cut.width().ok_or("the width is not stored")?,
        image_shape: [3, size, size],
        takes_any_batch: true,
        extractor: Box::new(NoRuntime),
        file,
    })
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = options().ok_or(USAGE)?;
    // In a thread of the pool, as training.
    println!("{:.2}", rayon::scope(|_| median_step(&options))?);
    Ok(())
}

/// Milliseconds.
fn median_step(options: &Options) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let device = Device::flex();
    let spec = match options.network.as_str() {
        "custom" => Spec::Custom(CustomConfig::default()),
        file => Spec::Imported(Arc::new(backbone(Path::new(file), options.size)?)),
    };
    let mut network = Network::build(&spec, 2, 0, &device)?;
    let adam = OptimizerOptions {
        kind: OptimizerKind::Adam,
        weight_decay: 0.0,
        momentum: 0.0,
    };
    let mut optimizer = adam.init(None);
    let shape = [options.batch, 3, options.size, options.size];
    let normal = Distribution::Normal(0.0, 1.0);
    let images: Tensor<4> = Tensor::random(shape, normal, &device);
    let labels: Vec<i64> = (0..options.batch as i64).map(|i| i % 2).collect();
    let training = device.clone().autodiff();
    network = if options.inference {
        network.valid()
    } else {
        network.train()
    };
    let labels: Tensor<2, Int> =
        Tensor::<1, Int>::from_data(&labels[..], &training).reshape([options.batch, 1]);
    let mut took = Vec::with_capacity(options.steps);
    // Two steps to warm up.
    for _ in 0..options.steps + 2 {
        let started = Instant::now();
        if options.inference {
            network.forward(images.clone())?.into_data();
        } else {
            let images = Tensor::from_inner(images.clone());
            let logits = with_precision(options.precision, || network.forward(images))?;
            let logits = log_softmax(logits, 1);
            let loss = logits.gather(1, labels.clone()).mean().neg();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            loss.into_data();
            network = optimizer.step(1e-3, network, gradients);
        }
        took.push(1e3 * started.elapsed().as_secs_f64());
    }
    took.drain(..2);
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}
