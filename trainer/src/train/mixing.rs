//! Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): every image of a batch is mixed with its neighbour, and so
//! are the labels, as torchvision's `v2.MixUp` and `v2.CutMix` do it. It knows no network and no loop.

use std::ops::Range;

use data::loader::{self, rng};
use data::preprocess::Order;
use rand::RngExt;
use rand_distr::{Beta, Distribution};

use super::objective::Targets;
use crate::examples::{Batch, Inputs};
use crate::training_set::TrainingSet;

/// Which ways of mixing are on, each with the parameter of its Beta distribution. With both, one is drawn per batch
/// with equal chance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mixing {
    pub mixup: Option<f64>,
    pub cutmix: Option<f64>,
}

/// How a batch is mixed: image `n` with image `n - 1`, the first one with the last.
#[derive(Clone, Debug, PartialEq)]
enum Mix {
    /// The weighted mean of both images.
    Blend {
        /// Share of the image itself.
        lambda: f64,
    },
    /// A box of the neighbour over the image.
    Paste {
        rows: Range<usize>,
        columns: Range<usize>,
    },
}

/// Sides of an image and the order of its axes.
#[derive(Clone, Copy, Debug)]
struct ImageShape {
    height: usize,
    width: usize,
    order: Order,
}

impl Mixing {
    /// A batch, mixed by the run's seed, the epoch and the number of the batch in it: a resumed run mixes as one that
    /// was not interrupted. Features stay as they are.
    pub(crate) fn apply(
        self,
        batch: Batch,
        data: &TrainingSet,
        epoch: usize,
        step: usize,
    ) -> (Inputs, Targets) {
        let Batch { inputs, labels } = batch;
        let (mut values, shape) = match inputs {
            Inputs::Images { values, shape } if self.is_on() => (values, shape),
            inputs => return (inputs, Targets::Classes(labels)),
        };
        let (batching, num_classes) = (&data.batching, data.classes.len());
        let (width, height) = batching.preprocess.size();
        let image = ImageShape {
            height: height as usize,
            width: width as usize,
            order: batching.preprocess.layout().0,
        };
        let key = (batching.seed, epoch as u64, step as u64);
        let mut rng = rng(loader::Purpose::Mixing, key.0, key.1, key.2);
        let mix = self.draw(image, &mut rng);
        mix.mix(&mut values, labels.len(), image);
        let targets = Targets::Probabilities {
            values: targets(&labels, num_classes, mix.lambda(image)),
            num_classes,
        };
        (Inputs::Images { values, shape }, targets)
    }

    fn is_on(self) -> bool {
        self.mixup.is_some() || self.cutmix.is_some()
    }

    fn draw(self, image: ImageShape, rng: &mut impl RngExt) -> Mix {
        let beta = |alpha: f64| Beta::new(alpha, alpha).expect("the recipe's check bounds alpha");
        match (self.mixup, self.cutmix) {
            (Some(_), Some(_)) => {
                let [mixup, cutmix] = match rng.random_range(0..2_u32) {
                    0 => [self.mixup, None],
                    _ => [None, self.cutmix],
                };
                Self { mixup, cutmix }.draw(image, rng)
            }
            (Some(alpha), None) => Mix::Blend {
                lambda: beta(alpha).sample(rng),
            },
            (None, alpha) => {
                let lambda = beta(alpha.unwrap_or(1.0)).sample(rng);
                let centre = [image.height, image.width].map(|side| rng.random_range(0..side));
                Mix::paste(image, lambda, centre)
            }
        }
    }
}

impl Mix {
    /// The box about `centre` (row, column) with the share `1 - lambda` of the image's area, cut where it leaves the
    /// image.
    fn paste(image: ImageShape, lambda: f64, centre: [usize; 2]) -> Self {
        let half_ratio = 0.5 * (1.0 - lambda).sqrt();
        let range = |centre: usize, side: usize| {
            let half = (half_ratio * side as f64) as usize;
            centre.saturating_sub(half)..(centre + half).min(side)
        };
        Self::Paste {
            rows: range(centre[0], image.height),
            columns: range(centre[1], image.width),
        }
    }

    /// Share of the image itself: with a box, by its true area.
    fn lambda(&self, image: ImageShape) -> f64 {
        match self {
            Self::Blend { lambda } => *lambda,
            Self::Paste { rows, columns } => {
                1.0 - (rows.len() * columns.len()) as f64 / (image.height * image.width) as f64
            }
        }
    }

