//! Features of the three splits, filled row by row. They know no file.

use std::sync::Arc;

use data::{Dataset, Sample, Split, Unreadable};

use super::Features;
use crate::error::{Error, Result};

/// Where the features of a row belong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) split: Split,
    pub(super) index: usize,
}

/// Features of the three splits, as they are read.
pub(super) struct Matrices {
    /// 0 until the first row is read.
    pub(super) width: usize,
    pub(super) parts: [Matrix; 3],
}

/// Features of a split, `[N, D]`.
pub(super) struct Matrix {
    values: Vec<f32>,
    pub(super) is_there: Vec<bool>,
}

impl Matrices {
    pub(super) fn new(counts: [usize; 3]) -> Self {
        let matrix = |count| Matrix {
            values: Vec::new(),
            is_there: vec![false; count],
        };
        Self {
            width: 0,
            parts: counts.map(matrix),
        }
    }

    /// Adds the features of an image. The first decide the width; it is the error of others.
    pub(super) fn add(&mut self, place: Place, features: &[f32]) -> Result<(), usize> {
        if self.width == 0 {
            self.width = features.len();
            for part in &mut self.parts {
                part.values = vec![0.0; part.is_there.len() * self.width];
            }
        }
        let width = self.width;
        if features.len() != width {
            return Err(width);
        }
        let part = &mut self.parts[place.split as usize];
        part.values[place.index * width..][..width].copy_from_slice(features);
        part.is_there[place.index] = true;
        Ok(())
    }
}

impl Matrices {
    /// The matrices of the images that have features. Others are left out, as unreadable images are; `reason` says why one
    /// has none.
    ///
    /// # Errors
    /// Too many have none, or with `is_strict` the first.
    pub(super) fn gather(
        self,
        dataset: &Dataset,
        is_strict: bool,
        reason: &dyn Fn(&Sample) -> String,
    ) -> Result<([Arc<Features>; 3], Vec<Unreadable>)> {
        let (mut splits, mut unreadable) = (Vec::new(), Vec::new());
        for (split, part) in Split::ALL.into_iter().zip(self.parts) {
            let samples = dataset.samples(split);
            let left_out = samples.iter().zip(&part.is_there);
            let left_out = left_out.filter(|(_, is_there)| !**is_there);
            let left_out: Vec<Unreadable> = left_out
                .map(|(sample, _)| Unreadable {
                    path: sample.path.clone(),
                    reason: reason(sample),
                })
                .collect();
            if let (true, Some(first)) = (is_strict, left_out.first()) {
                let path = first.path.display();
                return Err(Error::refused(format!("`{path}`: {}", first.reason)));
            }
            data::unreadable::check(&left_out, samples.len())?;
            unreadable.extend(left_out);
            let (samples, values) = part.present(samples, self.width);
            splits.push(Arc::new(Features::new(samples, self.width, vec![values])));
        }
        let splits = splits.try_into().expect("there are three splits");
        Ok((splits, unreadable))
    }
}

impl Matrix {
    /// The images that have features, and these.
    pub(super) fn present(mut self, samples: &[Sample], width: usize) -> (Vec<Sample>, Vec<f32>) {
        let mut kept = Vec::with_capacity(samples.len());
        for (index, sample) in samples.iter().enumerate() {
            if self.is_there[index] {
                let start = index * width;
                // In place: a copy would need the memory twice.
                self.values
                    .copy_within(start..start + width, kept.len() * width);
                kept.push(sample.clone());
            }
        }
        self.values.truncate(kept.len() * width);
        (kept, self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(label: u32) -> Sample {
        Sample {
            path: label.to_string().into(),
            relative: label.to_string(),
            label,
        }
    }

    #[test]
    fn rows_go_to_their_places_and_images_without_one_are_left_out() {
        let mut matrices = Matrices::new([3, 0, 1]);
        let place = |split, index| Place { split, index };
        assert_eq!(matrices.add(place(Split::Train, 2), &[5.0, 6.0]), Ok(()));
        assert_eq!(matrices.add(place(Split::Test, 0), &[7.0, 8.0]), Ok(()));
        assert_eq!(matrices.add(place(Split::Train, 0), &[1.0, 2.0]), Ok(()));
        assert_eq!(matrices.add(place(Split::Train, 1), &[1.0]), Err(2));
        let [train, val, test] = matrices.parts;
        let (samples, values) = train.present(&[0, 1, 2].map(sample), 2);
        assert_eq!(samples, [0, 2].map(sample));
        assert_eq!(values, [1.0, 2.0, 5.0, 6.0]);
        assert_eq!(val.present(&[], 2), (vec![], vec![]));
        assert_eq!(test.present(&[sample(9)], 2).1, [7.0, 8.0]);
    }
}
