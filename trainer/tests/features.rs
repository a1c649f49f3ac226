//! Features of a frozen backbone: computed once, the same whoever computes them.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::{Device, Tensor, TensorData};
use data::augment::Augment;
use data::{Preprocess, RgbImage, Sample};
use deploy::runtime::{self, Search};
use fs_err as fs;
use models::{CustomConfig, Network, Spec};
use safetensors::SafeTensors;
use trainer::Error;
use trainer::features::{Extracted, Extractor, ExtractorOptions, FeatureCache, FeatureTable, View};
use trainer::interrupt::Interrupt;

/// A folder with a backbone and images.
struct Shop {
    folder: tempfile::TempDir,
    samples: Vec<Sample>,
}

impl Shop {
    fn new() -> Self {
        let search = Search::new(&data::cache::dir(None).unwrap());
        let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
        runtime::load(&found).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = CustomConfig {
            width: 4,
            ..CustomConfig::default()
        };
        let network = Network::build(&Spec::Custom(config), 3, 5, &Device::flex()).unwrap();
        let document = network.to_onnx().unwrap();
        document.save(&folder.path().join("net.onnx")).unwrap();
        let samples = (0..7).map(|i| sample(folder.path(), i)).collect();
        Self { folder, samples }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("net.onnx")
    }

    fn extractor(&self, cache: &str, threads: usize, strict: bool) -> Extractor {
        let options = ExtractorOptions {
            cache: FeatureCache::new(&self.folder.path().join(cache), 1 << 20),
            provider: deploy::Provider::Cpu,
            threads,
            memory_bytes: 1 << 30,
            strict,
        };
        let backbone = trainer::backbone::open(&self.path(), None, [3, 224, 224], 1).unwrap();
        Extractor::new(&backbone, &Preprocess::imagenet(), options)
    }

    /// Looks with an extractor of its own, as another process would.
    fn look(&self, cache: &str, threads: usize, samples: &[Sample]) -> Extracted {
        let interrupt = Interrupt::default();
        let mut extractor = self.extractor(cache, threads, false);
        extractor
            .extract(samples, &views(), &interrupt, &mut |_, _| {})
            .unwrap()
    }
}

/// An image of noise, none square, none like another.
fn sample(folder: &Path, index: usize) -> Sample {
    let relative = format!("{index}.png");
    let path = folder.join(&relative);
    let mut state = 7 + index as u32;
    let image = RgbImage::from_fn(260 + index as u32, 250, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        image::Rgb([(state >> 24) as u8, (state >> 16) as u8, index as u8])
    });
    image.save(&path).unwrap();
    let label = index as u32 % 2;
    Sample {
        path,
        relative,
        label,
    }
}

/// Rows of another time under the keys of today.
fn spoil(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let header = SafeTensors::read_metadata(&bytes).unwrap().1;
        let key = header.metadata().as_ref().unwrap()["key"].clone();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let images = file.tensor("images").unwrap();
        let width = file.tensor("features").unwrap().shape()[1];
        let table = FeatureTable::parse(&bytes, &key, width).unwrap();
        let mut spoilt = FeatureTable::new(width);
        for image in images.data().as_chunks::<32>().0 {
            let row = table.row(image).unwrap().iter();
            let row: Vec<f32> = row.map(|value| 1.5 * value + 0.1).collect();
            spoilt.insert(*image, &row);
        }
        fs::write(&path, spoilt.to_bytes(&key).unwrap()).unwrap();
    }
}

#[test]
fn features_that_are_not_the_backbones_are_seen_and_do_not_score() {
    let shop = Shop::new();
    let folder = shop.folder.path();
    for (split, count) in [("train", 6), ("val", 4), ("test", 4)] {
        for (i, class) in (0..count).zip(["ants", "bees"].iter().cycle()) {
            let folder_of_class = folder.join("data").join(split).join(class);
            fs::create_dir_all(&folder_of_class).unwrap();
            sample(&folder_of_class, i);
        }
    }
    let fit = |name: &str| {
        let flags = "fit --data data --backbone net.onnx --epochs 2 --cache cache --name";
        let output = Command::new(env!("CARGO_BIN_EXE_trainer"))
            .current_dir(folder)
            .args(flags.split(' '))
            .arg(name)
            .env("ORT_DYLIB_PATH", &runtime::loaded().unwrap().path)
            .output()
            .unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success(), "{err}");
        (out, err)
    };
    let (out, err) = fit("good");
    assert!(
        out.contains("test images, features by ONNX Runtime"),
        "{out}"
    );
    assert!(!err.contains("are not this backbone's"), "{err}");
    spoil(&folder.join("cache/features"));
    let (out, err) = fit("bad");
    assert!(err.contains("are not this backbone's"), "{err}");
    assert!(
        out.contains("test images, ONNX Runtime") && out.contains("verified"),
        "{out}"
    );
}

fn views() -> Vec<View> {
    View::first(3, &Augment::default())
}

