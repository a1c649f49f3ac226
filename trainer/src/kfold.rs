//! K-fold cross-validation: which image is in which fold. It knows labels, no network and no file.

use data::Sample;
use data::split::{stratified, train_val_counts};

use crate::error::{Error, Result};

/// Images of the smallest class: with fewer, a fold of two would leave a class without a validation
/// image.
const FEWEST: usize = 4;

/// Division of images into k folds, stratified by class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KFold {
    labels: Vec<u32>,
    /// The fold of each image, `0..folds`.
    fold_of: Vec<usize>,
    folds: usize,
    seed: u64,
}

/// Indices of images: what a fold trains on, what chooses its epoch, what it is scored on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Nine tenths of the other folds.
    pub train: Vec<usize>,
    /// A tenth of the other folds, class by class, as `val` is cut from `train`.
    pub val: Vec<usize>,
    /// The fold itself.
    pub held_out: Vec<usize>,
}

/// Logits of images that the network has not been trained on, and what the images show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeldOut {
    /// `[N, K]`, row by row.
    pub logits: Vec<Vec<f32>>,
    /// Class indices, `[N]`.
    pub labels: Vec<u32>,
}

impl KFold {
    /// Divides class by class, evenly, drawn by seed: the sizes of two folds differ by one image at most, in
    /// all and in each class.
    ///
    /// # Errors
    /// When there are fewer than two folds, or a class has fewer images than folds, or than four.
    pub fn new(samples: &[Sample], classes: &[String], folds: usize, seed: u64) -> Result<Self> {
        let labels: Vec<u32> = samples.iter().map(|sample| sample.label).collect();
        check(&labels, classes, folds)?;
        let mut fold_of = vec![0; labels.len()];
        let mut next = 0;
        for class in 0..classes.len() as u32 {
            let own: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
            for index in data::loader::order(own.len(), seed, u64::from(class)) {
                // `next` continues across classes: otherwise the remainders would all be in the first folds.
                fold_of[own[index]] = next % folds;
                next += 1;
            }
        }
        Ok(Self {
            labels,
            fold_of,
            folds,
            seed,
        })
    }

    /// Divides by identity: pairs of one are alike, and held-out ones must be of others. None where there are fewer
    /// identities than folds.
    pub fn of_identities(
        samples: &[Sample],
        identities: &[u32],
        folds: usize,
        seed: u64,
    ) -> Option<Self> {
        let mut distinct = identities.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < folds {
            return None;
        }
        let mut fold_of_identity = vec![0; distinct.len()];
        for (turn, index) in data::loader::order(distinct.len(), seed, 0)
            .into_iter()
            .enumerate()
        {
            fold_of_identity[index] = turn % folds;
        }
        let fold = |identity: &u32| {
            let index = distinct.binary_search(identity);
            fold_of_identity[index.expect("the list was made of them")]
        };
        Some(Self {
            labels: samples.iter().map(|sample| sample.label).collect(),
            fold_of: identities.iter().map(fold).collect(),
            folds,
            seed,
        })
    }

    pub fn folds(&self) -> usize {
        self.folds
    }

    /// The fold of each image, `0..folds`.
    pub fn fold_of(&self) -> &[usize] {
        &self.fold_of
    }

    /// The indices of a fold, counted from 0.
    pub fn fold(&self, fold: usize) -> Fold {
        let (held_out, others): (Vec<usize>, Vec<usize>) =
            (0..self.labels.len()).partition(|&index| self.fold_of[index] == fold);
        let label = |index: &usize| self.labels[*index];
        let [train, val] = stratified(others, label, self.seed, train_val_counts);
        Fold {
            train,
            val,
            held_out,
        }
    }

    /// The held-out logits of all folds, each in the order of its indices, put into the order of the images.
    pub fn gather(&self, parts: Vec<Vec<Vec<f32>>>) -> HeldOut {
        let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
        let logits = self.fold_of.iter().map(|&fold| parts[fold].next());
        HeldOut {
            logits: logits.flatten().collect(),
            labels: self.labels.clone(),
        }
    }
}

