//! The CPU kernels under the layers that call them: `cargo bench --workspace --bench layers`.
//!
//! Convolutions of the custom network (batch 32) and of ResNet18 (batch 16), forward alone and with
//! all gradients; items per second are floating point operations.

use burn::module::Param;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use models::{BatchNorm, Conv2d};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Name; batch, input channels, size; output channels, kernel, stride.
struct Layer(&'static str, [usize; 3], [usize; 3], usize);

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Layer(name, [_, channels, size], [out, kernel, stride], _) = self;
        write!(
            f,
            "{name} {channels}-{out} {kernel}x{kernel}/{stride} at {size}"
        )
    }
}

const LAYERS: [Layer; 14] = [
    Layer("custom", [32, 3, 224], [8, 7, 2], 3),
    Layer("custom", [32, 8, 56], [16, 3, 2], 1),
    Layer("custom", [32, 16, 28], [16, 3, 2], 1),
    Layer("custom", [32, 16, 14], [32, 3, 2], 1),
    Layer("custom", [32, 8, 56], [16, 1, 4], 0),
    Layer("stem at half the size", [32, 3, 112], [8, 7, 2], 3),
    Layer("stem at twice the size", [32, 3, 448], [8, 7, 2], 3),
    Layer("resnet18", [16, 3, 224], [64, 7, 2], 3),
    Layer("resnet18", [16, 64, 56], [64, 3, 1], 1),
    Layer("resnet18", [16, 64, 56], [128, 3, 2], 1),
    Layer("resnet18", [16, 128, 28], [128, 3, 1], 1),
    Layer("resnet18", [16, 256, 14], [256, 3, 1], 1),
    Layer("resnet18", [16, 512, 7], [512, 3, 1], 1),
    Layer("twice the size", [16, 64, 112], [64, 3, 1], 1),
];

impl Layer {
    fn build(&self, device: &Device) -> (Conv2d, Tensor<4>) {
        let Layer(_, [batch, channels, size], [out, kernel, stride], padding) = *self;
        let weight: Tensor<4> = random([out, channels, kernel, kernel], device);
        let conv = Conv2d {
            weight: Param::from_tensor(weight),
            bias: Some(Param::from_tensor(random([out], device))),
            options: ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1),
        };
        (conv, random([batch, channels, size, size], device))
    }

    /// Floating point operations of one pass.
    fn operations(&self) -> usize {
        let Layer(_, [batch, channels, size], [out, kernel, stride], padding) = *self;
        let output = (size + 2 * padding - kernel) / stride + 1;
        2 * batch * out * output * output * channels * kernel * kernel
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

#[divan::bench(args = LAYERS, sample_count = 20)]
fn forward(bencher: Bencher, layer: &Layer) {
    let (conv, x) = layer.build(&Device::flex());
    let bencher = bencher.counter(ItemsCount::new(layer.operations()));
    bencher.bench_local(|| conv.forward(x.clone()));
}

#[divan::bench(args = LAYERS, sample_count = 20)]
fn forward_and_backward(bencher: Bencher, layer: &Layer) {
    let (conv, x) = layer.build(&Device::flex().autodiff());
    // The first layer of a network has no gradient to hand on.
    let (x, passes) = match layer.1[1] {
        3 => (x, 2),
        _ => (x.require_grad(), 3),
    };
    let bencher = bencher.counter(ItemsCount::new(passes * layer.operations()));
    bencher.bench_local(|| conv.forward(x.clone()).sum().backward());
}

/// Batch norm with ReLU; items are values.
#[divan::bench(args = [[32, 8, 56], [16, 64, 112]], sample_count = 50)]
fn norm_forward_and_backward(bencher: Bencher, [batch, channels, size]: [usize; 3]) {
    let device = Device::flex().autodiff();
    let norm = BatchNorm::new(channels, &device);
    let x = random([batch, channels, size, size], &device).require_grad();
    let bencher = bencher.counter(ItemsCount::new(batch * channels * size * size));
    bencher.bench_local(|| norm.forward_relu(x.clone()).sum().backward());
}
