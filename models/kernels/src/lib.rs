//! CPU kernels for training: convolution, batch norm with ReLU, max-pool, forward and backward.
//!
//! They plug into Burn through its backend extension, for the `flex` device with or without
//! autodiff; every other device, and every shape they are not made for, keeps Burn's own. Tensors
//! are `[N, C, H, W]`, f32, contiguous. Results do not depend on the number of threads: work is
//! split by shape alone, and sums are taken in the order of the images.
//!
//! | file | what it computes |
//! |---|---|
//! | `geometry`, `conv` | sizes of a convolution; which of the ways below is the fastest for them |
//! | `split` | a padded image whose columns lie apart by stride, so that rows of any stride are contiguous |
//! | `direct` | few-channel convolutions straight from that image, by SIMD |
//! | `winograd` | wide 3 x 3 convolutions of stride 1, with fewer multiplications |
//! | `im2col` | all others, as matrix products |
//! | `norm`, `pool` | batch norm (with ReLU), max-pool |
//! | `matrix`, `memory` | matrix products; results that threads fill piece by piece |
//! | `extension`, `autodiff` | the operations as Burn sees them, and their gradients |

mod autodiff;
mod conv;
mod direct;
mod extension;
mod geometry;
mod im2col;
mod matrix;
mod memory;
mod norm;
mod pool;
mod split;
#[cfg(test)]
mod tests;
mod winograd;

use burn::backend::DispatchDevice;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, activation, module};
use extension::{ConvArgs, Kernels, NormArgs, PoolArgs};

/// Convolution of `[N, C_in, H, W]` with `[C_out, C_in / groups, KH, KW]`.
pub(crate) fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: &ConvOptions<2>,
) -> Tensor<4> {
    let ours = options.groups == 1 && options.dilation == [1, 1] && !options.is_asymmetric();
    if !(ours && on_flex(&x.device())) {
        return module::conv2d(x, weight, bias, options.clone());
    }
    let args = ConvArgs {
        stride: options.stride,
        padding: options.padding_begin(),
    };
    // A missing bias is a zero that takes no gradient.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &x.device()));
    let (x, weight, bias) = (
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    );
    Tensor::from_dispatch(<burn::backend::Dispatch as Kernels>::conv(
        x, weight, bias, args,
    ))
}

/// Batch norm with the batch's statistics, then ReLU if asked for; also the batch's mean and
/// biased variance, detached.
pub(crate) fn batch_norm_train(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    relu: bool,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    if !on_flex(&x.device()) {
        let batch = module::batch_norm_train(x, weight, bias, epsilon);
        let y = if relu {
            activation::relu(batch.output)
        } else {
            batch.output
        };
        return (y, batch.mean, batch.variance);
    }
    let args = NormArgs {
        epsilon: epsilon as f32,
        relu,
        fixed: false,
    };
    let (x, weight, bias) = (
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    );
    let (y, mean, var) = <burn::backend::Dispatch as Kernels>::norm(x, weight, bias, args);
    (
        Tensor::from_dispatch(y),
        Tensor::from_dispatch(mean),
        Tensor::from_dispatch(var),
    )
}

/// Batch norm with a given mean and variance, then ReLU if asked for.
pub(crate) fn batch_norm(
    x: Tensor<4>,
    [weight, bias, mean, var]: [Tensor<1>; 4],
    epsilon: f64,
    relu: bool,
) -> Tensor<4> {
    if !on_flex(&x.device()) {
        let y = module::batch_norm(x, weight, bias, mean, var, epsilon);
        return if relu { activation::relu(y) } else { y };
    }
    let args = NormArgs {
        epsilon: epsilon as f32,
        relu,
        fixed: true,
    };
    let [weight, bias, mean, var] = [weight, bias, mean, var].map(Tensor::into_dispatch);
    let x = x.into_dispatch();
    let y = <burn::backend::Dispatch as Kernels>::norm_fixed(x, weight, bias, mean, var, args);
    Tensor::from_dispatch(y)
}

/// Max-pool.
pub(crate) fn max_pool2d(x: Tensor<4>, options: &MaxPoolOptions<2>) -> Tensor<4> {
    let [(top, bottom), (left, right)] = options.padding;
    let square = options.kernel_size[0] == options.kernel_size[1]
        && options.stride[0] == options.stride[1]
        && top == bottom
        && left == right
        && top == left;
    let ours = square && options.dilation == [1, 1] && !options.ceil_mode;
    if !(ours && on_flex(&x.device())) {
        return module::max_pool2d(x, options.clone());
    }
    let args = PoolArgs {
        size: options.kernel_size[0],
        stride: options.stride[0],
        padding: top,
    };
    Tensor::from_dispatch(<burn::backend::Dispatch as Kernels>::pool(
        x.into_dispatch(),
        args,
    ))
}

fn on_flex(device: &Device) -> bool {
    matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::Flex(_)
    )
}
