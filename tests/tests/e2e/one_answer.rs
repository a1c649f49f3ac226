//! The same image has the same probabilities through every entrance, to the bit: those of `deploy predict`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deploy::image::DynamicImage;
use deploy::{Classifier, PixelFormat, Pixels, Prediction, RgbImage};
use fs_err as fs;
use tests::{Tool, Workshop};

use crate::capi::{compile, fields, predicted};

/// Classifies the images of a folder, of which there must be `count`, by the model of a run.
pub(crate) fn through_every_entrance(shop: &Workshop, run: &str, folder: &Path, count: usize) {
    let model = shop.path(format!("runs/{run}/model.onnx"));
    let expected = predicted(shop, folder);
    let mut paths: Vec<PathBuf> = expected.keys().map(|(path, _)| path.into()).collect();
    paths.dedup();
    assert_eq!(paths.len(), count);
    let library = tests::workshop::ensure_runtime(&shop.path(""));
    let search = deploy::runtime::Search::from_env(Some(library.to_owned()), None);
    let library = deploy::runtime::find(&search).unwrap();
    let classifier = Classifier::builder(&model).runtime(library).open().unwrap();
    let same = |path: &Path, answer: &Prediction, entrance: &str| {
        for (class, probability) in answer.top(9) {
            let expected = expected[&(path.to_str().unwrap().to_owned(), class.to_owned())];
            assert_eq!(
                expected.to_bits(),
                probability.to_bits(),
                "{entrance}: {}",
                path.display()
            );
        }
    };
    for path in &paths {
        let bytes = fs::read(path).unwrap();
        let image = deploy::decode::decode(&bytes, &deploy::Limits::default()).unwrap();
        let bgra = to_bgra(&image);
        let frame = Pixels {
            bytes: &bgra,
            width: image.width(),
            height: image.height(),
            row_stride: stride(&image),
            format: PixelFormat::Bgra8,
        };
        let second = Duration::from_secs(60);
        let answers = BTreeMap::from([
            ("path", classifier.classify_path(path)),
            ("bytes", classifier.classify_bytes(&bytes)),
            (
                "RGB",
                classifier.classify_pixels(deploy::Frame::from(&image)),
            ),
            ("BGRA", classifier.classify_pixels(frame)),
            ("in time", classifier.classify_timeout(path, second)),
            (
                "image",
                classifier.classify(&DynamicImage::ImageRgb8(image.clone())),
            ),
        ]);
        for (entrance, answer) in answers {
            same(path, &answer.unwrap(), entrance);
        }
    }
    let mut answered = 0;
    classifier.classify_many(&paths, |index, answer| {
        same(&paths[index], &answer.unwrap(), "many");
        answered += 1;
    });
    assert_eq!(answered, count);
    let program = compile(shop, "cc", "classify.c");
    let mut tool = Tool::new(&program, &shop.path("")).path(&model);
    for path in &paths {
        tool = tool.path(path);
    }
    let lines = fields(&tool.run().ok());
    assert_eq!(lines.len(), count);
    for line in lines {
        let [path, class, probability] = line.try_into().unwrap();
        let probability: f32 = probability.parse().unwrap();
        assert_eq!(expected[&(path, class)].to_bits(), probability.to_bits());
    }
}

/// Bytes of a row of BGRA, which cameras align.
fn stride(image: &RgbImage) -> usize {
    (4 * image.width() as usize).next_multiple_of(64)
}

fn to_bgra(image: &RgbImage) -> Vec<u8> {
    let mut bytes = vec![0; stride(image) * image.height() as usize];
    for (x, y, pixel) in image.enumerate_pixels() {
        let offset = y as usize * stride(image) + 4 * x as usize;
        let [red, green, blue] = pixel.0;
        bytes[offset..offset + 4].copy_from_slice(&[blue, green, red, 255]);
    }
    bytes
}
