//! Classifier of C: an opaque handle, and the calls that take it.

use std::ffi::{CString, c_char};
use std::time::Duration;

use deploy::onnx::ModelFile;
use deploy::{Error, Input, Result};

use crate::arguments::{path, reference, reference_mut, slice, slice_mut};
use crate::frame::{Nv12, Pixels};
use crate::options::Options;
use crate::prediction::Prediction;
use crate::status::{Status, guard, text};

/// An open model. Any number of threads may use it at once.
#[derive(Debug)]
pub struct Classifier {
    inner: deploy::Classifier,
    names: Vec<CString>,
    timeout: Option<Duration>,
}

impl Classifier {
    fn new(inner: deploy::Classifier, timeout: Option<Duration>) -> Self {
        let names = inner.classes().iter().map(|name| text(name)).collect();
        Self {
            inner,
            names,
            timeout,
        }
    }

    fn classify(&self, input: Input<'_>) -> Result<deploy::Prediction> {
        match self.timeout {
            Some(timeout) => self.inner.classify_timeout(input, timeout),
            None => self.inner.classify_input(input),
        }
    }
}

/// Where C wants the answers of images; what it does not want is NULL there.
struct Answers<'a> {
    num_classes: usize,
    predictions: Option<&'a mut [Prediction]>,
    probabilities: Option<&'a mut [f32]>,
    logits: Option<&'a mut [f32]>,
}

impl<'a> Answers<'a> {
    /// # Safety
    /// Each pointer is NULL, or valid for the answers of `count` images and used by nobody else.
    unsafe fn new(
        classifier: &Classifier,
        count: usize,
        (predictions, probabilities, logits): (*mut Prediction, *mut f32, *mut f32),
    ) -> Result<Self> {
        let num_classes = classifier.names.len();
        let numbers = count.saturating_mul(num_classes);
        // SAFETY: as the caller promises.
        unsafe {
            Ok(Self {
                num_classes,
                predictions: slice_mut(predictions, count, "predictions")?,
                probabilities: slice_mut(probabilities, numbers, "probabilities")?,
                logits: slice_mut(logits, numbers, "logits")?,
            })
        }
    }

    /// Writes the answer of an image; numbers of an image without one are NaN.
    fn write(&mut self, index: usize, answer: &Result<deploy::Prediction>) {
        let prediction = match answer {
            Ok(prediction) => prediction.into(),
            Err(error) => Prediction::failed(error.kind().into()),
        };
        if let Some(predictions) = &mut self.predictions {
            predictions[index] = prediction;
        }
        let row = index * self.num_classes..(index + 1) * self.num_classes;
        let write = |to: &mut Option<&mut [f32]>, from: Option<&[f32]>| match (to, from) {
            (Some(to), Some(from)) => to[row.clone()].copy_from_slice(from),
            (Some(to), None) => to[row.clone()].fill(f32::NAN),
            (None, _) => {}
        };
        let found = answer.as_ref().ok();
        write(
            &mut self.probabilities,
            found.map(|found| found.probabilities.as_slice()),
        );
        write(&mut self.logits, found.map(|found| found.logits.as_slice()));
    }
}

/// Classifies one image.
///
/// # Safety
/// `classifier` is NULL or open; each pointer of `answers` is NULL or valid for one image.
unsafe fn classify<'a>(
    classifier: *const Classifier,
    input: impl FnOnce() -> Result<Input<'a>>,
    answers: (*mut Prediction, *mut f32, *mut f32),
) -> Status {
    guard(|| {
        // SAFETY: as the caller promises.
        let classifier = unsafe { reference(classifier, "classifier") }?;
        // SAFETY: the same.
        let mut answers = unsafe { Answers::new(classifier, 1, answers) }?;
        let answer = input().and_then(|input| classifier.classify(input));
        answers.write(0, &answer);
        answer.map(|_| ())
    })
}

