//! Models of every kind that is supported, and one classifier for many threads.

use std::io::Cursor;
use std::time::Duration;

use classifold::card::OutputKind;
use classifold::engine::FakeEngine;
use classifold::image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb, Rgba};
use classifold::{Batch, Classifier, Provider, Session, SessionOptions};
use onnx::Dim;
use onnx::proto::DataType;

use crate::support::{Tiny, flat, installed};

fn striped_images() -> Vec<DynamicImage> {
    [(255, 0), (0, 255), (250, 40), (3, 90), (200, 100)]
        .map(|(red, blue)| DynamicImage::ImageRgb8(flat(red, blue)))
        .to_vec()
}

const LABELS: [&str; 5] = ["red", "blue", "red", "blue", "red"];

fn check(tiny: &Tiny) {
    let folder = tempfile::tempdir().unwrap();
    let classifier = tiny.builder(&tiny.save(folder.path())).open().unwrap();
    let batch = classifier.classify_batch(&striped_images()).unwrap();
    for ((image, label), in_batch) in striped_images().iter().zip(LABELS).zip(&batch) {
        let alone = classifier.classify(image).unwrap();
        assert_eq!(alone.label, label);
        assert_eq!(in_batch.label, label);
        assert!((alone.probability - in_batch.probability).abs() < 1e-3);
        let sum: f32 = alone.probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    // softmax([10, 0]) for pure red and no blue
    let expected = 1.0 / (1.0 + (-10.0_f32).exp());
    assert!(
        (batch[0].probability - expected).abs() < 1e-3,
        "{}",
        batch[0].probability
    );
}

#[test]
fn a_dynamic_batch() {
    check(&Tiny::default());
}

#[test]
fn a_fixed_batch_is_cut_and_padded() {
    for size in [1, 2, 3, 8] {
        check(&Tiny {
            batch: Dim::Fixed(size),
            ..Tiny::default()
        });
    }
}

#[test]
fn half_precision_in_and_out() {
    check(&Tiny {
        input: DataType::Float16,
        ..Tiny::default()
    });
}

#[test]
fn an_open_batch_without_a_name() {
    check(&Tiny {
        batch: Dim::Unknown,
        ..Tiny::default()
    });
}

#[test]
fn channels_last() {
    check(&Tiny {
        nhwc: true,
        ..Tiny::default()
    });
}

#[test]
fn an_output_that_is_softmaxed_already() {
    check(&Tiny {
        last: Some("Softmax"),
        ..Tiny::default()
    });
}

#[test]
fn one_sigmoid_output_for_two_classes() {
    check(&Tiny {
        last: Some("Sigmoid"),
        single: true,
        ..Tiny::default()
    });
    check(&Tiny {
        single: true,
        ..Tiny::default()
    });
}

#[test]
fn an_output_whose_size_only_a_run_tells() {
    check(&Tiny {
        unknown_output: true,
        ..Tiny::default()
    });
    check(&Tiny {
        unknown_output: true,
        batch: Dim::Fixed(3),
        ..Tiny::default()
    });
}

#[test]
fn bytes_go_in_as_bytes() {
    let tiny = Tiny {
        input: DataType::Uint8,
        ..Tiny::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let classifier = tiny.builder(&tiny.save(folder.path())).open().unwrap();
    let logits = classifier
        .logits(&classifier.prepare(&flat(200, 100)).unwrap(), 1)
        .unwrap();
    assert_eq!(logits, [2000.0, 1000.0]);
}

#[test]
fn the_graph_tells_what_the_output_means() {
    let kinds = [
        (None, OutputKind::Logits),
        (Some("Softmax"), OutputKind::Probabilities),
        (Some("Sigmoid"), OutputKind::Independent),
        (Some("Identity"), OutputKind::Logits),
    ];
    for (last, kind) in kinds {
        let folder = tempfile::tempdir().unwrap();
        let path = Tiny {
            last,
            ..Tiny::default()
        }
        .save(folder.path());
        let classifier = Tiny::default().builder(&path).open().unwrap();
        assert_eq!(classifier.output_kind(), kind, "{last:?}");
        let note = format!("its output is read as {}: ", kind.name());
        assert!(classifier.notes()[0].starts_with(&note), "{last:?}");
    }
}

#[test]
fn a_card_needs_no_flags() {
    let tiny = Tiny::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let mut document = tiny.document();
    document.set_metadata(classifold::card::PREFIX, &tiny.card().to_pairs());
    document.save(&path).unwrap();
    let classifier = Classifier::builder(&path)
        .runtime(installed().clone())
        .open()
        .unwrap();
    assert_eq!(classifier.classes(), ["red", "blue"]);
    assert_eq!(classifier.card(), Some(&tiny.card()));

    let image = folder.path().join("blue.png");
    flat(0, 255).save(&image).unwrap();
    let by_path = classifier.classify_path(&image).unwrap();
    assert_eq!(by_path.label, "blue");
    let bytes = fs_err::read(&image).unwrap();
    assert_eq!(classifier.classify_bytes(&bytes).unwrap(), by_path);
}

#[test]
fn many_threads_get_their_own_answers() {
    let tiny = Tiny::default();
    let folder = tempfile::tempdir().unwrap();
    let classifier = tiny
        .builder(&tiny.save(folder.path()))
        .sessions(2)
        .open()
        .unwrap();
    assert_eq!(classifier.num_sessions(), 2);
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let classifier = &classifier;
            scope.spawn(move || {
                for i in 0..20_u8 {
                    let (red, blue) = (thread * 30 + i, 255 - thread * 30);
                    let image = flat(red, blue);
                    let logits = classifier
                        .logits(&classifier.prepare(&image).unwrap(), 1)
                        .unwrap();
                    assert!((logits[0] - f32::from(red) / 25.5).abs() < 1e-4);
                    assert!((logits[1] - f32::from(blue) / 25.5).abs() < 1e-4);
                }
            });
        }
    });
}

