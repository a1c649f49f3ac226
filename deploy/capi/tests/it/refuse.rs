//! Wrong arguments: a status and a text, and nothing is touched.

use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

use classifold_c::*;

fn message() -> String {
    // SAFETY: a text of this thread.
    unsafe { CStr::from_ptr(classifold_error_message()) }
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn null_is_refused_by_the_name_of_the_argument() {
    let mut classifier = null_mut();
    // SAFETY: NULL, and a pointer to a local.
    unsafe {
        assert_eq!(
            classifold_open(null(), null(), &mut classifier),
            Status::Argument
        );
        assert_eq!(message(), "`model` is NULL");
        assert_eq!(
            classifold_open(c"m.onnx".as_ptr(), null(), null_mut()),
            Status::Argument
        );
        assert_eq!(message(), "`classifier` is NULL");
        assert_eq!(
            classifold_open_bytes(null(), 3, null(), &mut classifier),
            Status::Argument
        );
        assert_eq!(message(), "`bytes` is NULL");
        let image = c"bee.jpg".as_ptr();
        let status = classifold_classify_file(null(), image, null_mut(), null_mut(), null_mut());
        assert_eq!(
            (status, message().as_str()),
            (Status::Argument, "`classifier` is NULL")
        );
        let status =
            classifold_classify_many(null(), null(), 1, null_mut(), null_mut(), null_mut());
        assert_eq!(status, Status::Argument);
        assert_eq!(
            classifold_options_set_threads(null_mut(), 1),
            Status::Argument
        );
        assert_eq!(message(), "`options` is NULL");
        assert_eq!(
            (
                classifold_num_classes(null()),
                classifold_class_name(null(), 0)
            ),
            (0, null())
        );
        classifold_close(null_mut());
        classifold_options_free(null_mut());
    }
    assert!(classifier.is_null());
}

#[test]
fn a_file_that_is_no_model_is_an_error_of_the_model_and_leaves_null() {
    // Not NULL, so that writing it is seen.
    let mut classifier = std::ptr::dangling_mut();
    // SAFETY: texts, and a pointer to a local.
    unsafe {
        let status = classifold_open(c"no-such-file.onnx".as_ptr(), null(), &mut classifier);
        assert_eq!(status, Status::Model);
        assert!(message().contains("no-such-file.onnx"), "{}", message());
        assert!(classifier.is_null());
        let bytes = b"no model";
        let status = classifold_open_bytes(bytes.as_ptr(), bytes.len(), null(), &mut classifier);
        assert_eq!(status, Status::Model);
    }
}

#[test]
fn options_refuse_names_that_nobody_knows() {
    let options = classifold_options_new();
    let latin1 = CString::new([0xe4]).unwrap();
    // SAFETY: options and texts.
    unsafe {
        assert_eq!(
            classifold_options_set_provider(options, c"abacus".as_ptr()),
            Status::Argument
        );
        assert!(message().contains("abacus"), "{}", message());
        assert_eq!(
            classifold_options_set_precision(options, c"fp7".as_ptr()),
            Status::Argument
        );
        assert_eq!(
            classifold_options_set_provider(options, latin1.as_ptr()),
            Status::Argument
        );
        assert_eq!(message(), "`provider` is not UTF-8");
        assert_eq!(
            classifold_options_set_provider(options, c"cpu".as_ptr()),
            Status::Ok
        );
        classifold_options_free(options);
    }
}