/// # Safety
/// `options` is NULL or of `classifold_options_new`; `classifier` is NULL or may be written.
unsafe fn open(
    file: impl FnOnce() -> Result<ModelFile>,
    options: *const Options,
    classifier: *mut *mut Classifier,
) -> Status {
    guard(|| {
        // SAFETY: as the caller promises.
        let classifier = unsafe { reference_mut(classifier, "classifier") }?;
        *classifier = std::ptr::null_mut();
        // SAFETY: the same.
        let options = unsafe { options.as_ref() }.cloned().unwrap_or_default();
        let inner = options.builder(file()?)?.open()?;
        *classifier = Box::into_raw(Box::new(Classifier::new(inner, options.timeout)));
        Ok(())
    })
}

/// Opens a model file that carries a card. `options` may be NULL. Give the classifier back with `classifold_close`;
/// it is NULL where opening fails.
///
/// # Safety
/// `model` is a text, `options` NULL or of `classifold_options_new`, `classifier` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_open(
    model: *const c_char,
    options: *const Options,
    classifier: *mut *mut Classifier,
) -> Status {
    // SAFETY: as the caller promises.
    let file = || Ok(ModelFile::open(unsafe { path(model, "model") }?)?);
    // SAFETY: the same.
    unsafe { open(file, options, classifier) }
}

/// As `classifold_open`, of the bytes of a model file, which are copied.
///
/// # Safety
/// `bytes` is valid for `len` bytes; the rest as for `classifold_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_open_bytes(
    bytes: *const u8,
    len: usize,
    options: *const Options,
    classifier: *mut *mut Classifier,
) -> Status {
    // SAFETY: as the caller promises.
    let file = || {
        Ok(ModelFile::from_bytes(unsafe {
            slice(bytes, len, "bytes")
        }?)?)
    };
    // SAFETY: the same.
    unsafe { open(file, options, classifier) }
}

/// Closes a classifier; NULL is allowed.
///
/// # Safety
/// `classifier` is of `classifold_open` or `classifold_open_bytes`, and no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_close(classifier: *mut Classifier) {
    if !classifier.is_null() {
        // SAFETY: made by `open`, and given back once.
        guard(|| {
            drop(unsafe { Box::from_raw(classifier) });
            Ok(())
        });
    }
}

/// Number of classes `K`; 0 for NULL.
///
/// # Safety
/// `classifier` is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_num_classes(classifier: *const Classifier) -> usize {
    // SAFETY: as the caller promises.
    unsafe { classifier.as_ref() }.map_or(0, |classifier| classifier.names.len())
}

/// Name of a class in UTF-8, valid until the classifier is closed; NULL where there is no such class.
///
/// # Safety
/// `classifier` is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_class_name(
    classifier: *const Classifier,
    index: usize,
) -> *const c_char {
    // SAFETY: as the caller promises.
    let name = unsafe { classifier.as_ref() }.and_then(|classifier| classifier.names.get(index));
    name.map_or(std::ptr::null(), |name| name.as_ptr())
}

/// Classifies an image file. `prediction` gets the answer, `probabilities` and `logits` get `K` numbers each; what is
/// not wanted may be NULL.
///
/// # Safety
/// `classifier` is open, `image` a text; the others are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_classify_file(
    classifier: *const Classifier,
    image: *const c_char,
    prediction: *mut Prediction,
    probabilities: *mut f32,
    logits: *mut f32,
) -> Status {
    // SAFETY: as the caller promises.
    let input = || unsafe { path(image, "image") }.map(Input::from);
    // SAFETY: the same.
    unsafe { classify(classifier, input, (prediction, probabilities, logits)) }
}

