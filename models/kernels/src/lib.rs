//! CPU kernels for training: convolution, batch norm with ReLU, max-pool, activations, forward and backward.
//!
//! Knows no layer, no network and no file. Tensors are `[N, C, H, W]`, f32, contiguous.
//!
//! The kernels are a Burn backend extension of the `flex` device, with or without autodiff. Every
//! other device, and every shape they are not made for (dilation, groups of several channels), keeps
//! Burn's own operation. No bit depends on the number of threads: work
//! is split by shape alone, and sums are taken in the order of the images.
//!
//! | file | what it computes |
//! |---|---|
//! | `geometry`, `conv` | sizes of a convolution; which of the algorithms is the fastest for them |
//! | `direct` | convolutions of few channels by SIMD |
//! | `winograd` | wide 3 x 3 convolutions of stride 1 by F(4 x 4, 3 x 3) and F(2 x 2, 3 x 3) |
//! | `depthwise` | convolutions with a kernel for each channel, by SIMD |
//! | `pointwise` | convolutions of single pixels, as matrix products |
//! | `im2col` | all other convolutions, as matrix products |
//! | `precision`, `bf16` | convolutions and matrices as products of bf16 numbers, where they are asked for |
//! | `norm`, `pool`, `clamp` | batch norm (with ReLU or ReLU6), max-pool, clamp |
//! | `activation`, `layer_norm` | sigmoid, SiLU, GELU, the error function; layer norm |
//! | `polyphase` | rows and columns sorted by their remainders modulo the stride |
//! | `matrix`, `memory` | matrix products; results that threads fill chunk by chunk |
//! | `update` | steps of optimisers, number by number |
//! | `extension`, `autodiff` | the operations as Burn sees them, and their gradients |
//!
//! ```
//! use burn::tensor::{Device, Tensor, ops::ConvOptions};
//!
//! let device = Device::flex();
//! let images = Tensor::ones([2, 3, 8, 6], &device); // [N, C_in, H, W]
//! let weight = Tensor::ones([4, 3, 3, 3], &device); // [C_out, C_in, KH, KW]
//! let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
//! assert_eq!(classifold_kernels::conv2d(images, weight, None, &options).dims(), [2, 4, 4, 3]);
//! ```

mod activation;
mod autodiff;
mod bf16;
mod clamp;
mod conv;
mod depthwise;
mod direct;
mod extension;
mod geometry;
mod im2col;
mod layer_norm;
mod matrix;
mod memory;
mod norm;
mod pointwise;
mod polyphase;
mod pool;
mod precision;
#[cfg(test)]
mod tests;
mod update;
mod winograd;

pub use activation::Activation;
pub use precision::Precision;
pub use update::update;

use bf16::matmul::Sizes;
use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchDevice, DispatchTensor, TensorMetadata};
use burn::tensor::activation::relu;
use burn::tensor::module::{self, BatchNormTrainOutput};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor};
use extension::Kernels;
use geometry::ConvArgs;
use norm::NormArgs;
use pool::PoolArgs;

/// Convolution of `[N, C_in, H, W]` with `[C_out, C_in / groups, KH, KW]`, as
/// [`burn::tensor::module::conv2d`].
#[must_use]
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: &ConvOptions<2>,
) -> Tensor<4> {
    let groups = options.groups;
    let is_depthwise = [x.dims()[1], weight.dims()[0]] == [groups; 2];
    let supported = options.dilation == [1, 1] && (groups == 1 || is_depthwise);
    if !(supported && on_flex(&x.device())) {
        return module::conv2d(x, weight, bias, options.clone());
    }
    let args = ConvArgs {
        stride: options.stride,
        padding: options.padding.map(|(begin, _)| begin),
        end_padding: options.padding.map(|(_, end)| end),
        precision: precision::current(),
    };
    // `backend_extension` passes no optional tensors. A missing bias is a zero without a gradient.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &x.device()));
    Tensor::from_dispatch(<Dispatch as Kernels>::conv(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        args,
    ))
}

