//! The operations as Burn sees them, on the `flex` backend.

use super::geometry::Geometry;
use super::norm::{Norm, Params};
use super::pool::Pool;
use super::{conv, im2col};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, DType, Flex, Shape, backend_extension};
use burn::tensor::Bytes;

/// Stride and padding, vertical and horizontal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvArgs {
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
}

/// How batch norm goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormArgs {
    pub(crate) epsilon: f32,
    /// Whether ReLU follows.
    pub(crate) relu: bool,
    /// Whether mean and variance are given, not the batch's.
    pub(crate) fixed: bool,
}

/// A square window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolArgs {
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

/// Operations on `[N, C, H, W]`.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Kernels: Backend {
    /// Convolution with bias.
    fn conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        args: ConvArgs,
    ) -> FloatTensor<Self>;

    /// Batch norm with the batch's statistics: output, mean, biased variance.
    fn norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        args: NormArgs,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Batch norm with a given mean and variance, which take no gradient.
    fn norm_fixed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        args: NormArgs,
    ) -> FloatTensor<Self>;

    /// Max-pool.
    fn pool(x: FloatTensor<Self>, args: PoolArgs) -> FloatTensor<Self>;
}

/// Which gradients of a convolution are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) x: bool,
    pub(super) weight: bool,
    pub(super) bias: bool,
}

/// The gradients of [`Kernels`].
pub(super) trait Gradients: Kernels {
    /// Of input, weight and bias, where wanted.
    fn conv_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gy: FloatTensor<Self>,
        args: ConvArgs,
        wanted: Wanted,
    ) -> [Option<FloatTensor<Self>>; 3];

    /// Of input, weight and bias, from `[weight, bias, mean, variance]`.
    fn norm_backward(
        x: FloatTensor<Self>,
        params: [FloatTensor<Self>; 4],
        gy: FloatTensor<Self>,
        args: NormArgs,
    ) -> [FloatTensor<Self>; 3];

    /// Of the input.
    fn pool_backward(
        x: FloatTensor<Self>,
        gy: FloatTensor<Self>,
        args: PoolArgs,
    ) -> FloatTensor<Self>;
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from(shape.to_vec()));
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

fn dims(x: &FlexTensor) -> [usize; 4] {
    let shape = x.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

impl Kernels for Flex {
    fn conv(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, args: ConvArgs) -> FlexTensor {
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_contiguous());
        let g = Geometry::new(dims(&x), dims(&weight), args.stride, args.padding);
        let y = conv::forward(&g, x.storage(), weight.storage(), bias.storage());
        tensor(y, &[g.batch, g.out_channels, g.output[0], g.output[1]])
    }

    fn norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        args: NormArgs,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_contiguous());
        let norm = norm(&x, args);
        let (mean, var) = norm.statistics(x.storage());
        let params = Params {
            weight: weight.storage(),
            bias: bias.storage(),
            mean: &mean,
            var: &var,
        };
        let y = norm.forward(x.storage(), params);
        let channels = [norm.channels];
        (
            tensor(y, &dims(&x)),
            tensor(mean, &channels),
            tensor(var, &channels),
        )
    }

    fn norm_fixed(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mean: FlexTensor,
        var: FlexTensor,
        args: NormArgs,
    ) -> FlexTensor {
        let x = x.to_contiguous();
        let [weight, bias, mean, var] = [weight, bias, mean, var].map(|t| t.to_contiguous());
        let params = Params {
            weight: weight.storage(),
            bias: bias.storage(),
            mean: mean.storage(),
            var: var.storage(),
        };
        tensor(norm(&x, args).forward(x.storage(), params), &dims(&x))
    }

    fn pool(x: FlexTensor, args: PoolArgs) -> FlexTensor {
        let x = x.to_contiguous();
        let ([n, c, ..], pool) = (dims(&x), pool(&x, args));
        let [height, width] = pool.output();
        tensor(pool.forward(x.storage()), &[n, c, height, width])
    }
}

impl Gradients for Flex {
    fn conv_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gy: FlexTensor,
        args: ConvArgs,
        wanted: Wanted,
    ) -> [Option<FlexTensor>; 3] {
        let [x, weight, gy] = [x, weight, gy].map(|t| t.to_contiguous());
        let g = Geometry::new(dims(&x), dims(&weight), args.stride, args.padding);
        let (x_dims, w_dims) = (dims(&x), dims(&weight));
        let (x, weight, gy) = (x.storage(), weight.storage(), gy.storage());
        let of_x = || tensor(conv::input_gradient(&g, weight, gy), &x_dims);
        let of_weight = || tensor(conv::weight_gradient(&g, x, gy), &w_dims);
        let of_bias = || tensor(im2col::bias_gradient(&g, gy), &[g.out_channels]);
        [
            wanted.x.then(of_x),
            wanted.weight.then(of_weight),
            wanted.bias.then(of_bias),
        ]
    }

    fn norm_backward(
        x: FlexTensor,
        params: [FlexTensor; 4],
        gy: FlexTensor,
        args: NormArgs,
    ) -> [FlexTensor; 3] {
        let [x, gy] = [x, gy].map(|t| t.to_contiguous());
        let [weight, bias, mean, var] = params.map(|t| t.to_contiguous());
        let norm = norm(&x, args);
        let params = Params {
            weight: weight.storage(),
            bias: bias.storage(),
            mean: mean.storage(),
            var: var.storage(),
        };
        let [gx, gw, gb] = norm.backward(x.storage(), params, gy.storage());
        let channels = [norm.channels];
        [
            tensor(gx, &dims(&x)),
            tensor(gw, &channels),
            tensor(gb, &channels),
        ]
    }

    fn pool_backward(x: FlexTensor, gy: FlexTensor, args: PoolArgs) -> FlexTensor {
        let [x, gy] = [x, gy].map(|t| t.to_contiguous());
        tensor(
            pool(&x, args).backward(x.storage(), gy.storage()),
            &dims(&x),
        )
    }
}

fn norm(x: &FlexTensor, args: NormArgs) -> Norm {
    let [_, channels, height, width] = dims(x);
    Norm {
        channels,
        pixels: height * width,
        epsilon: args.epsilon,
        relu: args.relu,
        fixed: args.fixed,
    }
}

fn pool(x: &FlexTensor, args: PoolArgs) -> Pool {
    let [_, _, height, width] = dims(x);
    let PoolArgs {
        size,
        stride,
        padding,
    } = args;
    Pool {
        height,
        width,
        size,
        stride,
        padding,
    }
}