/// Classifies the bytes of an image file, such as a JPEG. The rest is as for `classifold_classify_file`.
///
/// # Safety
/// `classifier` is open, `bytes` valid for `len` bytes; the others are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_classify_bytes(
    classifier: *const Classifier,
    bytes: *const u8,
    len: usize,
    prediction: *mut Prediction,
    probabilities: *mut f32,
    logits: *mut f32,
) -> Status {
    // SAFETY: as the caller promises.
    let input = || unsafe { slice(bytes, len, "bytes") }.map(Input::from);
    // SAFETY: the same.
    unsafe { classify(classifier, input, (prediction, probabilities, logits)) }
}

/// Classifies pixels where they lie. The rest is as for `classifold_classify_file`.
///
/// # Safety
/// `classifier` is open, `pixels` valid with its bytes; the others are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_classify_pixels(
    classifier: *const Classifier,
    pixels: *const Pixels,
    prediction: *mut Prediction,
    probabilities: *mut f32,
    logits: *mut f32,
) -> Status {
    // SAFETY: as the caller promises.
    let input = || unsafe { Ok(Input::from(reference(pixels, "pixels")?.frame()?)) };
    // SAFETY: the same.
    unsafe { classify(classifier, input, (prediction, probabilities, logits)) }
}

/// Classifies a frame of a camera or a video decoder where it lies. The rest is as for `classifold_classify_file`.
///
/// # Safety
/// `classifier` is open, `frame` valid with its planes; the others are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_classify_nv12(
    classifier: *const Classifier,
    frame: *const Nv12,
    prediction: *mut Prediction,
    probabilities: *mut f32,
    logits: *mut f32,
) -> Status {
    // SAFETY: as the caller promises.
    let input = || unsafe { Ok(Input::from(reference(frame, "frame")?.frame()?)) };
    // SAFETY: the same.
    unsafe { classify(classifier, input, (prediction, probabilities, logits)) }
}

/// Classifies `count` images of pixels in batches, on all sessions. `predictions` gets `count` answers,
/// `probabilities` and `logits` get `count * K` numbers each, image by image; what is not wanted may be NULL. An image
/// that cannot be answered fails no other: its prediction has its status, its numbers are NaN, and the call returns the
/// status of the first such image. The time limit of the options does not hold here.
///
/// # Safety
/// `classifier` is open, `images` valid for `count` images with their bytes; the others are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn classifold_classify_many(
    classifier: *const Classifier,
    images: *const Pixels,
    count: usize,
    predictions: *mut Prediction,
    probabilities: *mut f32,
    logits: *mut f32,
) -> Status {
    guard(|| {
        // SAFETY: as the caller promises.
        let classifier = unsafe { reference(classifier, "classifier") }?;
        // SAFETY: the same.
        let images = unsafe { slice(images, count, "images") }?;
        // SAFETY: the same.
        let mut answers =
            unsafe { Answers::new(classifier, count, (predictions, probabilities, logits)) }?;
        let (mut frames, mut numbers) = (Vec::new(), Vec::new());
        let mut first: Option<(usize, Error)> = None;
        let mut keep = |index: usize, answer: Result<deploy::Prediction>| {
            answers.write(index, &answer);
            if let Err(error) = answer
                && first.as_ref().is_none_or(|(other, _)| index < *other)
            {
                first = Some((index, error));
            }
        };
        for (index, image) in images.iter().enumerate() {
            // SAFETY: the same.
            match unsafe { image.frame() } {
                Ok(frame) => {
                    frames.push(frame);
                    numbers.push(index);
                }
                Err(error) => keep(index, Err(error)),
            }
        }
        classifier
            .inner
            .classify_many(frames, |index, answer| keep(numbers[index], answer));
        first.map_or(Ok(()), |(index, error)| {
            Err(error.about(format!("image {index}")))
        })
    })
}

#[cfg(test)]
mod tests {
    use deploy::card::OutputKind;
    use deploy::engine::FakeEngine;

    use super::*;
    use crate::frame::PixelFormat;