fn check(labels: &[u32], classes: &[String], folds: usize) -> Result<()> {
    let refuse = |reason: String| Error::Setting {
        flag: "folds",
        value: folds.to_string(),
        reason,
    };
    if folds < 2 {
        return Err(refuse("must be 2 or more".into()));
    }
    for (class, name) in classes.iter().enumerate() {
        let count = labels.iter().filter(|&&l| l as usize == class).count();
        if count < folds.max(FEWEST) {
            return Err(refuse(format!(
                "`{name}` has {count} images for training and validation; {} are needed",
                folds.max(FEWEST)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn samples(counts: [usize; 3]) -> Vec<Sample> {
        let of = |(class, count): (usize, usize)| {
            (0..count).map(move |i| Sample {
                path: "".into(),
                relative: format!("train/c{class}/{i}.jpg"),
                label: class as u32,
            })
        };
        counts.into_iter().enumerate().flat_map(of).collect()
    }

    pub(crate) fn classes() -> Vec<String> {
        (0..3).map(|class| format!("c{class}")).collect()
    }

    #[test]
    fn every_image_is_held_out_once_and_classes_are_spread_evenly() {
        let samples = samples([23, 9, 17]);
        let kfold = KFold::new(&samples, &classes(), 5, 3).unwrap();
        let mut all = vec![];
        for number in 0..5 {
            let fold = kfold.fold(number);
            assert!([9, 10].contains(&fold.held_out.len()));
            for (class, count) in [23_usize, 9, 17].into_iter().enumerate() {
                let of = |indices: &[usize]| {
                    let own = |index: &&usize| samples[**index].label as usize == class;
                    indices.iter().filter(own).count()
                };
                let held_out = of(&fold.held_out);
                assert!([count / 5, count.div_ceil(5)].contains(&held_out));
                let [train, val] = train_val_counts(count - held_out);
                assert_eq!((of(&fold.train), of(&fold.val)), (train, val));
            }
            let mut indices = [&fold.train[..], &fold.val, &fold.held_out].concat();
            indices.sort_unstable();
            assert!(indices.into_iter().eq(0..49));
            all.extend(fold.held_out);
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(0..49));
        let again = KFold::new(&samples, &classes(), 5, 3).unwrap();
        assert_eq!(again, kfold);
        let other = KFold::new(&samples, &classes(), 5, 4).unwrap();
        assert_ne!(other.fold(0), kfold.fold(0));
    }

    #[test]
    fn held_out_logits_come_back_in_the_order_of_the_images() {
        let kfold = KFold::new(&samples([8, 4, 5]), &classes(), 4, 0).unwrap();
        let part = |fold: usize| {
            let indices = kfold.fold(fold).held_out.into_iter();
            indices.map(|index| vec![index as f32]).collect()
        };
        let held_out = kfold.gather((0..4).map(part).collect());
        let indices = held_out.logits.iter().map(|row| row[0] as usize);
        assert!(indices.eq(0..17));
        assert_eq!(
            held_out.labels.iter().filter(|label| **label == 1).count(),
            4
        );
    }

    #[test]
    fn too_few_images_are_refused_with_the_class() {
        for (counts, folds, says) in [
            ([9, 3, 9], 2, "`--folds 2`: `c1` has 3 images"),
            ([9, 5, 9], 6, "6 are needed"),
            ([9, 9, 9], 1, "must be 2 or more"),
        ] {
            let error = KFold::new(&samples(counts), &classes(), folds, 0).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn no_identity_is_in_two_folds() {
        let samples = samples([12, 12, 0]);
        let identities: Vec<u32> = (0..24).map(|i| 10 + i % 7).collect();
        let kfold = KFold::of_identities(&samples, &identities, 3, 1).unwrap();
        for fold in (0..3).map(|fold| kfold.fold(fold)) {
            let of = |indices: &[usize]| -> std::collections::BTreeSet<u32> {
                indices.iter().map(|index| identities[*index]).collect()
            };
            assert!(of(&fold.held_out).is_disjoint(&of(&[fold.train, fold.val].concat())));
            assert!([2, 3].contains(&of(&fold.held_out).len()));
        }
        assert_eq!(KFold::of_identities(&samples, &identities, 8, 1), None);
    }
}