    /// Mixes `count` images.
    fn mix(&self, values: &mut [f32], count: usize, image: ImageShape) {
        let length = values.len() / count;
        let originals = values.to_vec();
        let neighbours = originals.chunks_exact(length).cycle().skip(count - 1);
        for (own, neighbour) in values.chunks_exact_mut(length).zip(neighbours) {
            match self {
                Self::Blend { lambda } => {
                    let (lambda, rest) = (*lambda as f32, (1.0 - lambda) as f32);
                    for (own, neighbour) in own.iter_mut().zip(neighbour) {
                        *own = neighbour * rest + *own * lambda;
                    }
                }
                Self::Paste { rows, columns } => {
                    // Planes of single values `[C, H, W]`, or one plane of pixels `[H, W, C]`.
                    let channels = length / (image.height * image.width);
                    let (planes, pixel) = match image.order {
                        Order::Nchw => (channels, 1),
                        Order::Nhwc => (1, channels),
                    };
                    for plane in 0..planes {
                        for row in rows.clone() {
                            let start = (plane * image.height + row) * image.width;
                            let line =
                                (start + columns.start) * pixel..(start + columns.end) * pixel;
                            own[line.clone()].copy_from_slice(&neighbour[line]);
                        }
                    }
                }
            }
        }
    }
}

