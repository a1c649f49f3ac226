//! Tests of parts; `tests/features.rs` has those of the whole.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;

use data::{DecodedImage, Preprocess, RgbImage, Sample};
use image::Rgb;

use super::engine::{Engine, GPU_BATCH};
use super::workers::{Job, Workers, prepare};
use super::{View, readable};
use crate::{Error, backbone};

fn noise_image() -> DecodedImage {
    RgbImage::from_fn(90, 60, |x, y| Rgb([x as u8 * 2, y as u8 * 3, 90])).into()
}

fn preprocess() -> Preprocess {
    let text = "decode(rgb, exif)|resize_short(36, bilinear, antialias)|center_crop(32)|\
                scale(1/255)|normalize(imagenet)|layout(nchw, f32)";
    text.parse().unwrap()
}

#[test]
fn a_view_is_the_same_each_time_and_another_view_or_image_differs() {
    for augment in ["crop(0.3..1)|hflip(0.5)", "rotate(20)"] {
        let views = View::first(3, &augment.parse().unwrap());
        let make = |view: usize, image| {
            prepare(&noise_image(), image, &views[view], &preprocess()).unwrap()
        };
        assert_eq!(
            make(0, &[1; 32]),
            preprocess().apply(&noise_image()).unwrap()
        );
        assert_eq!(make(0, &[1; 32]), make(0, &[2; 32]));
        for view in [1, 2] {
            assert_eq!(make(view, &[1; 32]), make(view, &[1; 32]), "{augment}");
            assert_ne!(make(view, &[1; 32]), make(view, &[2; 32]), "{augment}");
            assert_ne!(make(view, &[1; 32]), make(0, &[1; 32]), "{augment}");
        }
        assert_ne!(make(1, &[1; 32]), make(2, &[1; 32]), "{augment}");
    }
}

#[test]
fn unreadable_images_are_left_out_up_to_one_in_twenty() {
    let sample = |index: u32| Sample {
        path: format!("{index}.jpg").into(),
        relative: format!("{index}.jpg"),
        label: index % 2,
    };
    let samples: Vec<Sample> = (0..20).map(sample).collect();
    let broken = |indices: &[usize]| -> HashMap<_, _> {
        let path = |&index: &usize| samples[index].path.clone();
        let error = |path: std::path::PathBuf| {
            let reason = "torn".into();
            let path = Some(path);
            data::Error::from(data::pixels::Error::Undecodable { path, reason })
        };
        indices
            .iter()
            .map(|index| (path(index), error(path(index))))
            .collect()
    };
    let (kept, left_out) = readable(&samples, broken(&[7]), false).unwrap();
    assert_eq!((kept.len(), kept[7].label), (19, 0));
    assert_eq!(left_out[0].path, samples[7].path);
    assert_eq!(left_out[0].reason, "torn");
    let error = readable(&samples, broken(&[7]), true).unwrap_err();
    assert!(error.to_string().contains("7.jpg"), "{error}");
    let error = readable(&samples, broken(&[9, 3]), false).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Data(data::Error::TooManyUnreadable { unreadable: 2, path, .. })
                if path.ends_with("3.jpg")
        ),
        "{error}"
    );
}

/// A GPU computes batches. Here a session on the CPU stands for it.
#[test]
fn batches_give_the_features_of_single_images() {
    let search = deploy::runtime::Search::new(&data::cache::dir(None).unwrap());
    let found = deploy::runtime::ensure(&search, &|_| {}, true).unwrap();
    deploy::runtime::load(&found).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let spec = models::Spec::Custom(models::CustomConfig {
        width: 2,
        ..models::CustomConfig::default()
    });
    let network = models::Network::build(&spec, 2, 0, &burn::tensor::Device::flex()).unwrap();
    network.to_onnx().unwrap().save(&path).unwrap();
    let backbone = backbone::open(&path, None, [3, 224, 224], 1).unwrap();
    // One batch, a part of a second, and a file that is no image.
    let count = GPU_BATCH + 3;
    let samples: Vec<Sample> = (0..count)
        .map(|index| {
            let relative = format!("{index}.png");
            let path = folder.path().join(&relative);
            match index {
                5 => fs_err::write(&path, "no image").unwrap(),
                _ => RgbImage::from_pixel(250, 240, Rgb([7 * index as u8, 90, 200]))
                    .save(&path)
                    .unwrap(),
            }
            Sample {
                path,
                relative,
                label: 0,
            }
        })
        .collect();
    let jobs: Vec<Job<'_>> = samples
        .iter()
        .map(|sample| Job {
            sample,
            hash: [0; 32],
            views: vec![0],
        })
        .collect();
    let workers = Workers {
        jobs: &jobs,
        views: &[View::Original],
        preprocess: &Preprocess::imagenet(),
        threads: 2,
        stop: &AtomicBool::new(false),
    };
    let rows = |mut engine: Engine| {
        let mut rows = BTreeMap::new();
        let mut take = |computed: super::Computed| {
            rows.insert(computed.job, computed.row.ok());
            Ok(())
        };
        workers.run(&mut engine, &mut take).unwrap();
        rows
    };
    let open = || Engine::open(&backbone, deploy::Provider::Cpu, 1, 1 << 30).unwrap();
    let alone = rows(open());
    let Engine::PerWorker(mut sessions) = open() else {
        unreachable!("the CPU has a session for each worker")
    };
    let together = rows(Engine::Batched(Box::new(sessions.remove(0))));
    assert_eq!((alone.len(), together.len()), (count, count));
    for (job, alone) in &alone {
        assert_eq!(alone.is_none(), *job == 5);
        let pairs = alone.iter().flatten().zip(together[job].iter().flatten());
        let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{job}: {off}");
    }
    assert_ne!(alone[&0], alone[&9]);
}
