//! Feature loader: features of a frozen backbone in memory, and their batches in any epoch. It knows no image
//! and no file.

use std::sync::Arc;

use data::loader::Order;
use data::{Pair, Sample};
use models::Distance;

/// Features of some images, in one or more views.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    samples: Vec<Sample>,
    /// The identity that each pair was drawn for, where these are distances of pairs.
    identities: Vec<u32>,
    width: usize,
    /// One `[N, D]` per view; the first is that of the original images.
    views: Vec<Vec<f32>>,
}

impl Features {
    /// The features `[N, D]` of images, one list per view; the first is that of the original images.
    ///
    /// # Panics
    /// When there is no view, or a view is not `[N, D]`.
    pub fn new(samples: Vec<Sample>, width: usize, views: Vec<Vec<f32>>) -> Self {
        let length = samples.len() * width;
        assert!(!views.is_empty() && views.iter().all(|view| view.len() == length));
        Self {
            samples,
            identities: Vec::new(),
            width,
            views,
        }
    }

    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub fn num_views(&self) -> usize {
        self.views.len()
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The features of the image at `index` in a view, `[D]`.
    pub fn row(&self, view: usize, index: usize) -> &[f32] {
        let start = index * self.width;
        &self.views[view][start..start + self.width]
    }

    /// The features of fewer images, and of the first `num_views` views.
    #[must_use]
    pub fn select(&self, indices: &[usize], num_views: usize) -> Features {
        let gather = |view: usize| {
            let rows = indices.iter().flat_map(move |&index| self.row(view, index));
            rows.copied().collect()
        };
        let samples = indices.iter().map(|&index| self.samples[index].clone());
        Features::new(
            samples.collect(),
            self.width,
            (0..num_views).map(gather).collect(),
        )
    }

    /// How far the features of two images are apart, `[P, D]` or `[P, 1]`, in every view. The labels are the answers of
    /// the pairs, and the paths those of their first images.
    #[must_use]
    pub fn distances(&self, pairs: &[Pair], distance: Distance) -> Features {
        let distances = |view: usize| {
            let rows = pairs.iter().flat_map(move |pair| {
                let [a, b] = [pair.a, pair.b].map(|index| self.row(view, index));
                distance.between(a, b)
            });
            rows.map(|value| value as f32).collect()
        };
        let samples = pairs.iter().map(|pair| Sample {
            label: pair.kind.label(),
            ..self.samples[pair.a].clone()
        });
        let identity = |pair: &Pair| self.samples[pair.a].label;
        Features {
            identities: pairs.iter().map(identity).collect(),
            ..Features::new(
                samples.collect(),
                distance.width(self.width),
                (0..self.num_views()).map(distances).collect(),
            )
        }
    }

    /// The identity that each pair was drawn for; empty where these are features of images.
    pub fn identities(&self) -> &[u32] {
        &self.identities
    }

    /// These features and then the others, which must be as wide. Where the others have fewer views, their
    /// first one stands for the missing ones.
    ///
    /// # Panics
    /// When the widths differ.
    #[must_use]
    pub fn join(&self, others: &Features) -> Features {
        let views = self.views.iter().enumerate().map(|(view, own)| {
            let other = others.views.get(view).unwrap_or(&others.views[0]);
            [&own[..], other].concat()
        });
        let samples = [&self.samples[..], &others.samples].concat();
        Features::new(samples, self.width, views.collect())
    }
}

/// How features are made into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureOrder {
    /// Images per batch; the last batch may have fewer.
    pub batch: usize,
    pub order: Order,
    /// Seed of the order.
    pub seed: u64,
    /// How many of the first views are used in turn.
    pub num_views: usize,
}

/// Makes the batches of any epoch. Clones share their features.
///
/// In epoch `e`, counted from 1, the image at index `i` is seen in view `(e - 1 + i) mod V`: an
/// epoch is one pass over the images, and every image is seen in all views in turn. With [`Order::Balanced`] it is the
/// position in the epoch that decides the view.
#[derive(Clone, Debug)]
pub struct FeatureLoader {
    features: Arc<Features>,
    order: FeatureOrder,
}

/// Batch of features with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureBatch {
    /// `[N, D]`, row by row.
    pub features: Vec<f32>,
    /// Class indices, `[N]`.
    pub labels: Vec<u32>,
}

impl FeatureLoader {
    pub fn new(features: Arc<Features>, order: FeatureOrder) -> Self {
        let order = FeatureOrder {
            batch: order.batch.max(1),
            num_views: order.num_views.clamp(1, features.num_views()),
            ..order
        };
        Self { features, order }
    }

    pub fn features(&self) -> &Arc<Features> {
        &self.features
    }

    pub fn num_batches(&self) -> usize {
        self.features.samples.len().div_ceil(self.order.batch)
    }