#[test]
fn what_is_kept_is_what_was_computed() {
    let shop = Shop::new();
    let cold = shop.look("cache", 2, &shop.samples);
    assert_eq!((cold.num_cached, cold.num_computed), (0, 21));
    let warm = shop.look("cache", 2, &shop.samples);
    assert_eq!((warm.num_cached, warm.num_computed), (21, 0));
    assert_eq!(cold.features, warm.features);
    // Other images among known ones, in another order.
    let mut mixed = vec![sample(shop.folder.path(), 90)];
    mixed.extend(shop.samples.iter().rev().cloned());
    let more = shop.look("cache", 2, &mixed);
    assert_eq!((more.num_cached, more.num_computed), (21, 3));
    for view in 0..3 {
        assert_eq!(more.features.row(view, 1), cold.features.row(view, 6));
    }
}

#[test]
fn threads_and_the_cache_change_no_bit() {
    let shop = Shop::new();
    let one = shop.look("one", 1, &shop.samples);
    let two = shop.look("two", 2, &shop.samples);
    assert_eq!(one.features, two.features);
    let files = ["one", "two"].map(|cache| {
        let folder = shop.folder.path().join(cache).join("features");
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.map(|path| fs::read(path).unwrap()).collect();
        files.sort();
        files
    });
    assert_eq!(files[0].len(), 3);
    assert!(files[0] == files[1]);
    // One alone has the row that it has among others.
    let alone = shop.look("three", 1, &shop.samples[4..5]);
    assert_eq!(alone.features.row(2, 0), one.features.row(2, 4));
}

#[test]
fn a_row_is_what_burn_computes() {
    let shop = Shop::new();
    let backbone = trainer::backbone::open(&shop.path(), None, [3, 224, 224], 1).unwrap();
    let spec = Spec::Imported(backbone);
    let network = Network::build(&spec, 2, 0, &Device::flex()).unwrap();
    let found = shop.look("cache", 2, &shop.samples);
    for (index, sample) in shop.samples.iter().enumerate() {
        let image = data::decode::open(&sample.path, &data::Limits::default()).unwrap();
        let input = Preprocess::imagenet().apply(&image).unwrap();
        let input = TensorData::new(input, [1, 3, 224, 224]);
        let row = network.features(Tensor::from_data(input, &Device::flex()));
        let row = row.unwrap().into_data().try_into_vec::<f32>().unwrap();
        let largest = row.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        for (ours, theirs) in found.features.row(0, index).iter().zip(&row) {
            assert!((ours - theirs).abs() <= 1e-5 * largest, "{ours} {theirs}");
        }
    }
}

#[test]
fn a_damaged_shelf_is_computed_again() {
    let shop = Shop::new();
    let cold = shop.look("cache", 2, &shop.samples);
    for entry in fs::read_dir(shop.folder.path().join("cache/features")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        fs::write(path, bytes).unwrap();
    }
    let again = shop.look("cache", 2, &shop.samples);
    assert_eq!((again.num_cached, again.num_computed), (0, 21));
    assert_eq!(again.features, cold.features);
    assert_eq!(shop.look("cache", 2, &shop.samples).num_computed, 0);
}

#[test]
fn a_cache_that_cannot_be_written_is_said_and_no_error() {
    let shop = Shop::new();
    fs::write(shop.folder.path().join("file"), "no folder").unwrap();
    let found = shop.look("file", 2, &shop.samples);
    assert_eq!(found.num_computed, 21);
    assert!(found.cache_error.is_some());
}

#[test]
fn an_interrupted_look_keeps_what_it_has() {
    let shop = Shop::new();
    let interrupt = Interrupt::default();
    let mut extractor = shop.extractor("cache", 1, false);
    let mut progress = |done, missing| {
        assert_eq!(missing, 21);
        if done >= 4 {
            interrupt.request();
        }
    };
    let extracted = extractor.extract(&shop.samples, &views(), &interrupt, &mut progress);
    assert!(matches!(extracted, Err(Error::Interrupted { .. })));
    let rest = shop.look("cache", 2, &shop.samples);
    assert!(
        rest.num_cached >= 4 && rest.num_computed > 0,
        "{}",
        rest.num_cached
    );
    assert_eq!(rest.num_cached + rest.num_computed, 21);
}

#[test]
fn an_unreadable_image_is_left_out_or_an_error_when_strict() {
    let shop = Shop::new();
    let mut samples: Vec<Sample> = (10..30).map(|i| sample(shop.folder.path(), i)).collect();
    fs::write(&samples[3].path, "no image").unwrap();
    for computed in [57, 0] {
        let found = shop.look("cache", 2, &samples);
        assert_eq!(
            (found.num_computed, found.num_cached),
            (computed, 57 - computed)
        );
        assert_eq!(found.features.samples().len(), 19);
        assert_eq!(found.unreadable[0].path, samples[3].path);
        assert_eq!(found.features.samples()[3], samples[4]);
    }
    let interrupt = Interrupt::default();
    let mut strict = shop.extractor("cache", 2, true);
    let error = strict
        .extract(&samples, &views(), &interrupt, &mut |_, _| {})
        .unwrap_err();
    assert!(error.to_string().contains("13.png"), "{error}");
    // A second one, which has the same content, and then a missing one.
    fs::write(&samples[5].path, "no image").unwrap();
    fs::remove_file(&samples[6].path).unwrap();
    samples.truncate(8);
    let mut lax = shop.extractor("cache", 2, false);
    let error = lax
        .extract(&samples, &views(), &interrupt, &mut |_, _| {})
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Data(data::Error::TooManyUnreadable {
                unreadable: 3,
                total: 8,
                ..
            })
        ),
        "{error}"
    );
}
