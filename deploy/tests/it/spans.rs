//! Spans of the stages of a call.

use std::num::NonZeroU64;
use std::sync::Mutex;

use classifold::engine::FakeEngine;
use classifold::image::ImageFormat;
use classifold::{Classifier, RgbImage, card::OutputKind};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the names of the spans of this library, in the order of their starts.
struct Names(&'static Mutex<Vec<&'static str>>);

impl Subscriber for Names {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "classifold"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.lock().unwrap().push(span.metadata().name());
        Id::from_non_zero_u64(NonZeroU64::MIN)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn a_call_has_a_span_for_each_stage() {
    static NAMES: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let classifier = Classifier::from_engines(
        vec![Box::new(FakeEngine::new(2, std::time::Duration::ZERO))],
        vec!["dark".into(), "light".into()],
        "decode(gray, exif)|resize(2, 2, bilinear, antialias)|layout(nchw, f32)"
            .parse()
            .unwrap(),
        OutputKind::Logits,
    )
    .unwrap();
    let image = RgbImage::from_pixel(3, 2, [7; 3].into());
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).unwrap();
    tracing::subscriber::with_default(Names(&NAMES), || {
        classifier.classify_bytes(png.get_ref()).unwrap();
        classifier
            .try_classify(classifold::Frame::from(&image))
            .unwrap();
    });
    let stages = ["decode", "prepare", "wait", "run", "prepare", "wait", "run"];
    assert_eq!(*NAMES.lock().unwrap(), stages);
}
