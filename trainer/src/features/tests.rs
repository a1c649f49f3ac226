//! Tests that need no engine; `tests/features.rs` has the others.

use std::collections::HashMap;

use data::{Preprocess, RgbImage, Sample};
use image::Rgb;

use super::workers::prepare;
use super::{View, readable};
use crate::Error;

fn noise_image() -> RgbImage {
    RgbImage::from_fn(90, 60, |x, y| Rgb([x as u8 * 2, y as u8 * 3, 90]))
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
