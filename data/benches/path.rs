//! From a file's bytes to a network's numbers, part by part: images per second on one thread.
//!
//!     cargo bench -p data
//!
//! On 32 of the ants and bees photos in `../shared/data/hymenoptera`, or on drawn images.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use classifold_data::augment::Augment;
use classifold_data::images::{Images, ImagesOptions};
use classifold_data::loader::{Loader, LoaderOptions};
use classifold_data::preprocess::PreprocessBuffers;
use classifold_data::{Preprocess, RgbImage, Sample, decode};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use zune_jpeg::zune_core::bytestream::ZCursor;

/// Images per sample, evenly spread over the folder.
const COUNT: usize = 32;

fn main() {
    divan::main();
}

static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hymenoptera");
    let folder = if photos.is_dir() { photos } else { drawn() };
    let samples = classifold_data::Dataset::open(&folder, 0).unwrap().train;
    let step = samples.len() / COUNT;
    samples.into_iter().step_by(step).take(COUNT).collect()
});

fn drawn() -> PathBuf {
    let folder = std::env::temp_dir().join("data-bench/insects");
    classifold_data::insects::ensure(&folder, &|_, _| {}).unwrap();
    folder
}

static BYTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    SAMPLES
        .iter()
        .map(|s| std::fs::read(&s.path).unwrap())
        .collect()
});

static IMAGES: LazyLock<Vec<RgbImage>> =
    LazyLock::new(|| BYTES.iter().map(|b| pixels(b)).collect());

fn pixels(bytes: &[u8]) -> RgbImage {
    decode::decode(bytes, &decode::Limits::default()).unwrap()
}

/// Times `work` on every one of `inputs`.
fn each<T: Sync>(bencher: Bencher<'_, '_>, inputs: &[T], mut work: impl FnMut(&T)) {
    bencher
        .counter(ItemsCount::new(inputs.len()))
        .bench_local(|| inputs.iter().for_each(&mut work));
}

/// These are baseline files, but for two: our own decoder.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    each(bencher, &BYTES, |bytes| drop(black_box(pixels(bytes))));
}

#[divan::bench]
fn decode_zune(bencher: Bencher<'_, '_>) {
    each(bencher, &BYTES, |bytes| {
        let pixels = zune_jpeg::JpegDecoder::new(ZCursor::new(bytes)).decode();
        drop(black_box(pixels));
    });
}

#[divan::bench]
fn resize_eval(bencher: Bencher<'_, '_>) {
    let preprocess = Preprocess::imagenet();
    each(bencher, &IMAGES, |image| {
        drop(black_box(preprocess.geometry(image)));
    });
}

#[divan::bench]
fn crop_train(bencher: Bencher<'_, '_>) {
    let (augment, mut rng) = (Augment::default(), ChaCha8Rng::seed_from_u64(0));
    each(bencher, &IMAGES, |image| {
        drop(black_box(augment.apply(image, (224, 224), &mut rng)));
    });
}

#[divan::bench]
fn to_tensor(bencher: Bencher<'_, '_>) {
    let preprocess = Preprocess::imagenet();
    let ready: Vec<_> = IMAGES
        .iter()
        .map(|p| preprocess.geometry(p).unwrap())
        .collect();
    let (buffers, mut out) = (
        PreprocessBuffers::new(&preprocess),
        vec![0.0; preprocess.output_len()],
    );
    each(bencher, &ready, |image| {
        buffers.tensor_into(image, &mut out).unwrap()
    });
}

/// From a file's bytes, as evaluation does it.
#[divan::bench]
fn whole_eval(bencher: Bencher<'_, '_>) {
    let preprocess = Preprocess::imagenet();
    let (mut buffers, mut out) = (
        PreprocessBuffers::new(&preprocess),
        vec![0.0; preprocess.output_len()],
    );
    each(bencher, &BYTES, |bytes| {
        buffers.apply_into(&pixels(bytes), &mut out).unwrap()
    });
}

/// From a decoded image to a batch, as training does it: random crops, flips, numbers.
#[divan::bench]
fn whole_train(bencher: Bencher<'_, '_>) {
    let images = Images::load(SAMPLES.clone(), &ImagesOptions::default(), &|_| {})
        .unwrap()
        .0;
    let options = LoaderOptions {
        threads: 1,
        ..LoaderOptions::default()
    };
    let augment = Some(Augment::default());
    let loader = Loader::new(Arc::new(images), Preprocess::imagenet(), augment, options);
    let mut epoch = 0;
    bencher.counter(ItemsCount::new(COUNT)).bench_local(|| {
        epoch += 1;
        drop(black_box(loader.epoch(epoch, 0).next()));
    });
}
