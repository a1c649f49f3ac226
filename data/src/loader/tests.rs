//! The loader, as a training run sees it.

use super::{Batch, Loader, LoaderOptions, Order};
use crate::augment::Augment;
use crate::images::{Images, ImagesOptions};
use crate::{Pair, PairKind, Preprocess, Sample};
use image::{Rgb, RgbImage};
use std::path::Path;
use std::sync::Arc;

const COUNT: usize = 11;

fn images(folder: &Path, budget_bytes: u64) -> Arc<Images> {
    let samples = (0..COUNT).map(|i| {
        let path = folder.join(format!("{i:02}.png"));
        let value = |x: u32, y: u32| Rgb([(i * 20) as u8, (x * 7) as u8, (y * 9) as u8]);
        RgbImage::from_fn(30 + i as u32, 26, value)
            .save(&path)
            .unwrap();
        Sample {
            path,
            relative: format!("a/{i:02}.png"),
            label: i as u32 % 3,
        }
    });
    let options = ImagesOptions {
        budget_bytes,
        strict: true,
        ..ImagesOptions::default()
    };
    Arc::new(
        Images::load(samples.collect(), &options, &|_| {})
            .unwrap()
            .0,
    )
}

fn preprocess() -> Preprocess {
    "decode(rgb, exif)|resize_short(24, bilinear, antialias)|center_crop(16)|scale(1/255)|\
     normalize(imagenet)|layout(nchw, f32)"
        .parse()
        .unwrap()
}

/// A loader of images in memory.
fn loader(folder: &Path, augment: Option<&str>, threads: usize, prefetch: usize) -> Loader {
    let augment = augment.map(|text| text.parse::<Augment>().unwrap());
    let options = LoaderOptions {
        batch: 4,
        order: Order::Shuffled,
        seed: 9,
        threads,
        prefetch,
    };
    Loader::new(images(folder, 1 << 20), preprocess(), augment, options)
}

fn batches(loader: &Loader, epoch: u64, first: usize) -> Vec<Batch> {
    loader.epoch(epoch, first).map(Result::unwrap).collect()
}

const EVERYTHING: &str = "crop|hflip|vflip|rotate|color|noise|scale|elastic|cutout";

#[test]
fn batches_do_not_depend_on_threads_or_memory() {
    let folder = tempfile::tempdir().unwrap();
    for augment in [None, Some(EVERYTHING), Some("hflip|noise")] {
        let one = batches(&loader(folder.path(), augment, 1, 1), 2, 0);
        assert_eq!(
            one.iter().map(|b| b.labels.len()).collect::<Vec<_>>(),
            [4, 4, 3]
        );
        assert_eq!(one[2].shape, [3, 3, 16, 16]);
        for (threads, prefetch) in [(4, 1), (3, 5)] {
            assert_eq!(
                batches(&loader(folder.path(), augment, threads, prefetch), 2, 0),
                one
            );
        }
        let options = LoaderOptions {
            batch: 4,
            order: Order::Shuffled,
            seed: 9,
            threads: 2,
            prefetch: 2,
        };
        let parsed = augment.map(|text| text.parse::<Augment>().unwrap());
        let poor = Loader::new(images(folder.path(), 0), preprocess(), parsed, options);
        assert_eq!(batches(&poor, 2, 0), one);
    }
}

#[test]
fn an_epoch_is_a_permutation_and_the_next_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let loader = loader(folder.path(), None, 2, 2);
    let order = |epoch| -> Vec<usize> {
        batches(&loader, epoch, 0)
            .iter()
            .flat_map(|b| b.indices.clone())
            .collect()
    };
    let (first, second) = (order(1), order(2));
    assert_ne!(first, second);
    assert_eq!(first, order(1));
    for mut order in [first, second] {
        order.sort_unstable();
        assert_eq!(order, (0..COUNT).collect::<Vec<_>>());
    }
}

