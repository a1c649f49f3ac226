//! Gradients of the operations for Burn's autodiff.

use super::extension::{ConvArgs, Gradients, Kernels, NormArgs, PoolArgs, Wanted};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients as Grads;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend};

#[derive(Debug)]
struct ConvBackward;

impl<B: Gradients> Backward<B, 3> for ConvBackward {
    /// Input, weight, settings.
    type State = (NodeId, NodeId, ConvArgs);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let (x, weight, args) = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let weight = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(weight);
        let [px, pw, pb] = &ops.parents;
        let wanted = Wanted {
            x: px.is_some(),
            weight: pw.is_some(),
            bias: pb.is_some(),
        };
        let gradients = B::conv_backward(x, weight, gy, args, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct NormBackward;

impl<B: Gradients> Backward<B, 3> for NormBackward {
    /// Input, weight, bias; mean, variance; settings.
    type State = ([NodeId; 3], [B::FloatTensorPrimitive; 2], NormArgs);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let (nodes, [mean, var], args) = ops.state;
        let [x, weight, bias] =
            nodes.map(|node| checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(node));
        let gradients = B::norm_backward(x, [weight, bias, mean, var], gy, args);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct PoolBackward;

impl<B: Gradients> Backward<B, 1> for PoolBackward {
    type State = (NodeId, PoolArgs);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Grads,
        checkpointer: &mut Checkpointer,
    ) {
        let gy = grads.consume::<B>(&ops.node);
        let (x, args) = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::pool_backward(x, gy, args));
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
        match ConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&weight), args);
                let y = B::conv(
                    x.into_primitive(),
                    weight.into_primitive(),
                    bias.into_primitive(),
                    args,
                );
                prep.finish(state, y)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::conv(
                x.into_primitive(),
                weight.into_primitive(),
                bias.into_primitive(),
                args,
            )),
        }
    }

    fn norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        args: NormArgs,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), weight.node(), bias.node()];
        let inner = <Self as AutodiffBackend>::from_inner;
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [
                    prep.checkpoint(&x),
                    prep.checkpoint(&weight),
                    prep.checkpoint(&bias),
                ];
                let (y, mean, var) = B::norm(
                    x.into_primitive(),
                    weight.into_primitive(),
                    bias.into_primitive(),
                    args,
                );
                let state = (nodes, [mean.clone(), var.clone()], args);
                (prep.finish(state, y), inner(mean), inner(var))
            }
            OpsKind::UnTracked(prep) => {
                let (y, mean, var) = B::norm(
                    x.into_primitive(),
                    weight.into_primitive(),
                    bias.into_primitive(),
                    args,
                );
                (prep.finish(y), inner(mean), inner(var))
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
        let nodes = [x.node(), weight.node(), bias.node()];
        let (mean, var) = (mean.into_primitive(), var.into_primitive());
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let nodes = [
                    prep.checkpoint(&x),
                    prep.checkpoint(&weight),
                    prep.checkpoint(&bias),
                ];
                let state = (nodes, [mean.clone(), var.clone()], args);
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                prep.finish(state, B::norm_fixed(x, weight, bias, mean, var, args))
            }
            OpsKind::UnTracked(prep) => {
                let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
                prep.finish(B::norm_fixed(x, weight, bias, mean, var, args))
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
                let state = (prep.checkpoint(&x), args);
                prep.finish(state, B::pool(x.into_primitive(), args))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::pool(x.into_primitive(), args)),
        }
    }
}
