//! Images in every form, calls that end early, and many images at once.

use std::sync::Barrier;
use std::time::Duration;

use classifold::card::OutputKind;
use classifold::engine::{Engine, FakeEngine};
use classifold::image;
use classifold::{
    CancelToken, Classifier, Input, Kind, PixelFormat, Pixels, Prediction, Result, Session,
    SessionOptions,
};
use fs_err as fs;

use crate::support::{Tiny, flat, installed, shared};

/// A classifier over engines that wait.
fn slow(engines: usize, delay: Duration) -> Classifier {
    let engine = || Box::new(FakeEngine::new(2, delay)) as Box<dyn Engine>;
    Classifier::from_engines(
        (0..engines).map(|_| engine()).collect(),
        vec!["dark".into(), "light".into()],
        "decode(gray, exif)|resize(2, 3, bilinear, antialias)|layout(nchw, f32)"
            .parse()
            .unwrap(),
        OutputKind::Logits,
    )
    .unwrap()
}

fn prepared() -> Input<'static> {
    Input::Prepared(vec![1.0; 6].into())
}

fn kind(result: Result<Prediction>) -> Kind {
    result.unwrap_err().kind()
}

#[test]
fn every_form_of_an_image_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let classifier = tiny.builder(&tiny.save(folder.path())).open().unwrap();
    let mut image = flat(40, 90);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        pixel.0 = [(x * 19) as u8, (y * 31) as u8, (x * y * 3) as u8];
    }
    let path = folder.path().join("a.png");
    image.save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let decoded = image::DynamicImage::from(image.clone());
    let frame = Pixels {
        bytes: image.as_raw(),
        width: image.width(),
        height: image.height(),
        row_stride: 3 * image.width() as usize,
        format: PixelFormat::Rgb8,
    };
    let expected = classifier.classify_path(&path).unwrap();
    let numbers = classifier.prepare(&image).unwrap();
    let forms: [Input<'_>; 5] = [
        path.as_path().into(),
        bytes.as_slice().into(),
        (&decoded).into(),
        frame.into(),
        Input::Prepared(numbers.into()),
    ];
    for form in forms {
        let name = format!("{form:?}");
        assert_eq!(classifier.classify_input(form).unwrap(), expected, "{name}");
    }
    assert_eq!(classifier.classify_bytes(&bytes).unwrap(), expected);
    assert_eq!(classifier.classify(&decoded).unwrap(), expected);
    assert_eq!(classifier.classify_pixels(frame).unwrap(), expected);
    let probabilities = classifier.probabilities(&expected.logits).unwrap();
    assert_eq!(probabilities[0] as f32, expected.probabilities[0]);
    let short = Input::Prepared(vec![0.0; 5].into());
    assert_eq!(kind(classifier.classify_input(short)), Kind::Argument);
    assert_eq!(
        kind(classifier.classify_input(&b"no image"[..])),
        Kind::Image
    );
}

#[test]
fn the_card_or_the_builder_says_what_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let mut card = tiny.card();
    card.threshold = Some(0.75);
    let mut document = tiny.document();
    document.set_metadata(classifold::card::PREFIX, &card.to_pairs());
    let path = folder.path().join("tiny.onnx");
    document.save(&path).unwrap();
    let open = || Classifier::builder(&path).runtime(installed().clone());
    let (sure, unsure) = (flat(0, 250).into(), flat(100, 102).into());
    let classifier = open().open().unwrap();
    assert_eq!(classifier.reject_below(), Some(0.75));
    assert_eq!(classifier.classify(&sure).unwrap().answer(), Some("blue"));
    let unknown = classifier.classify(&unsure).unwrap();
    assert!(
        unknown.is_rejected && unknown.label == "blue",
        "{unknown:?}"
    );
    let all = open().reject_below(0.0).open().unwrap();
    assert_eq!(all.classify(&unsure).unwrap().answer(), Some("blue"));
    let error = open().reject_below(1.5).open().unwrap_err();
    assert_eq!(error.kind(), Kind::Argument);
    assert!(open().reject_below(f32::NAN).open().is_err());
}