#[test]
fn a_session_tells_what_it_is() {
    classifold::runtime::load(installed()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny {
        batch: Dim::Fixed(2),
        ..Tiny::default()
    }
    .save(folder.path());
    let mut session = Session::open(&path, &SessionOptions::default()).unwrap();
    assert_eq!((session.input(), session.output()), ("input", "logits"));
    assert_eq!(
        (session.batch(), session.num_outputs()),
        (Batch::Fixed(2), 2)
    );
    assert_eq!(session.image_shape(), [3, 4, 4]);
    assert!(session.run(&[], 0).unwrap().is_empty());
    let error = session.run(&[0.0; 47], 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 images of this model are 48 numbers, 47 given"
    );
}

#[test]
fn a_provider_that_the_library_lacks_is_an_error_and_no_fallback() {
    let tiny = Tiny::default();
    let folder = tempfile::tempdir().unwrap();
    let path = tiny.save(folder.path());
    for provider in [
        Provider::Cuda { device: 0 },
        Provider::TensorRt { device: 0 },
    ] {
        let error = tiny.builder(&path).provider(provider).open().unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("provider `{provider}` cannot start")),
            "{text}"
        );
        // Without a GPU the driver is missing, with one the library for it.
        assert!(text.contains("\n  expected: "), "{text}");
        assert!(error.hint().is_some(), "{text}");
    }
}

/// A picture of 3 x 2 pixels in each kind of colours that PNG has.
fn images_of_every_kind() -> Vec<DynamicImage> {
    use classifold::image::ImageBuffer;
    let shallow = |channel: u8| move |x: u32, y: u32| (40 * x + 90 * y) as u8 + channel;
    let deep = |channel: u16| move |x: u32, y: u32| (260 * x + 7000 * y) as u16 + 300 * channel;
    vec![
        ImageBuffer::from_fn(3, 2, |x, y| Luma([shallow(3)(x, y)])).into(),
        ImageBuffer::from_fn(3, 2, |x, y| LumaA([0, 9].map(|c| shallow(c)(x, y)))).into(),
        ImageBuffer::from_fn(3, 2, |x, y| Rgb([5, 0, 30].map(|c| shallow(c)(x, y)))).into(),
        ImageBuffer::from_fn(3, 2, |x, y| Rgba([5, 0, 30, 1].map(|c| shallow(c)(x, y)))).into(),
        ImageBuffer::from_fn(3, 2, |x, y| Luma([deep(0)(x, y)])).into(),
        ImageBuffer::from_fn(3, 2, |x, y| LumaA([2, 50].map(|c| deep(c)(x, y)))).into(),
        ImageBuffer::from_fn(3, 2, |x, y| Rgb([90, 7, 30].map(|c| deep(c)(x, y)))).into(),
        ImageBuffer::from_fn(3, 2, |x, y| Rgba([90, 7, 30, 9].map(|c| deep(c)(x, y)))).into(),
    ]
}

#[test]
fn a_decoded_image_and_its_file_have_the_same_answer() {
    let of_rgb = answers_of_every_kind("rgb");
    let of_rgba = answers_of_every_kind("rgba");
    // The engine's logits are 1 and 2 times the mean of all channels.
    for (index, (three, four)) in of_rgb.iter().zip(&of_rgba).enumerate() {
        let is_opaque = ![1, 3, 5, 7].contains(&index);
        let logit = |p: f32| (p / (1.0 - p)).ln();
        let expected = 0.75 * logit(*three) + 0.25;
        let off = (logit(*four) - expected).abs();
        assert_eq!(off < 1e-4, is_opaque, "image {index}: {off}");
    }
}

/// The probability of the second class for an image of each kind, for its file, and in a batch.
fn answers_of_every_kind(color: &str) -> Vec<f32> {
    let preprocess = format!("decode({color}, exif)|resize(3, 2)|scale(1/255)|layout(nchw, f32)");
    let classifier = Classifier::from_engines(
        vec![Box::new(FakeEngine::new(2, Duration::ZERO))],
        vec!["dark".into(), "light".into()],
        preprocess.parse().unwrap(),
        OutputKind::Logits,
    )
    .unwrap();
    let answer = |image: DynamicImage| {
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).unwrap();
        let decoded = classifier.classify(&image).unwrap();
        let file = classifier.classify_bytes(png.get_ref()).unwrap();
        assert_eq!(
            decoded.probabilities,
            file.probabilities,
            "{:?}",
            image.color()
        );
        let batch = classifier.classify_batch(&[image]).unwrap();
        assert_eq!(batch[0].probabilities, file.probabilities);
        file.probabilities[1]
    };
    images_of_every_kind().into_iter().map(answer).collect()
}

#[test]
fn pixels_without_a_known_range_are_refused() {
    let classifier = Classifier::from_engines(
        vec![Box::new(FakeEngine::new(2, Duration::ZERO))],
        vec!["dark".into(), "light".into()],
        "resize(3, 2)".parse().unwrap(),
        OutputKind::Logits,
    )
    .unwrap();
    // PIL clips 16-bit gray at 255; the upper 8 bits would be 1, 2 and 4.
    let gray = images_of_every_kind().swap_remove(4);
    let rgb = classifold::decode::to_rgb(&gray).unwrap();
    assert_eq!(rgb.as_raw()[..9], [0, 0, 0, 255, 255, 255, 255, 255, 255]);
    let floats = DynamicImage::new_rgb32f(3, 2);
    let error = classifier.classify(&floats).unwrap_err().to_string();
    assert!(
        error.contains("floating-point pixels are not supported"),
        "{error}"
    );
}