/// The mixed labels, `[N, K]` row by row.
fn targets(labels: &[u32], num_classes: usize, lambda: f64) -> Vec<f32> {
    let mut values = vec![0.0; labels.len() * num_classes];
    let neighbours = labels.iter().cycle().skip(labels.len() - 1);
    let rows = values.chunks_exact_mut(num_classes);
    for ((row, own), neighbour) in rows.zip(labels).zip(neighbours) {
        row[*own as usize] += lambda as f32;
        row[*neighbour as usize] += (1.0 - lambda) as f32;
    }
    values
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use data::Preprocess;
    use data::images::{Images, ImagesOptions};

    use super::*;
    use crate::examples::{Batching, Purpose};

    const IMAGE: ImageShape = ImageShape {
        height: 3,
        width: 5,
        order: Order::Nchw,
    };

    /// 3 images `[2, 3, 5]` of the numbers from 0 on.
    fn values() -> Vec<f32> {
        (0..90).map(|value| value as f32).collect()
    }

    fn assert_near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        let mut pairs = found.iter().zip(expected);
        assert!(pairs.all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    }

    #[test]
    fn mixup_is_that_of_torchvision() {
        // torchvision 0.29: `v2.MixUp(num_classes=3)(x, tensor([0, 2, 1]))` with 0.3 drawn and `x` as `values`; its
        // values at [:, :, 1, 2].
        let mut mixed = values();
        Mix::Blend { lambda: 0.3 }.mix(&mut mixed, 3, IMAGE);
        let found: Vec<f32> = mixed.iter().copied().skip(7).step_by(15).collect();
        assert_near(&found, &[49.0, 64.0, 16.0, 31.0, 46.0, 61.0]);
        let expected = [0.3, 0.7, 0.0, 0.7, 0.0, 0.3, 0.0, 0.3, 0.7];
        assert_near(&targets(&[0, 2, 1], 3, 0.3), &expected);
    }

    #[test]
    fn cutmix_is_that_of_torchvision() {
        // torchvision 0.29: `v2.CutMix(num_classes=3)`, the drawn lambda and centre (row, column), its box as rows and
        // columns, and the lambda of the labels.
        for (lambda, centre, rows, columns, adjusted) in [
            (0.3, [1, 4], 0..2, 2..5, 0.6),
            (0.9, [0, 2], 0..0, 2..2, 1.0),
            (0.0, [2, 1], 1..3, 0..3, 0.6),
            (1.0, [0, 0], 0..0, 0..0, 1.0),
        ] {
            let mix = Mix::paste(IMAGE, lambda, centre);
            assert_eq!(mix, Mix::Paste { rows, columns });
            assert!((mix.lambda(IMAGE) - adjusted).abs() < 1e-12);
        }
        // The first channel of the first image after the first case.
        let mix = Mix::paste(IMAGE, 0.3, [1, 4]);
        let mut mixed = values();
        mix.mix(&mut mixed, 3, IMAGE);
        let expected = [
            [0.0, 1.0, 62.0, 63.0, 64.0],
            [5.0, 6.0, 67.0, 68.0, 69.0],
            [10.0, 11.0, 12.0, 13.0, 14.0],
        ];
        assert_eq!(mixed[..15], *expected.as_flattened());
        // The same with the axes [H, W, C].
        let transposed = |values: &[f32]| -> Vec<f32> {
            let image = |n: usize| (0..30).map(move |i| values[n * 30 + i % 2 * 15 + i / 2]);
            (0..3).flat_map(image).collect()
        };
        let mut nhwc = transposed(&values());
        let order = Order::Nhwc;
        mix.mix(&mut nhwc, 3, ImageShape { order, ..IMAGE });
        assert_eq!(nhwc, transposed(&mixed));
    }

    #[test]
    fn lambda_is_from_the_beta_distribution_and_both_ways_come_equally_often() {
        let draws = |mixing: Mixing| -> Vec<Mix> {
            (0..4000)
                .map(|step| mixing.draw(IMAGE, &mut rng(loader::Purpose::Mixing, 1, 1, step)))
                .collect()
        };
        for alpha in [0.2, 1.0, 8.0] {
            let mixing = Mixing {
                mixup: Some(alpha),
                cutmix: None,
            };
            let lambdas: Vec<f64> = draws(mixing).iter().map(|mix| mix.lambda(IMAGE)).collect();
            let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / 4000.0;
            let centre = mean(&mut lambdas.iter().copied());
            let variance = mean(&mut lambdas.iter().map(|lambda| (lambda - 0.5).powi(2)));
            // Of Beta(a, a): 1 / (8 a + 4).
            let expected = 1.0 / (8.0 * alpha + 4.0);
            assert!((centre - 0.5).abs() < 0.03, "{alpha}: {centre}");
            assert!(
                (variance / expected - 1.0).abs() < 0.1,
                "{alpha}: {variance}"
            );
        }
        let both = Mixing {
            mixup: Some(1.0),
            cutmix: Some(1.0),
        };
        let blends = draws(both)
            .iter()
            .filter(|mix| matches!(mix, Mix::Blend { .. }))
            .count();
        assert!((1850..2150).contains(&blends), "{blends}");
    }

    /// Three classes without images, for inputs `[3, 3, 5]`.
    fn training_set(seed: u64) -> TrainingSet {
        let preprocess: Preprocess = "decode(rgb, exif)|resize(3, 5, bilinear, antialias)|scale(1/255)|normalize(imagenet)|layout(nchw, f32)".parse().unwrap();
        let batching = Batching {
            seed,
            ..Batching::plain(3, preprocess, 1)
        };
        let (images, _) = Images::load(vec![], &ImagesOptions::default(), &|_| {}).unwrap();
        let examples = batching.images(Arc::new(images), Purpose::Training);
        let classes = ["ants", "bees", "wasps"].map(String::from).to_vec();
        TrainingSet::new(classes, examples.clone(), examples, batching)
    }

    #[test]
    fn a_batch_depends_on_seed_epoch_and_step_alone_and_features_stay() {
        let mixing = Mixing {
            mixup: Some(1.0),
            cutmix: Some(1.0),
        };
        let mixed = |mixing: Mixing, seed, epoch, step| {
            let batch = Batch {
                inputs: Inputs::Images {
                    values: (0..135).map(|value| value as f32).collect(),
                    shape: [3, 3, 3, 5],
                },
                labels: vec![0, 2, 1],
            };
            mixing.apply(batch, &training_set(seed), epoch, step)
        };
        let first = mixed(mixing, 5, 2, 3);
        assert_eq!(mixed(mixing, 5, 2, 3), first);
        for other in [
            mixed(mixing, 6, 2, 3),
            mixed(mixing, 5, 3, 3),
            mixed(mixing, 5, 2, 4),
        ] {
            assert_ne!(other, first);
        }
        let off = mixed(Mixing::default(), 5, 2, 3);
        assert_eq!(off.1, Targets::Classes(vec![0, 2, 1]));
        let batch = Batch {
            inputs: Inputs::Features {
                values: vec![1.0, 2.0],
                shape: [2, 1],
            },
            labels: vec![0, 1],
        };
        let inputs = batch.inputs.clone();
        let unmixed = mixing.apply(batch, &training_set(5), 1, 0);
        assert_eq!(unmixed, (inputs, Targets::Classes(vec![0, 1])));
    }
}