#[test]
fn a_call_does_not_wait_longer_than_it_may() {
    let classifier = slow(1, Duration::from_millis(400));
    let (barrier, token) = (Barrier::new(2), CancelToken::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            classifier.classify_input(prepared()).unwrap();
        });
        barrier.wait();
        // The other call has the one engine by then.
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(kind(classifier.try_classify(prepared())), Kind::Busy);
        let brief = Duration::from_millis(20);
        assert_eq!(
            kind(classifier.classify_timeout(prepared(), brief)),
            Kind::Timeout
        );
        let waiting = scope.spawn(|| classifier.classify_cancellable(prepared(), &token));
        token.cancel();
        assert_eq!(kind(waiting.join().unwrap()), Kind::Cancelled);
    });
    assert!(classifier.try_classify(prepared()).is_ok());
    let plenty = Duration::from_secs(60);
    assert!(classifier.classify_timeout(prepared(), plenty).is_ok());
    let none = classifier.classify_timeout(prepared(), Duration::ZERO);
    assert_eq!(kind(none), Kind::Timeout);
}

#[test]
fn onnx_runtime_stops_where_a_call_is_cancelled_and_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let path = tiny.save(folder.path());
    classifold::runtime::load(installed()).unwrap();
    let mut session = Session::open(&path, &SessionOptions::default()).unwrap();
    let images = vec![0.5; 3 * 48];
    let expected = session.run(&images, 3).unwrap();
    let token = CancelToken::new();
    let answer = session.run_cancellable(&images, 3, &token).unwrap();
    assert_eq!(answer, expected);
    token.cancel();
    let error = session.run_cancellable(&images, 3, &token).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert_eq!(session.run(&images, 3).unwrap(), expected);
}

#[test]
fn a_bad_image_among_many_fails_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let builder = tiny.builder(&tiny.save(folder.path()));
    let classifier = builder.sessions(2).open().unwrap();
    let paths: Vec<_> = (0..37_u8)
        .map(|index| {
            let path = folder.path().join(format!("{index}.png"));
            match index % 5 {
                3 => fs::write(&path, b"no image").unwrap(),
                _ => flat(index, 37 - index).save(&path).unwrap(),
            }
            path
        })
        .collect();
    let mut answers = Vec::new();
    classifier.classify_many(&paths, |index, answer| {
        assert_eq!(index, answers.len());
        answers.push(answer);
    });
    assert_eq!(answers.len(), 37);
    for (index, answer) in answers.into_iter().enumerate() {
        match index % 5 {
            3 => assert_eq!(kind(answer), Kind::Image),
            _ => {
                let alone = classifier.classify_path(&paths[index]).unwrap();
                assert_eq!(answer.unwrap().label, alone.label, "{index}");
            }
        }
    }
    classifier.classify_many(Vec::<Vec<u8>>::new(), |_, _| panic!("there are none"));
}

#[test]
fn a_server_has_a_session_for_each_core() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let path = tiny.save(folder.path());
    let server = tiny.builder(&path).for_server().open().unwrap();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(server.num_sessions(), cores.min(8));
    assert!(server.classify(&flat(3, 200).into()).is_ok());
}

#[test]
fn photos_give_the_same_bits_in_every_form() {
    let (Some(model), Some(photos)) = (
        shared("weights/resnet18.onnx"),
        shared("data/hymenoptera/val/ants"),
    ) else {
        return;
    };
    let preprocess = classifold::Preprocess::imagenet();
    let names = (0..1000).map(|index| index.to_string()).collect();
    let builder = Classifier::builder(&model).preprocess(preprocess);
    let classifier = builder
        .classes(names)
        .output_kind(OutputKind::Logits)
        .runtime(installed().clone())
        .open()
        .unwrap();
    let mut paths: Vec<_> = fs::read_dir(photos)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|name| name == "jpg"))
        .collect();
    paths.sort();
    for path in &paths[..3] {
        let expected = classifier.classify_path(path).unwrap();
        let bytes = fs::read(path).unwrap();
        let image = classifold::decode::decode(&bytes, classifier.limits()).unwrap();
        // Rows of a frame in another order, padded.
        let (mut rows, stride) = (Vec::new(), 4 * image.width() as usize + 12);
        for row in image.rows() {
            row.for_each(|p| rows.extend([p[2], p[1], p[0], 255]));
            rows.extend([9; 12]);
        }
        let frame = Pixels {
            bytes: &rows,
            width: image.width(),
            height: image.height(),
            row_stride: stride,
            format: PixelFormat::Bgra8,
        };
        let plenty = Duration::from_secs(60);
        let answers = [
            classifier.classify_bytes(&bytes),
            classifier.classify(&image.clone().into()),
            classifier.classify_pixels(frame),
            classifier.classify_timeout(frame, plenty),
        ];
        for answer in answers {
            assert_eq!(answer.unwrap(), expected, "{path:?}");
        }
    }
}