    /// Logits are the mean of the pixels times 1 and 2.
    fn classifier(timeout: Option<Duration>, time: Duration) -> Classifier {
        let preprocess = "decode(gray, exif)|resize(2, 2, bilinear, antialias)|layout(nchw, f32)";
        let inner = deploy::Classifier::from_engines(
            vec![Box::new(FakeEngine::new(2, time))],
            vec!["dark".into(), "light".into()],
            preprocess.parse().unwrap(),
            OutputKind::Logits,
        );
        Classifier::new(inner.unwrap(), timeout)
    }

    fn gray(bytes: &[u8], width: u32, height: u32, row_stride: usize) -> Pixels {
        Pixels {
            bytes: bytes.as_ptr(),
            len: bytes.len(),
            row_stride,
            width,
            height,
            format: PixelFormat::Gray8 as u32,
        }
    }

    #[test]
    fn one_image_and_many_have_the_same_answers_and_a_bad_one_fails_no_other() {
        let classifier = classifier(None, Duration::ZERO);
        let bytes = [3; 11];
        let dark = [0; 11];
        // Two rows of three pixels, eight apart; then one whose rows do not lie in its bytes.
        let images = [
            gray(&bytes, 3, 2, 8),
            gray(&bytes, 3, 3, 8),
            gray(&dark, 3, 2, 8),
        ];
        let (mut alone, mut logits) = ([Prediction::failed(Status::Ok); 3], [[0.0_f32; 2]; 3]);
        let mut statuses = [Status::Ok; 3];
        for index in 0..3 {
            // SAFETY: all that is pointed at lives on the stack.
            statuses[index] = unsafe {
                classifold_classify_pixels(
                    &classifier,
                    &images[index],
                    &mut alone[index],
                    std::ptr::null_mut(),
                    logits[index].as_mut_ptr(),
                )
            };
        }
        assert_eq!(statuses, [Status::Ok, Status::Argument, Status::Ok]);
        assert_eq!(alone.map(|one| one.status), statuses);
        assert_eq!((logits[0], logits[2]), ([3.0, 6.0], [0.0, 0.0]));
        assert!(logits[1].iter().all(|logit| logit.is_nan()));
        assert_eq!((alone[0].index, alone[2].index), (1, 0));

        let (mut many, mut probabilities) = ([Prediction::failed(Status::Busy); 3], [0.0_f32; 6]);
        // SAFETY: the same.
        let status = unsafe {
            classifold_classify_many(
                &classifier,
                images.as_ptr(),
                3,
                many.as_mut_ptr(),
                probabilities.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        assert_eq!((status, many), (Status::Argument, alone));
        assert_eq!(probabilities[1], alone[0].probability);
        assert_eq!((probabilities[4], probabilities[5]), (0.5, 0.5));
        assert!(probabilities[2..4].iter().all(|p| p.is_nan()));
    }

    #[test]
    fn a_call_ends_after_its_time() {
        let classifier = classifier(Some(Duration::from_millis(1)), Duration::from_millis(500));
        let (bytes, mut prediction) = ([9; 4], Prediction::failed(Status::Ok));
        // SAFETY: all that is pointed at lives on the stack.
        let status = unsafe {
            let image = gray(&bytes, 2, 2, 2);
            let none = std::ptr::null_mut();
            classifold_classify_pixels(&classifier, &image, &mut prediction, none, none)
        };
        assert_eq!(
            (status, prediction.status),
            (Status::Timeout, Status::Timeout)
        );
    }

    #[test]
    fn classes_have_names_until_there_are_no_more() {
        let classifier = classifier(None, Duration::ZERO);
        // SAFETY: the names live as long as the classifier.
        let name = |index| unsafe {
            let name = classifold_class_name(&classifier, index);
            (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_str().unwrap())
        };
        assert_eq!([0, 1, 2].map(name), [Some("dark"), Some("light"), None]);
        // SAFETY: open.
        assert_eq!(unsafe { classifold_num_classes(&classifier) }, 2);
    }
}