/// Batch norm of `[N, C, H, W]` with the batch's statistics, clamped from 0 to `clamp` if that is given: infinity is
/// ReLU, 6 is ReLU6.
///
/// Mean and biased variance `[C]` of the batch are detached, as in
/// [`burn::tensor::module::batch_norm_train`].
#[must_use]
pub fn batch_norm_train(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    clamp: Option<f32>,
) -> BatchNormTrainOutput<4> {
    if !on_flex(&x.device()) {
        let batch = module::batch_norm_train(x, weight, bias, epsilon);
        let output = clamped(batch.output, clamp);
        return BatchNormTrainOutput { output, ..batch };
    }
    let args = NormArgs {
        epsilon: epsilon as f32,
        clamp,
        fixed_statistics: false,
    };
    let (output, mean, variance) = <Dispatch as Kernels>::norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        args,
    );
    BatchNormTrainOutput {
        output: Tensor::from_dispatch(output),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

/// Parameters and fixed statistics of a batch norm, each `[C]`.
#[derive(Clone, Debug)]
pub struct NormTensors {
    /// Scale γ.
    pub weight: Tensor<1>,
    /// Offset β.
    pub bias: Tensor<1>,
    /// Mean over past batches; takes no gradient.
    pub mean: Tensor<1>,
    /// Variance over past batches; takes no gradient.
    pub variance: Tensor<1>,
}

/// Batch norm of `[N, C, H, W]` with fixed statistics, clamped as by [`batch_norm_train`].
#[must_use]
pub fn batch_norm(
    x: Tensor<4>,
    tensors: NormTensors,
    epsilon: f64,
    clamp: Option<f32>,
) -> Tensor<4> {
    let NormTensors {
        weight,
        bias,
        mean,
        variance,
    } = tensors;
    if !on_flex(&x.device()) {
        let y = module::batch_norm(x, weight, bias, mean, variance, epsilon);
        return clamped(y, clamp);
    }
    let args = NormArgs {
        epsilon: epsilon as f32,
        clamp,
        fixed_statistics: true,
    };
    Tensor::from_dispatch(<Dispatch as Kernels>::norm_fixed(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        args,
    ))
}

/// Max-pool of `[N, C, H, W]`, as [`burn::tensor::module::max_pool2d`].
#[must_use]
pub fn max_pool2d(x: Tensor<4>, options: &MaxPoolOptions<2>) -> Tensor<4> {
    let [(top, bottom), (left, right)] = options.padding;
    let square = options.kernel_size[0] == options.kernel_size[1]
        && options.stride[0] == options.stride[1]
        && [bottom, left, right] == [top; 3];
    let supported = square && options.dilation == [1, 1] && !options.ceil_mode;
    if !(supported && on_flex(&x.device())) {
        return module::max_pool2d(x, options.clone());
    }
    let args = PoolArgs {
        size: options.kernel_size[0],
        stride: options.stride[0],
        padding: top,
    };
    let x = x.into_dispatch();
    Tensor::from_dispatch(<Dispatch as Kernels>::pool(x, args))
}

/// The numbers of `x`, of any shape, between `low` and `high`, either of which may be infinite. NaN stays NaN.
///
/// The gradient is zero where the result is a bound, as that of PyTorch's `relu` and `hardtanh`.
#[must_use]
pub fn clamp(x: DispatchTensor, low: f32, high: f32) -> DispatchTensor {
    if !on_flex(&Device::new(x.device())) {
        return Dispatch::float_clamp(x, low.into(), high.into());
    }
    <Dispatch as Kernels>::clamp(x, clamp::ClampArgs { low, high })
}

/// An activation of the numbers of `x`, of any shape.
#[must_use]
pub fn activate(x: DispatchTensor, activation: Activation) -> DispatchTensor {
    if on_flex(&Device::new(x.device())) {
        return <Dispatch as Kernels>::activate(x, activation);
    }
    match activation {
        Activation::Sigmoid => Dispatch::sigmoid(x),
        Activation::Silu => Dispatch::float_mul(x.clone(), Dispatch::sigmoid(x)),
        Activation::Gelu => Dispatch::gelu(x),
        Activation::Erf => Dispatch::float_erf(x),
    }
}

/// Layer norm of the rows of `x` `[rows, width]`, with weight and bias `[width]`.
#[must_use]
pub fn layer_norm(
    x: DispatchTensor,
    weight: DispatchTensor,
    bias: Option<DispatchTensor>,
    epsilon: f64,
) -> DispatchTensor {
    let device = Device::new(x.device());
    if !on_flex(&device) {
        return Dispatch::layer_norm(x, weight, bias, epsilon);
    }
    // As of `conv2d`.
    let none = || Tensor::<1>::zeros([weight.shape()[0]], &device).into_dispatch();
    let bias = bias.unwrap_or_else(none);
    <Dispatch as Kernels>::row_norm(x, weight, bias, epsilon as f32)
}

/// Products of the matrices of `a` `[..., rows, inner]` and `b` `[..., inner, columns]`, with the same axes before the last
/// two, as [`Tensor::matmul`]: in bf16 where [`with_precision`] says so.
///
/// # Panics
/// Where one has fewer than two axes.
#[must_use]
pub fn matmul(a: DispatchTensor, b: DispatchTensor) -> DispatchTensor {
    let unit = match precision::current() {
        Precision::Bf16 if on_flex(&Device::new(a.device())) => bf16::Unit::detect(),
        _ => None,
    };
    match unit.filter(|_| Sizes::of(&a.shape(), &b.shape()).suit()) {
        Some(unit) => <Dispatch as Kernels>::matmul_bf16(a, b, unit),
        None => Dispatch::float_matmul(a, b),
    }
}

/// What multiplies bf16 numbers on this processor: `AMX` or `AVX-512`. None where nothing does.
#[must_use]
pub fn bf16_unit() -> Option<&'static str> {
    bf16::Unit::detect().map(bf16::Unit::name)
}

/// Runs `f` with this precision of the convolutions and products of matrices that it calls on this thread. Gradients have
/// the precision of their forward pass, whenever they are computed. Convolutions that Burn computes itself, on other
/// devices and with dilation or groups, are not concerned.
///
/// # Panics
/// With [`Precision::Bf16`] where [`bf16_unit`] is none.
pub fn with_precision<T>(precision: Precision, f: impl FnOnce() -> T) -> T {
    assert!(
        precision == Precision::F32 || bf16_unit().is_some(),
        "this processor multiplies no bf16 numbers"
    );
    precision::scoped(precision, f)
}

/// Whether [`update`] takes the tensors of a device: those of the CPU without autodiff.
#[must_use]
pub fn is_cpu(device: &Device) -> bool {
    on_flex(device) && !device.is_autodiff()
}

fn clamped(x: Tensor<4>, high: Option<f32>) -> Tensor<4> {
    match high {
        None => x,
        Some(f32::INFINITY) => relu(x),
        Some(high) => x.clamp(0.0, high),
    }
}

fn on_flex(device: &Device) -> bool {
    matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::Flex(_)
    )
}
