//! The kernels on the layers of two networks: `cargo bench --workspace --bench layers`.
//!
//! Convolutions of the custom network (batch 32), of ResNet18 and, depthwise, of EfficientNet-Lite0 (batch 16), forward
//! alone and with all gradients, in f32 and bf16; items per second are floating point operations. `peak` is the machine's own:
//! a matrix product.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use classifold_kernels::{Precision, bf16_unit, with_precision};
use divan::Bencher;
use divan::counter::ItemsCount;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// A square convolution of square images.
struct Layer {
    network: &'static str,
    batch: usize,
    in_channels: usize,
    size: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    /// 1, or the number of channels: depthwise.
    groups: usize,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Layer {
            network,
            in_channels,
            size,
            out_channels,
            kernel,
            stride,
            ..
        } = self;
        write!(
            f,
            "{network} {in_channels}-{out_channels} {kernel}x{kernel}/{stride} at {size}"
        )
    }
}

/// Batch, input channels and size; output channels, kernel and stride.
const fn layer(network: &'static str, input: [usize; 3], conv: [usize; 3]) -> Layer {
    let [batch, in_channels, size] = input;
    let [out_channels, kernel, stride] = conv;
    Layer {
        network,
        batch,
        in_channels,
        size,
        out_channels,
        kernel,
        stride,
        groups: 1,
    }
}

/// Channels, size, kernel and stride of a depthwise convolution of 16 images.
const fn depthwise(channels: usize, size: usize, kernel: usize, stride: usize) -> Layer {
    Layer {
        groups: channels,
        ..layer("lite0", [16, channels, size], [channels, kernel, stride])
    }
}

const LAYERS: [Layer; 26] = [
    layer("custom", [32, 3, 224], [8, 7, 2]),
    layer("custom", [32, 8, 56], [16, 3, 2]),
    layer("custom", [32, 16, 28], [16, 3, 2]),
    layer("custom", [32, 16, 14], [32, 3, 2]),
    layer("custom", [32, 8, 56], [16, 1, 4]),
    layer("stem at half the size", [32, 3, 112], [8, 7, 2]),
    layer("stem at twice the size", [32, 3, 448], [8, 7, 2]),
    layer("resnet18", [16, 3, 224], [64, 7, 2]),
    layer("resnet18", [16, 64, 56], [64, 3, 1]),
    layer("resnet18", [16, 64, 56], [128, 3, 2]),
    layer("resnet18", [16, 128, 28], [128, 3, 1]),
    layer("resnet18", [16, 256, 14], [256, 3, 1]),
    layer("resnet18", [16, 512, 7], [512, 3, 1]),
    layer("twice the size", [16, 64, 112], [64, 3, 1]),
    depthwise(32, 112, 3, 1),
    depthwise(96, 112, 3, 2),
    depthwise(144, 56, 3, 1),
    depthwise(144, 56, 5, 2),
    depthwise(240, 28, 5, 1),
    depthwise(480, 14, 3, 1),
    depthwise(1152, 7, 5, 1),
    layer("lite0", [16, 16, 112], [96, 1, 1]),
    layer("lite0", [16, 480, 14], [112, 1, 1]),
    layer("lite0", [16, 1152, 7], [192, 1, 1]),
    layer("lite0", [16, 192, 7], [1152, 1, 1]),
    layer("mobilenetv4", [16, 960, 1], [1280, 1, 1]),
];

/// The tensors of one convolution.
struct Conv {
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions<2>,
}

impl Conv {
    fn forward(&self) -> Tensor<4> {
        let (weight, bias) = (self.weight.clone(), self.bias.clone());
        classifold_kernels::conv2d(self.x.clone(), weight, Some(bias), &self.options)
    }
}

impl Layer {
    fn build(&self, device: &Device) -> Conv {
        let kernel = [
            self.out_channels,
            self.in_channels / self.groups,
            self.kernel,
            self.kernel,
        ];
        let input = [self.batch, self.in_channels, self.size, self.size];
        Conv {
            x: random(input, device),
            weight: random(kernel, device),
            bias: random([self.out_channels], device),
            options: ConvOptions::new([self.stride; 2], [self.kernel / 2; 2], [1; 2], self.groups),
        }
    }

    /// Floating point operations of one pass.
    fn operations(&self) -> usize {
        let output = (self.size + 2 * (self.kernel / 2) - self.kernel) / self.stride + 1;
        let taps = self.in_channels / self.groups * self.kernel * self.kernel;
        2 * self.batch * self.out_channels * output * output * taps
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

#[divan::bench(args = LAYERS, sample_count = 20)]
fn forward(bencher: Bencher, layer: &Layer) {
    bench_forward(bencher, layer, Precision::F32);
}

#[divan::bench(args = LAYERS, sample_count = 20, ignore = bf16_unit().is_none())]
fn forward_bf16(bencher: Bencher, layer: &Layer) {
    bench_forward(bencher, layer, Precision::Bf16);
}

fn bench_forward(bencher: Bencher, layer: &Layer, precision: Precision) {
    let conv = layer.build(&Device::flex());
    let bencher = bencher.counter(ItemsCount::new(layer.operations()));
    bencher.bench_local(|| with_precision(precision, || conv.forward()));
}

#[divan::bench(args = LAYERS, sample_count = 20)]
fn forward_and_backward(bencher: Bencher, layer: &Layer) {
    bench_both(bencher, layer, Precision::F32);
}

#[divan::bench(args = LAYERS, sample_count = 20, ignore = bf16_unit().is_none())]
fn forward_and_backward_bf16(bencher: Bencher, layer: &Layer) {
    bench_both(bencher, layer, Precision::Bf16);
}

fn bench_both(bencher: Bencher, layer: &Layer, precision: Precision) {
    let mut conv = layer.build(&Device::flex().autodiff());
    conv.weight = conv.weight.require_grad();
    conv.bias = conv.bias.require_grad();
    // The first layer of a network needs no gradient of its input.
    let mut passes = 2;
    if layer.in_channels != 3 {
        conv.x = conv.x.require_grad();
        passes = 3;
    }
    let bencher = bencher.counter(ItemsCount::new(passes * layer.operations()));
    bencher.bench_local(|| {
        with_precision(precision, || conv.forward())
            .sum()
            .backward()
    });
}

/// A matrix product `[2048, 2048]` in f32 on all cores.
#[divan::bench(sample_count = 20)]
fn peak(bencher: Bencher) {
    const SIZE: usize = 2048;
    let [a, b] = [(); 2].map(|()| random([SIZE, SIZE], &Device::flex()));
    let bencher = bencher.counter(ItemsCount::new(2 * SIZE * SIZE * SIZE));
    bencher.bench_local(|| a.clone().matmul(b.clone()));
}

/// Batch norm with ReLU; items are values.
#[divan::bench(args = [[32, 8, 56], [16, 64, 112]], sample_count = 50)]
fn norm_forward_and_backward(bencher: Bencher, [batch, channels, size]: [usize; 3]) {
    let device = Device::flex().autodiff();
    let (weight, bias) = (random([channels], &device), random([channels], &device));
    let (weight, bias) = (weight.require_grad(), bias.require_grad());
    let x = random([batch, channels, size, size], &device).require_grad();
    let bencher = bencher.counter(ItemsCount::new(batch * channels * size * size));
    bencher.bench_local(|| {
        let batch = classifold_kernels::batch_norm_train(
            x.clone(),
            weight.clone(),
            bias.clone(),
            1e-5,
            Some(f32::INFINITY),
        );
        batch.output.sum().backward()
    });
}
