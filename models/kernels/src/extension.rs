//! Backend extension: the operations as Burn sees them, implemented for the `flex` backend.
//!
//! Knows no arithmetic: it unwraps Burn's tensors and hands slices on. `gy` is the gradient of the
//! loss with respect to an operation's output.

use crate::activation::Activation;
use crate::bf16::Unit;
use crate::bf16::matmul::{self, Sizes, Stack};
use crate::clamp::ClampArgs;
use crate::conv::Convolution;
use crate::geometry::{ConvArgs, Geometry};
use crate::im2col;
use crate::layer_norm::LayerNorm;
use crate::norm::{self, Norm, NormArgs, Params};
use crate::pool::{Pool, PoolArgs};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, DType, Flex, Shape, backend_extension};
use burn::tensor::Bytes;

/// Operations on `[N, C, H, W]`, or on any shape.
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

    /// Batch norm with fixed mean and variance, which take no gradient.
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

    /// Clamp of any shape.
    fn clamp(x: FloatTensor<Self>, args: ClampArgs) -> FloatTensor<Self>;

    /// Activation of any shape.
    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// Layer norm of rows `[rows, width]`; `layer_norm` is a name of Burn's own operations.
    fn row_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;

    /// Products of matrices `[..., rows, inner]` and `[..., inner, columns]` in bf16.
    fn matmul_bf16(a: FloatTensor<Self>, b: FloatTensor<Self>, unit: Unit) -> FloatTensor<Self>;
}

/// The gradients of a convolution that are needed. A first layer needs none of its input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvGradients {
    pub(crate) x: bool,
    pub(crate) weight: bool,
    pub(crate) bias: bool,
}

/// The inputs of a batch norm, which its gradients need again.
#[derive(Clone, Debug)]
pub(crate) struct NormInputs<B: Backend> {
    pub(crate) x: FloatTensor<B>,
    pub(crate) weight: FloatTensor<B>,
    pub(crate) bias: FloatTensor<B>,
    pub(crate) mean: FloatTensor<B>,
    pub(crate) variance: FloatTensor<B>,
}

/// The gradients of [`Kernels`].
pub(crate) trait Gradients: Kernels {
    /// Gradients of input, weight and bias, where `needed`.
    fn conv_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gy: FloatTensor<Self>,
        args: ConvArgs,
        needed: ConvGradients,
    ) -> [Option<FloatTensor<Self>>; 3];

    /// Gradients of input, weight and bias.
    fn norm_backward(
        inputs: NormInputs<Self>,
        gy: FloatTensor<Self>,
        args: NormArgs,
    ) -> [FloatTensor<Self>; 3];

    /// Gradient of the input.
    fn pool_backward(
        x: FloatTensor<Self>,
        gy: FloatTensor<Self>,
        args: PoolArgs,
    ) -> FloatTensor<Self>;

    /// Gradient of the input, from the output `y`.
    fn clamp_backward(
        y: FloatTensor<Self>,
        gy: FloatTensor<Self>,
        args: ClampArgs,
    ) -> FloatTensor<Self>;

    /// Gradient of the input.
    fn activate_backward(
        x: FloatTensor<Self>,
        gy: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// Gradients of input, weight and bias.
    fn row_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gy: FloatTensor<Self>,
        epsilon: f32,
    ) -> [FloatTensor<Self>; 3];

    /// Gradients of both factors, where `needed`.
    fn matmul_bf16_backward(
        factors: [FloatTensor<Self>; 2],
        gy: FloatTensor<Self>,
        unit: Unit,
        needed: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2];
}

fn tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from(shape.to_vec()));
    FlexTensor::new(Bytes::from_elems(values), layout, DType::F32)
}

/// The tensor with its values in order, without another owner where it had none: then they are overwritten in place.
pub(super) fn owned(x: FlexTensor) -> FlexTensor {
    let contiguous = x.to_contiguous();
    drop(x);
    contiguous
}

fn dims(x: &FlexTensor) -> [usize; 4] {
    let shape = x.layout().shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

impl Kernels for Flex {
    fn conv(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, args: ConvArgs) -> FlexTensor {
        // Copies views alone, such as a transposed weight.
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_contiguous());
        let g = Geometry::new(dims(&x), dims(&weight), args);
        let conv = Convolution::new(args.precision);
        let y = conv.forward(&g, x.storage(), weight.storage(), bias.storage());
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
        let params = Params {
            weight: weight.storage(),
            bias: bias.storage(),
        };
        let values = x.storage();
        let (y, statistics) = norm.forward(values, params, |c| norm.statistics(values, c));
        let (mean, var) = statistics.iter().map(|s| (s.mean, s.variance)).unzip();
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
        };
        let statistics = norm::fixed(mean.storage(), var.storage());
        let (y, _) = norm(&x, args).forward(x.storage(), params, statistics);
        tensor(y, &dims(&x))
    }

    fn pool(x: FlexTensor, args: PoolArgs) -> FlexTensor {
        let x = x.to_contiguous();
        let [n, c, ..] = dims(&x);
        let pool = pool(&x, args);
        let [height, width] = pool.output();
        tensor(pool.forward(x.storage()), &[n, c, height, width])
    }

    fn clamp(x: FlexTensor, args: ClampArgs) -> FlexTensor {
        let mut x = owned(x);
        args.forward(x.storage_mut());
        x
    }

    fn activate(x: FlexTensor, activation: Activation) -> FlexTensor {
        let x = x.to_contiguous();
        tensor(activation.forward(x.storage()), x.layout().shape())
    }

    fn row_norm(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, epsilon: f32) -> FlexTensor {
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_contiguous());
        let norm = LayerNorm {
            weight: weight.storage(),
            epsilon,
        };
        tensor(
            norm.forward(x.storage(), bias.storage()),
            x.layout().shape(),
        )
    }

    fn matmul_bf16(a: FlexTensor, b: FlexTensor, unit: Unit) -> FlexTensor {
        let [a, b] = [a, b].map(|t| t.to_contiguous());
        let sizes = Sizes::of(a.layout().shape(), b.layout().shape());
        let [left, right] = [&a, &b].map(|t| Stack::new(t.storage()));
        let product = matmul::multiply(unit, left, right, sizes);
        let mut shape = a.layout().shape().to_vec();
        shape.splice(shape.len() - 1.., [sizes.columns]);
        tensor(product, &shape)
    }
}

