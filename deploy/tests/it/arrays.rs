//! Arrays of `ndarray` in and out.

use classifold::{Encoder, Frame, Input, Kind};
use ndarray::{Array3, ArrayD, s};

use crate::support::{Tiny, flat, installed};

#[test]
fn arrays_give_the_bits_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let path = tiny.save(folder.path());
    let classifier = tiny.builder(&path).open().unwrap();
    let image = flat(30, 170);
    let expected = classifier.classify(&image.clone().into()).unwrap();
    let shape = (image.height() as usize, image.width() as usize, 3);
    let array = Array3::from_shape_vec(shape, image.clone().into_raw()).unwrap();
    let frame = Frame::try_from(array.view()).unwrap();
    assert_eq!(classifier.classify_pixels(frame).unwrap(), expected);

    let prepared = classifier.prepare_array(frame).unwrap();
    assert_eq!(prepared.shape(), [1, 3, 4, 4]);
    // Three images, stored with their axes reversed.
    let mut batch = ArrayD::zeros(vec![4, 4, 3, 3]).reversed_axes();
    batch.slice_mut(s![1..2, .., .., ..]).assign(&prepared);
    let logits = classifier.logits_array(batch.view()).unwrap();
    assert_eq!(logits.dim(), (3, 2));
    assert_eq!(logits.row(1).to_vec(), expected.logits);
    let error = classifier.logits_array(batch.slice(s![.., ..2, .., ..]).into_dyn());
    assert_eq!(error.unwrap_err().kind(), Kind::Argument);
    assert_eq!(
        classifier
            .logits_array(ArrayD::zeros(vec![0, 3, 4, 4]).view())
            .unwrap()
            .dim(),
        (0, 2)
    );

    let file = onnx::ModelFile::open(&path).unwrap();
    let settings = classifold::ClassifierBuilder::default()
        .runtime(installed().clone())
        .preprocess(tiny.preprocess());
    let encoder = Encoder::from_file(&file, settings).unwrap();
    let inputs = || [Input::from(frame), frame.into(), frame.into()];
    let features = encoder.features_array(inputs()).unwrap();
    assert_eq!(features.dim(), (3, 3));
    assert_eq!(features.row(2).to_vec(), encoder.features(frame).unwrap());
    let broken = inputs().into_iter().chain([Input::from(&b"no image"[..])]);
    assert_eq!(
        encoder.features_array(broken).unwrap_err().kind(),
        Kind::Image
    );
}

#[test]
fn an_array_that_is_no_image_is_a_mistake_of_the_caller() {
    let array = Array3::<u8>::zeros((4, 5, 3));
    assert!(Frame::try_from(array.view()).is_ok());
    let planes = Array3::<u8>::zeros((3, 4, 5));
    let crop = array.slice(s![.., 1.., ..]);
    for bad in [planes.view(), crop] {
        assert_eq!(Frame::try_from(bad).unwrap_err().kind(), Kind::Argument);
    }
    for channels in [1, 4] {
        assert!(Frame::try_from(Array3::<u8>::zeros((4, 5, channels)).view()).is_ok());
    }
}