#[test]
fn the_shuffle_is_fair() {
    let folder = tempfile::tempdir().unwrap();
    let loader = loader(folder.path(), None, 1, 1);
    let mut firsts = [0; COUNT];
    for epoch in 0..COUNT as u64 * 200 {
        firsts[loader.order(epoch)[0]] += 1;
    }
    assert!(
        firsts.iter().all(|count| (140..260).contains(count)),
        "{firsts:?}"
    );
}

#[test]
fn going_on_from_a_batch_gives_the_same_batches() {
    let folder = tempfile::tempdir().unwrap();
    let loader = loader(folder.path(), Some(EVERYTHING), 2, 2);
    let whole = batches(&loader, 5, 0);
    for first in 0..=3 {
        assert_eq!(batches(&loader, 5, first), whole[first..]);
    }
    assert!(batches(&loader, 5, 7).is_empty());
}

#[test]
fn variation_differs_between_epochs_and_between_images() {
    let folder = tempfile::tempdir().unwrap();
    let loader = loader(folder.path(), Some("noise"), 2, 2);
    let values = |epoch, index: usize| -> Vec<f32> {
        let all = batches(&loader, epoch, 0);
        let position = |b: &Batch| b.indices.iter().position(|&i| i == index);
        let (batch, i) = all
            .iter()
            .find_map(|b| position(b).map(|i| (b, i)))
            .unwrap();
        batch.images[i * 768..(i + 1) * 768].to_vec()
    };
    assert_eq!(values(1, 4), values(1, 4));
    assert_ne!(values(1, 4), values(2, 4));
}

#[test]
fn without_augmentation_images_are_as_preprocessing_makes_them() {
    let folder = tempfile::tempdir().unwrap();
    let loader = loader(folder.path(), None, 2, 2);
    let images = images(folder.path(), 0);
    for pass in 1..3 {
        for batch in loader.epoch(pass, 0) {
            let batch = batch.unwrap();
            for (i, &index) in batch.indices.iter().enumerate() {
                let expected = preprocess().apply(&*images.get(index).unwrap()).unwrap();
                assert_eq!(batch.images[i * 768..(i + 1) * 768], expected);
                assert_eq!(batch.labels[i], images.samples()[index].label);
            }
        }
    }
}

#[test]
fn a_file_that_vanishes_is_an_error_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = LoaderOptions {
        batch: 4,
        order: Order::Listed,
        seed: 0,
        threads: 2,
        prefetch: 2,
    };
    let loader = Loader::new(images(folder.path(), 0), preprocess(), None, options);
    fs_err::remove_file(folder.path().join("05.png")).unwrap();
    let found: Vec<bool> = loader.epoch(1, 0).map(|batch| batch.is_ok()).collect();
    assert_eq!(found, [true, false]);
}

#[test]
fn dropping_the_iterator_ends_its_threads() {
    let folder = tempfile::tempdir().unwrap();
    let loader = loader(folder.path(), None, 3, 1);
    let mut epoch = loader.epoch(1, 0);
    assert!(epoch.next().unwrap().is_ok());
    let inner = Arc::downgrade(&loader.inner);
    drop(loader);
    // The workers hold the loader's insides; `drop` joins them, so that nothing is left.
    drop(epoch);
    assert_eq!(inner.strong_count(), 0);
}

#[test]
fn a_balanced_epoch_has_every_class_equally_often_and_any_image_may_come() {
    // 1, 3 and 13 images; class 1 has none.
    let labels: Vec<u32> = [vec![0], vec![2; 3], vec![3; 13]].concat();
    let mut seen = vec![0; labels.len()];
    let mut extra = [0; 4];
    for epoch in 1..=30 {
        let drawn = Order::Balanced.indices(&labels, 5, epoch);
        assert_eq!(drawn.len(), 17);
        let mut counts = [0; 4];
        for index in drawn {
            seen[index] += 1;
            counts[labels[index] as usize] += 1;
        }
        // 17 is 5 for each and 2 more.
        let mut sorted = counts;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 5, 6, 6], "epoch {epoch}");
        for (extra, count) in extra.iter_mut().zip(counts) {
            *extra += usize::from(count == 6);
        }
    }
    assert_eq!(extra, [20, 0, 20, 20]);
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
    let drawn = |seed, epoch| Order::Balanced.indices(&labels, seed, epoch);
    assert_eq!(drawn(5, 2), drawn(5, 2));
    assert_ne!(drawn(5, 2), drawn(5, 3));
    assert_ne!(drawn(5, 2), drawn(6, 2));
    assert!(Order::Balanced.indices(&[], 5, 1).is_empty());
}