impl Gradients for Flex {
    fn conv_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gy: FlexTensor,
        args: ConvArgs,
        needed: ConvGradients,
    ) -> [Option<FlexTensor>; 3] {
        let [x, weight, gy] = [x, weight, gy].map(|t| t.to_contiguous());
        let (x_dims, weight_dims) = (dims(&x), dims(&weight));
        let g = Geometry::new(x_dims, weight_dims, args);
        let (x, weight, gy) = (x.storage(), weight.storage(), gy.storage());
        let conv = Convolution::new(args.precision);
        let gx = || tensor(conv.input_gradient(&g, weight, gy), &x_dims);
        let gw = || tensor(conv.weight_gradient(&g, x, gy), &weight_dims);
        let gb = || tensor(im2col::bias_gradient(&g, gy), &[g.out_channels]);
        [
            needed.x.then(gx),
            needed.weight.then(gw),
            needed.bias.then(gb),
        ]
    }

    fn norm_backward(inputs: NormInputs<Flex>, gy: FlexTensor, args: NormArgs) -> [FlexTensor; 3] {
        let NormInputs {
            x,
            weight,
            bias,
            mean,
            variance,
        } = inputs;
        let [x, gy] = [x, gy].map(|t| t.to_contiguous());
        let [weight, bias, mean, var] = [weight, bias, mean, variance].map(|t| t.to_contiguous());
        let norm = norm(&x, args);
        let params = Params {
            weight: weight.storage(),
            bias: bias.storage(),
        };
        let statistics = norm::fixed(mean.storage(), var.storage());
        let [gx, gw, gb] = norm.backward(x.storage(), params, statistics, gy.storage());
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

    fn clamp_backward(y: FlexTensor, gy: FlexTensor, args: ClampArgs) -> FlexTensor {
        let y = y.to_contiguous();
        let mut gy = owned(gy);
        args.backward(y.storage(), gy.storage_mut());
        gy
    }

    fn activate_backward(x: FlexTensor, gy: FlexTensor, activation: Activation) -> FlexTensor {
        let x = x.to_contiguous();
        let mut gy = owned(gy);
        activation.backward(x.storage(), gy.storage_mut());
        gy
    }

    fn row_norm_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gy: FlexTensor,
        epsilon: f32,
    ) -> [FlexTensor; 3] {
        let [x, weight] = [x, weight].map(|t| t.to_contiguous());
        let mut gy = owned(gy);
        let norm = LayerNorm {
            weight: weight.storage(),
            epsilon,
        };
        let gradients = norm.backward(x.storage(), gy.storage_mut());
        let [weight, bias] = gradients.map(|gradient| {
            let width = gradient.len();
            tensor(gradient, &[width])
        });
        [gy, weight, bias]
    }

    fn matmul_bf16_backward(
        factors: [FlexTensor; 2],
        gy: FlexTensor,
        unit: Unit,
        needed: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [a, b] = factors.map(|t| t.to_contiguous());
        let gy = gy.to_contiguous();
        let (a_shape, b_shape) = (a.layout().shape(), b.layout().shape());
        let sizes = Sizes::of(a_shape, b_shape);
        let Sizes {
            rows,
            inner,
            columns,
            ..
        } = sizes;
        let gy = Stack::new(gy.storage());
        // gy · bᵀ
        let ga = || {
            let sizes = Sizes {
                inner: columns,
                columns: inner,
                ..sizes
            };
            let product = matmul::multiply(unit, gy, Stack::transposed(b.storage()), sizes);
            tensor(product, a_shape)
        };
        // aᵀ · gy
        let gb = || {
            let sizes = Sizes {
                rows: inner,
                inner: rows,
                ..sizes
            };
            let product = matmul::multiply(unit, Stack::transposed(a.storage()), gy, sizes);
            tensor(product, b_shape)
        };
        let [a_needed, b_needed] = needed;
        [a_needed.then(ga), b_needed.then(gb)]
    }
}

fn norm(x: &FlexTensor, args: NormArgs) -> Norm {
    let [_, channels, height, width] = dims(x);
    Norm {
        channels,
        pixels: height * width,
        args,
    }
}

fn pool(x: &FlexTensor, window: PoolArgs) -> Pool {
    let [_, _, height, width] = dims(x);
    Pool {
        height,
        width,
        window,
    }
}
