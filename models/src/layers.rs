//! Layers: convolution, batch norm and linear with PyTorch's names, layouts and semantics.
//!
//! Knows no network. Not Burn's own layers, since state must move between PyTorch, ONNX and this crate
//! without translation: Burn's `BatchNorm` keeps the biased batch variance as running variance where
//! PyTorch keeps the unbiased one, and its `Linear` stores the weight transposed. The arithmetic is
//! Burn's on every device but the CPU (`kernels`).

use crate::init::{self, Init};
use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Device, Tensor, module, ops::ConvOptions};
use kernels::NormTensors;

/// 2-D convolution, as `torch.nn.Conv2d`.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// Kernels, `[C_out, C_in / groups, KH, KW]`.
    pub weight: Param<Tensor<4>>,
    /// Offset of each output channel, `[C_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Stride, padding, dilation and groups.
    #[module(skip)]
    pub options: ConvOptions<2>,
}

impl Conv2d {
    /// A square convolution of odd kernel size, padded by half of it.
    pub(crate) fn new(shape: [usize; 4], stride: usize, bias: bool, init: &mut Init) -> Self {
        let [out_channels, in_channels, height, width] = shape;
        let fan_in = in_channels * height * width;
        let padding = height / 2;
        Self {
            weight: init.uniform(shape, fan_in),
            bias: bias.then(|| init.uniform([out_channels], fan_in)),
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

/// Batch normalisation over the channels, as `torch.nn.BatchNorm2d` (Ioffe and Szegedy, 2015).
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
    /// Whether the layer is trained; off when frozen.
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
        self.forward_clamped(x, None)
    }

    /// [`forward`](Self::forward), then ReLU, in one pass where the device allows.
    #[must_use]
    pub fn forward_relu(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_clamped(x, Some(f32::INFINITY))
    }

    /// [`forward`](Self::forward), then a clamp from 0 to `clamp` if that is given: infinity is ReLU, 6 is ReLU6.
    pub(crate) fn forward_clamped(&self, x: Tensor<4>, clamp: Option<f32>) -> Tensor<4> {
        if !(x.device().is_autodiff() && self.training.is_enabled()) {
            let tensors = NormTensors {
                weight: self.weight.val(),
                bias: self.bias.val(),
                mean: self.running_mean.value(),
                variance: self.running_var.value(),
            };
            return kernels::batch_norm(x, tensors, self.epsilon, clamp);
        }
        let [n, _, h, w] = x.dims();
        let count = n * h * w;
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let batch = kernels::batch_norm_train(x, weight, bias, self.epsilon, clamp);
        // PyTorch normalises with the biased variance, but its running variance is the unbiased one.
        // A single value has no unbiased variance: count 1 is treated as 2.
        let unbiased = count as f64 / (count.max(2) - 1) as f64;
        self.update(&self.running_mean, batch.mean, 1.0);
        self.update(&self.running_var, batch.variance, unbiased);
        batch.output
    }

    fn update(&self, running: &RunningState<Tensor<1>>, newest: Tensor<1>, factor: f64) {
        // `value_sync`: the update builds on the newest value, also on that of another thread.
        let past = running.value_sync().mul_scalar(1.0 - self.momentum);
        let newest = newest.detach().mul_scalar(self.momentum * factor);
        running.update((past + newest).detach());
    }
}

/// Fully connected layer, as `torch.nn.Linear` and ONNX's `Gemm` with `transB`.
#[derive(Module, Debug)]
pub struct Linear {
    /// Rows of the outputs, `[K, D]`.
    pub weight: Param<Tensor<2>>,
    /// Offset of each output, `[K]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub(crate) fn new(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        Self {
            weight: init.uniform([outputs, inputs], inputs),
            bias: Some(init.uniform([outputs], inputs)),
        }
    }

    /// The layer whose outputs are those of this one divided by `divisor`.
    pub(crate) fn divide(self, divisor: f64) -> Self {
        let bias = self.bias;
        Self {
            weight: self.weight.map(|weight| weight.div_scalar(divisor)),
            bias: bias.map(|bias| bias.map(|bias| bias.div_scalar(divisor))),
        }
    }

    /// `[N, D]` to `[N, K]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let bias = self.bias.as_ref().map(Param::val);
        module::linear(x, self.weight.val().transpose(), bias)
    }
}