    /// The batches of an epoch, counted from 1, from `first_batch` on.
    pub fn epoch(&self, epoch: usize, first_batch: usize) -> impl Iterator<Item = FeatureBatch> {
        let count = self.features.samples.len();
        let FeatureOrder {
            batch,
            order,
            seed,
            num_views,
        } = self.order;
        let labels: Vec<u32> = self.features.samples.iter().map(|s| s.label).collect();
        let order = order.indices(&labels, seed, epoch as u64);
        // An image that is drawn twice in an epoch is seen in two views.
        let is_unique = self.order.order != Order::Balanced;
        (first_batch..self.num_batches()).map(move |number| {
            let start = number * batch;
            let (mut features, mut labels) = (vec![], vec![]);
            let own = order[start..(start + batch).min(count)].iter().enumerate();
            for (offset, &index) in own {
                let turn = if is_unique { index } else { start + offset };
                let view = (epoch - 1 + turn) % num_views;
                features.extend_from_slice(self.features.row(view, index));
                labels.push(self.features.samples[index].label);
            }
            FeatureBatch { features, labels }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The row of image `i` in view `v` is `[i, v]`.
    fn features(count: usize, views: usize) -> Features {
        let sample = |label| Sample {
            path: "".into(),
            relative: String::new(),
            label: label as u32,
        };
        let view = |view| (0..count).flat_map(move |index| [index as f32, view as f32]);
        Features {
            identities: Vec::new(),
            samples: (0..count).map(sample).collect(),
            width: 2,
            views: (0..views).map(|v| view(v).collect()).collect(),
        }
    }

    fn loader(features: Features, batch: usize, order: Order) -> FeatureLoader {
        let order = FeatureOrder {
            batch,
            order,
            seed: 5,
            num_views: features.num_views(),
        };
        FeatureLoader::new(Arc::new(features), order)
    }

    /// Index to view of all images of an epoch.
    fn seen(loader: &FeatureLoader, epoch: usize, first: usize) -> BTreeMap<u32, usize> {
        let mut seen = BTreeMap::new();
        for batch in loader.epoch(epoch, first) {
            for (row, label) in batch.features.chunks_exact(2).zip(batch.labels) {
                assert_eq!(row[0] as u32, label);
                assert_eq!(seen.insert(label, row[1] as usize), None);
            }
        }
        seen
    }

    #[test]
    fn an_epoch_is_one_pass_and_views_come_in_turn() {
        let loader = loader(features(7, 3), 2, Order::Shuffled);
        assert_eq!(loader.num_batches(), 4);
        for epoch in 1..=6 {
            let seen = seen(&loader, epoch, 0);
            assert_eq!(seen.len(), 7);
            for (index, view) in seen {
                assert_eq!(view, (epoch - 1 + index as usize) % 3);
            }
        }
        assert_eq!(seen(&loader, 1, 3).len(), 1);
    }

    #[test]
    fn the_order_is_the_image_loaders() {
        let order = |loader: &FeatureLoader| -> Vec<u32> {
            loader.epoch(2, 0).flat_map(|batch| batch.labels).collect()
        };
        let shuffled = order(&loader(features(9, 2), 4, Order::Shuffled));
        let expected = data::loader::order(9, 5, 2);
        assert!(shuffled.iter().map(|&i| i as usize).eq(expected));
        let plain = order(&loader(features(9, 2), 4, Order::Listed));
        assert!(plain.into_iter().eq(0..9));
        let balanced = order(&loader(features(9, 2), 4, Order::Balanced));
        let expected = Order::Balanced.indices(&(0..9).collect::<Vec<_>>(), 5, 2);
        assert!(balanced.iter().map(|&i| i as usize).eq(expected));
    }

    #[test]
    fn a_selection_has_the_rows_of_its_indices_and_first_views() {
        let all = features(5, 3);
        let some = all.select(&[4, 1], 2);
        assert_eq!((some.samples().len(), some.num_views()), (2, 2));
        assert_eq!(some.row(1, 0), all.row(1, 4));
        let (first, rest) = (all.select(&[0, 1], 3), all.select(&[2, 3, 4], 3));
        assert_eq!(first.join(&rest), all);
        // The rest in its first view alone: that one stands for all.
        let joined = first.join(&all.select(&[2, 3, 4], 1));
        assert_eq!(joined.row(2, 1), all.row(2, 1));
        assert_eq!(joined.row(2, 3), all.row(0, 3));
    }

    #[test]
    fn one_view_is_the_original_in_every_epoch() {
        let order = FeatureOrder {
            batch: 4,
            order: Order::Listed,
            seed: 0,
            num_views: 1,
        };
        let loader = FeatureLoader::new(Arc::new(features(5, 3)), order);
        for epoch in 1..=3 {
            assert!(seen(&loader, epoch, 0).values().all(|&view| view == 0));
        }
    }
}
