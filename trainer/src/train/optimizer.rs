//! Optimisers, with PyTorch's meaning and defaults. The network decides which parameters they move.

mod adam;
mod sgd;

use burn::module::ParamGroup;
use burn::optim::{ModuleOptimizer, Optimizer};

use crate::recipe::OptimizerKind;
use adam::Adam;
use sgd::Sgd;

/// Optimiser and its settings, besides the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerOptions {
    pub kind: OptimizerKind,
    /// Weight decay: added to the gradient by `adam` and `sgd`, decoupled in `adamw`.
    pub weight_decay: f64,
    /// Momentum of `sgd`, without dampening.
    pub momentum: f64,
}

impl OptimizerOptions {
    /// The optimiser before its first step. Weight decay leaves the parameters of `undecayed` alone.
    pub fn init(&self, undecayed: Option<ParamGroup>) -> ModuleOptimizer {
        let plain = Self {
            weight_decay: 0.0,
            ..*self
        };
        let group = undecayed.map(|group| (group, plain));
        match self.kind {
            OptimizerKind::Adam | OptimizerKind::AdamW => build(self.adam(), group, Self::adam),
            OptimizerKind::Sgd => build(self.sgd(), group, Self::sgd),
        }
    }

    pub(super) fn adam(&self) -> Adam {
        Adam {
            weight_decay: self.weight_decay as f32,
            is_decoupled: self.kind == OptimizerKind::AdamW,
        }
    }

    fn sgd(&self) -> Sgd {
        Sgd {
            momentum: self.momentum as f32,
            weight_decay: self.weight_decay as f32,
        }
    }
}

/// An optimiser for all parameters, and that of other options for a group of them.
fn build<O: Optimizer + 'static>(
    all: O,
    group: Option<(ParamGroup, OptimizerOptions)>,
    of: impl Fn(&OptimizerOptions) -> O,
) -> ModuleOptimizer {
    let all = ModuleOptimizer::from(all);
    match group {
        Some((group, options)) => all.with_group(group, of(&options), None),
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Module, Param};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};

    const GRADIENTS: [[f32; 4]; 4] = [
        [0.1, -0.2, 0.3, 1e-6],
        [0.05, 0.4, -0.3, 1e-6],
        [-0.7, 0.01, 0.0, 2e-6],
        [0.2, 0.2, 0.2, 0.2],
    ];

    /// The weights after the first and the last of `GRADIENTS` at learning rate 0.01.
    fn run(options: OptimizerOptions, interrupted: bool) -> [Vec<f32>; 2] {
        let device = Device::default();
        let start = Tensor::from_floats([0.5, -1.25, 2.0, 0.0], &device.clone().autodiff());
        let mut weights = Param::<Tensor<1>>::from_tensor(start);
        let mut optimizer = options.init(None);
        let mut seen = vec![];
        for gradient in GRADIENTS {
            let mut gradients = GradientsParams::new();
            gradients.register(weights.id, Tensor::<1>::from_floats(gradient, &device));
            weights = optimizer.step(0.01, weights, gradients);
            seen.push(
                weights
                    .valid()
                    .val()
                    .into_data()
                    .try_to_vec::<f32>()
                    .unwrap(),
            );
            if interrupted {
                let bytes = optimizer.into_bytes().unwrap();
                optimizer = options.init(None).from_bytes(bytes).unwrap();
            }
        }
        [seen[0].clone(), seen[3].clone()]
    }

    fn options(kind: OptimizerKind, weight_decay: f64, momentum: f64) -> OptimizerOptions {
        OptimizerOptions {
            kind,
            weight_decay,
            momentum,
        }
    }

    #[test]
    fn the_weights_are_those_of_pytorch() {
        struct Case {
            name: &'static str,
            options: OptimizerOptions,
            first: [f32; 4],
            last: [f32; 4],
        }
        // torch 2.15: `Adam`, `AdamW`, `SGD` with `lr=0.01` and the arguments in the name. The
        // last weight's gradients are so small that another `eps` than 1e-8 shows.
        let cases = [
            Case {
                name: "Adam",
                options: options(OptimizerKind::Adam, 0.0, 0.0),
                first: [0.49, -1.24, 1.99, -0.009_900_989],
                last: [0.488_350_18, -1.251_229_5, 1.988_754, -0.035_223_32],
            },
            Case {
                name: "Adam weight_decay=0.05",
                options: options(OptimizerKind::Adam, 0.05, 0.0),
                first: [0.49, -1.24, 1.99, -0.009_900_989],
                last: [0.486_985_03, -1.244_583_8, 1.978_454_6, -0.001_166_875_5],
            },
            Case {
                name: "AdamW",
                options: options(OptimizerKind::AdamW, 0.01, 0.0),
                first: [0.489_95, -1.239_875, 1.989_8, -0.009_900_989],
                last: [0.488_154_53, -1.250_731_5, 1.987_956_9, -0.035_217_408],
            },
            Case {
                name: "SGD",
                options: options(OptimizerKind::Sgd, 0.0, 0.0),
                first: [0.499, -1.248, 1.997, -1e-8],
                last: [0.503_500_04, -1.254_1, 1.998, -0.002_000_04],
            },
            Case {
                name: "SGD momentum=0.9",
                options: options(OptimizerKind::Sgd, 0.0, 0.9),
                first: [0.499, -1.248, 1.997, -1e-8],
                last: [0.506_506, -1.256_152, 1.995_813, -0.002_000_1],
            },
            Case {
                name: "SGD momentum=0.9 weight_decay=0.05",
                options: options(OptimizerKind::Sgd, 0.05, 0.9),
                first: [0.498_75, -1.247_375, 1.996, -1e-8],
                last: [0.504_247_4, -1.250_502_1, 1.986_778_7, -0.002_000_1],
            },
        ];
        for case in cases {
            let found = run(case.options, false);
            for (found, expected) in found.iter().zip([case.first, case.last]) {
                for (found, expected) in found.iter().zip(expected) {
                    let name = case.name;
                    assert!(
                        (found - expected).abs() < 1e-6,
                        "{name}: {found} is not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_saved_state_goes_on_bit_for_bit() {
        for kind in [
            OptimizerKind::Adam,
            OptimizerKind::AdamW,
            OptimizerKind::Sgd,
        ] {
            let options = options(kind, 0.01, 0.9);
            assert_eq!(run(options, true), run(options, false));
        }
    }
}
