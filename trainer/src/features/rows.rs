//! Rows in memory to batches of any epoch; knows no picture and no file.

use data::Sample;

/// Rows of features of some pictures, in several views.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The pictures, `[N]`.
    samples: Vec<Sample>,
    /// Numbers of a row, D.
    width: usize,
    /// One `[N, D]` per view; the first is the plain one.
    views: Vec<Vec<f32>>,
}

/// Some rows, ready for the classification layer.
#[derive(Clone, Debug, PartialEq)]
pub struct RowBatch {
    /// `[N, D]`, row by row.
    pub features: Vec<f32>,
    /// Class indices, `[N]`.
    pub labels: Vec<u32>,
}

impl Rows {
    /// The rows `[N, D]` of pictures, one list per view; the first is the plain one.
    ///
    /// # Panics
    /// When there is no view, or a view is not `[N, D]`.
    pub fn new(samples: Vec<Sample>, width: usize, views: Vec<Vec<f32>>) -> Self {
        let length = samples.len() * width;
        assert!(!views.is_empty() && views.iter().all(|view| view.len() == length));
        Self {
            samples,
            width,
            views,
        }
    }

    /// The pictures, in the order of the rows.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The number of views.
    pub fn num_views(&self) -> usize {
        self.views.len()
    }

    /// The row of the picture at `place` in a view, `[D]`.
    pub fn row(&self, view: usize, place: usize) -> &[f32] {
        let start = place * self.width;
        &self.views[view][start..start + self.width]
    }

    /// The plain rows of pictures at these places.
    pub fn plain(&self, places: impl IntoIterator<Item = usize>) -> RowBatch {
        self.batch(places.into_iter().map(|place| (0, place)))
    }

    /// The same rows of fewer pictures and views.
    #[must_use]
    pub fn select(&self, places: &[usize], views: &[usize]) -> Rows {
        let gather = |&view: &usize| places.iter().flat_map(move |&place| self.row(view, place));
        Rows {
            samples: places
                .iter()
                .map(|&place| self.samples[place].clone())
                .collect(),
            width: self.width,
            views: views
                .iter()
                .map(|view| gather(view).copied().collect())
                .collect(),
        }
    }

    /// These rows and then the others, which must be as wide and in as many views.
    ///
    /// # Panics
    /// When they are not.
    #[must_use]
    pub fn join(&self, others: &Rows) -> Rows {
        let views = self.views.iter().zip(&others.views);
        assert_eq!(self.views.len(), others.views.len());
        Rows::new(
            [&self.samples[..], &others.samples].concat(),
            self.width,
            views.map(|(a, b)| [&a[..], b].concat()).collect(),
        )
    }

    fn batch(&self, chosen: impl Iterator<Item = (usize, usize)>) -> RowBatch {
        let (mut features, mut labels) = (vec![], vec![]);
        for (view, place) in chosen {
            features.extend_from_slice(self.row(view, place));
            labels.push(self.samples[place].label);
        }
        RowBatch { features, labels }
    }
}

/// Gives the batches of any epoch.
///
/// In epoch `e`, counted from 1, the picture at place `i` is seen in view `(e - 1 + i) mod V`: an
/// epoch is one pass over the pictures, and every picture is seen in all views in turn.
#[derive(Clone, Debug)]
pub struct RowLoader {
    rows: Rows,
    batch: usize,
    shuffled_by: Option<u64>,
}

impl RowLoader {
    /// A loader of `rows`; with a seed, every epoch has an order of its own.
    pub fn new(rows: Rows, batch: usize, shuffled_by: Option<u64>) -> Self {
        let batch = batch.max(1);
        Self {
            rows,
            batch,
            shuffled_by,
        }
    }

    /// The rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Batches in an epoch.
    pub fn num_batches(&self) -> usize {
        self.rows.samples.len().div_ceil(self.batch)
    }

    /// The batches of an epoch, counted from 1, from `first_batch` on.
    pub fn epoch(&self, epoch: usize, first_batch: usize) -> impl Iterator<Item = RowBatch> {
        let count = self.rows.samples.len();
        let order = match self.shuffled_by {
            Some(seed) => data::loader::order(count, seed, epoch as u64),
            None => (0..count).collect(),
        };
        let num_views = self.rows.views.len();
        (first_batch..self.num_batches()).map(move |index| {
            let low = index * self.batch;
            let places = &order[low..(low + self.batch).min(count)];
            let view = |place: usize| (epoch - 1 + place) % num_views;
            self.rows
                .batch(places.iter().map(|&place| (view(place), place)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Row `i` of view `v` is `[i, v]`.
    fn rows(count: usize, views: usize) -> Rows {
        let sample = |label| Sample {
            path: "".into(),
            relative: String::new(),
            label: label as u32,
        };
        let view = |view| (0..count).flat_map(move |place| [place as f32, view as f32]);
        Rows {
            samples: (0..count).map(sample).collect(),
            width: 2,
            views: (0..views).map(|v| view(v).collect()).collect(),
        }
    }

    /// Place to view of all pictures of an epoch.
    fn seen(loader: &RowLoader, epoch: usize, first: usize) -> BTreeMap<u32, usize> {
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
        let loader = RowLoader::new(rows(7, 3), 2, Some(5));
        assert_eq!(loader.num_batches(), 4);
        for epoch in 1..=6 {
            let seen = seen(&loader, epoch, 0);
            assert_eq!(seen.len(), 7);
            for (place, view) in seen {
                assert_eq!(view, (epoch - 1 + place as usize) % 3);
            }
        }
        assert_eq!(seen(&loader, 1, 3).len(), 1);
    }

    #[test]
    fn the_order_is_the_picture_loaders_and_none_without_a_seed() {
        let order = |loader: &RowLoader| -> Vec<u32> {
            loader.epoch(2, 0).flat_map(|batch| batch.labels).collect()
        };
        let shuffled = order(&RowLoader::new(rows(9, 2), 4, Some(5)));
        let expected = data::loader::order(9, 5, 2);
        assert!(shuffled.iter().map(|&i| i as usize).eq(expected));
        let plain = order(&RowLoader::new(rows(9, 2), 4, None));
        assert!(plain.into_iter().eq(0..9));
    }

    #[test]
    fn a_selection_has_the_rows_of_its_places_and_views() {
        let all = rows(5, 3);
        let some = all.select(&[4, 1], &[2, 0]);
        assert_eq!((some.samples().len(), some.num_views()), (2, 2));
        assert_eq!(some.row(0, 1), all.row(2, 1));
        assert_eq!(some.plain([0]).features, [4.0, 2.0]);
        let joined = all.select(&[0, 1], &[0, 1, 2]);
        assert_eq!(joined.join(&all.select(&[2, 3, 4], &[0, 1, 2])), all);
    }
}
