//! Clipping of gradients by the norm of all of them together (Pascanu, Mikolov and Bengio, 2013), as
//! `torch.nn.utils.clip_grad_norm_`. Burn clips each tensor by its own norm.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use models::Network;

/// Scales the gradients down so that their Euclidean norm is at most `largest`, where there is such a bound.
pub(super) fn clip_by_norm(
    mut gradients: GradientsParams,
    network: &Network,
    largest: Option<f64>,
) -> GradientsParams {
    let Some(largest) = largest else {
        return gradients;
    };
    let mut squares = Squares {
        gradients: &gradients,
        sum: None,
    };
    network.visit(&mut squares);
    let Some(sum) = squares.sum else {
        return gradients;
    };
    let norm = f64::from(sum.into_scalar::<f32>()).sqrt();
    // PyTorch adds this to the norm.
    let factor = largest / (norm + 1e-6);
    // A norm that is not finite is left to the loss of the next step, which ends the run.
    if factor < 1.0 {
        network.visit(&mut Scale {
            gradients: &mut gradients,
            factor,
        });
    }
    gradients
}

/// The sum of the squares of all gradients, on their device: it is read once.
struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let own = gradient.powi_scalar(2).sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + own,
                None => own,
            });
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients
                .register(param.id, gradient.mul_scalar(self.factor));
        }
    }
}