#[test]
fn an_image_that_is_drawn_twice_is_augmented_in_two_ways_and_an_epoch_resumes_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let options = LoaderOptions {
        batch: 4,
        order: Order::Balanced,
        seed: 9,
        threads: 3,
        prefetch: 2,
    };
    let augment = Some("noise(0.2)".parse().unwrap());
    let loader = Loader::new(
        images(folder.path(), 1 << 20),
        preprocess(),
        augment,
        options,
    );
    let epoch = batches(&loader, 1, 0);
    assert_eq!(loader.num_batches(), epoch.len());
    assert_eq!(batches(&loader, 1, 1), epoch[1..]);
    let rows: Vec<(usize, &[f32])> = epoch
        .iter()
        .flat_map(|batch| {
            batch
                .indices
                .iter()
                .copied()
                .zip(batch.images.chunks(3 * 16 * 16))
        })
        .collect();
    let pairs = rows
        .iter()
        .enumerate()
        .flat_map(|(i, a)| rows[..i].iter().map(move |b| (a, b)));
    let repeats: Vec<_> = pairs.filter(|(a, b)| a.0 == b.0).collect();
    assert!(
        !repeats.is_empty(),
        "no image came twice: the test shows nothing"
    );
    assert!(repeats.iter().all(|(a, b)| a.1 != b.1));
}

#[test]
fn the_images_of_a_pair_follow_each_other_and_each_is_augmented_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = [PairKind::Same, PairKind::Different, PairKind::Forged];
    let pairs: Vec<Pair> = (0..9)
        .map(|i| Pair {
            a: i,
            b: (i * 5 + 1) % COUNT,
            kind: kinds[i % 3],
        })
        .collect();
    let with_pairs = |augment, threads| {
        loader(folder.path(), augment, threads, 2).with_pairs(pairs.clone().into())
    };
    let loader = with_pairs(None, 3);
    assert_eq!(loader.num_batches(), 3);
    let plain = batches(&loader, 1, 0);
    let mut seen = Vec::new();
    for batch in &plain {
        assert_eq!(batch.shape[0], 2 * batch.labels.len());
        for (indices, label) in batch.indices.chunks(2).zip(&batch.labels) {
            let pair = pairs.iter().find(|pair| pair.a == indices[0]).unwrap();
            assert_eq!((pair.b, pair.kind.label()), (indices[1], *label));
            seen.push(pair.a);
        }
    }
    assert_ne!(seen, (0..9).collect::<Vec<_>>());
    seen.sort_unstable();
    assert_eq!(seen, (0..9).collect::<Vec<_>>());
    assert_eq!(batches(&loader, 1, 2), plain[2..]);
    // One image in two pairs: as it is the same, augmented not.
    let twins: Vec<Pair> = [Pair {
        a: 4,
        b: 4,
        ..pairs[0]
    }]
    .to_vec();
    let images = |augment| {
        let loader = with_pairs(augment, 1).with_pairs(twins.clone().into());
        let batch = batches(&loader, 1, 0).remove(0);
        let half = batch.images.len() / 2;
        (batch.images[..half].to_vec(), batch.images[half..].to_vec())
    };
    let (first, second) = images(None);
    assert_eq!(first, second);
    let (first, second) = images(Some("rotate(20)|noise"));
    assert_ne!(first, second);
}
