//! Autodiff: the operations on Burn's tape, and the nodes that compute their gradients.
//!
//! Inputs are checkpointed, so that Burn decides whether to keep or to recompute them.

use crate::activation::Activation;
use crate::bf16::Unit;
use crate::clamp::ClampArgs;
use crate::extension::{ConvGradients, Gradients, Kernels, NormInputs};
use crate::geometry::ConvArgs;
use crate::norm::NormArgs;
use crate::pool::PoolArgs;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients as Grads;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend};

#[derive(Debug)]
struct ConvBackward;

#[derive(Clone, Debug)]
struct ConvState {
    x: NodeId,
    weight: NodeId,
    args: ConvArgs,
}

impl<B: Gradients> Backward<B, 3> for ConvBackward {
    type State = ConvState;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let ConvState { x, weight, args } = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let weight = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(weight);
        let [x_node, weight_node, bias_node] = &ops.parents;
        let needed = ConvGradients {
            x: x_node.is_some(),
            weight: weight_node.is_some(),
            bias: bias_node.is_some(),
        };
        let gradients = B::conv_backward(x, weight, gy, args, needed);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct NormBackward;

#[derive(Clone, Debug)]
struct NormState<T> {
    x: NodeId,
    weight: NodeId,
    bias: NodeId,
    mean: T,
    variance: T,
    args: NormArgs,
}

impl<B: Gradients> Backward<B, 3> for NormBackward {
    type State = NormState<B::FloatTensorPrimitive>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let [x, weight, bias] = [state.x, state.weight, state.bias]
            .map(|node| checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(node));
        let inputs = NormInputs {
            x,
            weight,
            bias,
            mean: state.mean,
            variance: state.variance,
        };
        let gradients = B::norm_backward(inputs, gy, state.args);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct PoolBackward;

#[derive(Clone, Debug)]
struct PoolState {
    x: NodeId,
    args: PoolArgs,
}

impl<B: Gradients> Backward<B, 1> for PoolBackward {
    type State = PoolState;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let PoolState { x, args } = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::pool_backward(x, gy, args));
        }
    }
}

#[derive(Debug)]
struct ClampBackward;

#[derive(Clone, Debug)]
struct ClampState<T> {
    y: T,
    args: ClampArgs,
}

impl<B: Gradients> Backward<B, 1> for ClampBackward {
    type State = ClampState<B::FloatTensorPrimitive>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Grads,
        _checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let ClampState { y, args } = ops.state;
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::clamp_backward(y, gy, args));
        }
    }
}

#[derive(Debug)]
struct ActivationBackward;

#[derive(Clone, Debug)]
struct ActivationState {
    x: NodeId,
    activation: Activation,
}

impl<B: Gradients> Backward<B, 1> for ActivationBackward {
    type State = ActivationState;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let ActivationState { x, activation } = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::activate_backward(x, gy, activation));
        }
    }
}

#[derive(Debug)]
struct LayerNormBackward;

#[derive(Clone, Debug)]
struct LayerNormState {
    x: NodeId,
    weight: NodeId,
    epsilon: f32,
}

