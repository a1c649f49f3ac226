//! The layers that every network here is made of, with PyTorch's names, layouts and semantics.
//!
//! Why not Burn's own: its `BatchNorm` keeps the biased batch variance as running variance where
//! PyTorch keeps the unbiased one, and its `Linear` stores the weight transposed. These keep the
//! arithmetic in Burn (every device) and the state interchangeable with PyTorch's.

use crate::{init, kernels};
use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Device, Tensor, module, ops::ConvOptions};
use rand_chacha::ChaCha8Rng;

/// 2-D convolution. Weight `[C_out, C_in / groups, KH, KW]`, bias `[C_out]`.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// Kernels.
    pub weight: Param<Tensor<4>>,
    /// One offset per output channel.
    pub bias: Option<Param<Tensor<1>>>,
    /// Stride, padding, dilation and groups.
    #[module(skip)]
    pub options: ConvOptions<2>,
}

impl Conv2d {
    /// A square convolution drawn from PyTorch's distribution.
    pub(crate) fn new(shape: [usize; 4], stride: usize, bias: bool, rng: &mut Draw) -> Self {
        let fan_in = shape[1] * shape[2] * shape[3];
        let padding = shape[2] / 2;
        Self {
            weight: init::uniform(shape, fan_in, &mut rng.rng, &rng.device),
            bias: bias.then(|| init::uniform([shape[0]], fan_in, &mut rng.rng, &rng.device)),
            options: ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1),
        }
    }

    /// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let bias = self.bias.as_ref().map(Param::val);
        kernels::conv2d(x, self.weight.val(), bias, &self.options)
    }
}

/// Batch normalisation over the channels. Ioffe and Szegedy, 2015; `torch.nn.BatchNorm2d`.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale γ, `[C]`.
    pub weight: Param<Tensor<1>>,
    /// Offset β, `[C]`.
    pub bias: Param<Tensor<1>>,
    /// Mean over past batches, `[C]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// Unbiased variance over past batches, `[C]`.
    pub running_var: RunningState<Tensor<1>>,
    /// Whether this layer takes part in training; off when frozen.
    pub training: Param<Flag>,
    /// Added to the variance.
    pub epsilon: f64,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f64,
}

impl BatchNorm {
    /// γ = 1, β = 0, mean 0, variance 1, epsilon 1e-5, momentum 0.1.
    #[must_use]
    pub fn new(channels: usize, device: &Device) -> Self {
        Self {
            weight: init::parameter(vec![1.0; channels], [channels], device),
            bias: init::parameter(vec![0.0; channels], [channels], device),
            running_mean: RunningState::new(Tensor::zeros([channels], device)),
            running_var: RunningState::new(Tensor::ones([channels], device)),
            training: Param::from_bool(true),
            epsilon: 1e-5,
            momentum: 0.1,
        }
    }

    /// `[N, C, H, W]` to the same shape.
    ///
    /// Normalises with the batch's statistics (and moves the running ones) on an autodiff device
    /// unless frozen, with the running statistics otherwise.
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.normalise(x, false)
    }

    /// [`forward`](Self::forward), then ReLU, in one pass where the device allows.
    #[must_use]
    pub fn forward_relu(&self, x: Tensor<4>) -> Tensor<4> {
        self.normalise(x, true)
    }

    fn normalise(&self, x: Tensor<4>, relu: bool) -> Tensor<4> {
        if !(x.device().is_autodiff() && self.training.is_enabled()) {
            let (mean, var) = (self.running_mean.value(), self.running_var.value());
            let (weight, bias) = (self.weight.val(), self.bias.val());
            return kernels::batch_norm(x, [weight, bias, mean, var], self.epsilon, relu);
        }
        let [n, _, h, w] = x.dims();
        let count = n * h * w;
        let (y, mean, var) =
            kernels::batch_norm_train(x, self.weight.val(), self.bias.val(), self.epsilon, relu);
        // PyTorch normalises with the biased variance and remembers the unbiased one.
        let unbiased = count as f64 / (count.max(2) - 1) as f64;
        self.remember(&self.running_mean, mean, 1.0);
        self.remember(&self.running_var, var, unbiased);
        y
    }

    fn remember(&self, state: &RunningState<Tensor<1>>, newest: Tensor<1>, factor: f64) {
        let past = state.value_sync().mul_scalar(1.0 - self.momentum);
        let newest = newest.detach().mul_scalar(self.momentum * factor);
        state.update((past + newest).detach());
    }
}

/// Fully connected layer. Weight `[K, D]` as in PyTorch and ONNX's Gemm with `transB`, bias `[K]`.
#[derive(Module, Debug)]
pub struct Linear {
    /// One row per output.
    pub weight: Param<Tensor<2>>,
    /// One offset per output.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// Drawn from PyTorch's distribution.
    pub(crate) fn new(inputs: usize, outputs: usize, rng: &mut Draw) -> Self {
        Self {
            weight: init::uniform([outputs, inputs], inputs, &mut rng.rng, &rng.device),
            bias: Some(init::uniform([outputs], inputs, &mut rng.rng, &rng.device)),
        }
    }

    /// The layer whose outputs are those of this one divided by `divisor`.
    pub(crate) fn divided(self, divisor: f64) -> Self {
        Self {
            weight: self.weight.map(|weight| weight.div_scalar(divisor)),
            bias: self
                .bias
                .map(|bias| bias.map(|bias| bias.div_scalar(divisor))),
        }
    }

    /// `[N, D]` to `[N, K]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let bias = self.bias.as_ref().map(Param::val);
        module::linear(x, self.weight.val().transpose(), bias)
    }
}

/// Where initial weights come from and go to.
pub(crate) struct Draw {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) device: Device,
}