impl<B: Gradients> Backward<B, 3> for LayerNormBackward {
    type State = LayerNormState;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let LayerNormState { x, weight, epsilon } = ops.state;
        let [x, weight] = [x, weight]
            .map(|node| checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(node));
        let gradients = B::row_norm_backward(x, weight, gy, epsilon);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct MatmulBackward;

#[derive(Clone, Debug)]
struct MatmulState {
    factors: [NodeId; 2],
    unit: Unit,
}

impl<B: Gradients> Backward<B, 2> for MatmulBackward {
    type State = MatmulState;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let MatmulState { factors, unit } = ops.state;
        let factors =
            factors.map(|node| checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(node));
        let needed = [0, 1].map(|index| ops.parents[index].is_some());
        let gradients = B::matmul_bf16_backward(factors, gy, unit, needed);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: Gradients, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn conv(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        args: ConvArgs,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        // Compute bound: under gradient checkpointing its output is kept, not computed again.
        match ConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = ConvState {
                    x: prep.checkpoint(&x),
                    weight: prep.checkpoint(&weight),
                    args,
                };
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                prep.finish(state, B::conv(x, weight, bias, args))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                prep.finish(B::conv(x, weight, bias, args))
            }
        }
    }

    fn norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        args: NormArgs,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node()];
        // The statistics are outputs without a node on the tape: detached.
        let detached = <Self as AutodiffBackend>::from_inner;
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&x, &weight, &bias].map(|t| prep.checkpoint(t));
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                let (y, mean, variance) = B::norm(x, weight, bias, args);
                let state = norm_state(nodes, &mean, &variance, args);
                (prep.finish(state, y), detached(mean), detached(variance))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                let (y, mean, variance) = B::norm(x, weight, bias, args);
                (prep.finish(y), detached(mean), detached(variance))
            }
        }
    }

    fn norm_fixed(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        args: NormArgs,
    ) -> FloatTensor<Self> {
        // Mean and variance are no parents: no gradient flows to them.
        let nodes = [x.node(), weight.node(), bias.node()];
        let (mean, variance) = (mean.into_primitive(), var.into_primitive());
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [&x, &weight, &bias].map(|t| prep.checkpoint(t));
                let state = norm_state(nodes, &mean, &variance, args);
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                let y = B::norm_fixed(x, weight, bias, mean, variance, args);
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                prep.finish(B::norm_fixed(x, weight, bias, mean, variance, args))
            }
        }
    }

    fn pool(x: FloatTensor<Self>, args: PoolArgs) -> FloatTensor<Self> {
        match PoolBackward
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = PoolState {
                    x: prep.checkpoint(&x),
                    args,
                };
                prep.finish(state, B::pool(x.into_primitive(), args))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pool(x.into_primitive(), args)),
        }
    }

    fn clamp(x: FloatTensor<Self>, args: ClampArgs) -> FloatTensor<Self> {
        let prepared = ClampBackward.prepare::<C>([x.node()]).compute_bound();
        match prepared.stateful() {
            OpsKind::Tracked(prep) => {
                // The next layer keeps its input, too: the state costs no memory.
                let y = B::clamp(x.into_primitive(), args);
                prep.finish(ClampState { y: y.clone(), args }, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::clamp(x.into_primitive(), args)),
        }
    }

    fn activate(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let prepared = ActivationBackward.prepare::<C>([x.node()]).compute_bound();
        match prepared.stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = ActivationState {
                    x: prep.checkpoint(&x),
                    activation,
                };
                prep.finish(state, B::activate(x.into_primitive(), activation))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::activate(x.into_primitive(), activation)),
        }
    }

    fn row_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let prepared = LayerNormBackward.prepare::<C>(nodes).compute_bound();
        match prepared.stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = LayerNormState {
                    x: prep.checkpoint(&x),
                    weight: prep.checkpoint(&weight),
                    epsilon,
                };
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                prep.finish(state, B::row_norm(x, weight, bias, epsilon))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                prep.finish(B::row_norm(x, weight, bias, epsilon))
            }
        }
    }

    fn matmul_bf16(a: FloatTensor<Self>, b: FloatTensor<Self>, unit: Unit) -> FloatTensor<Self> {
        let prepared = MatmulBackward.prepare::<C>([a.node(), b.node()]);
        match prepared.compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let factors = [&a, &b].map(|t| prep.checkpoint(t));
                let [a, b] = [a, b].map(|t| t.into_primitive());
                let state = MatmulState { factors, unit };
                prep.finish(state, B::matmul_bf16(a, b, unit))
            }
            OpsKind::UnTracked(prep) => {
                let [a, b] = [a, b].map(|t| t.into_primitive());
                prep.finish(B::matmul_bf16(a, b, unit))
            }
        }
    }
}

fn norm_state<T: Clone>(
    [x, weight, bias]: [NodeId; 3],
    mean: &T,
    variance: &T,
    args: NormArgs,
) -> NormState<T> {
    NormState {
        x,
        weight,
        bias,
        mean: mean.clone(),
        variance: variance.clone(),
        args,
    }
}
