//! Status of a call, and the text of this thread's last error. Knows no classifier.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use deploy::{Error, Kind};

/// Result of a call. The numbers stay what they are.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// The image: its file, its bytes, its size. Another image may do.
    Image = 1,
    /// The model file or its card. No image will do.
    Model = 2,
    /// The machine: ONNX Runtime, a provider, the disk. The same call may do elsewhere.
    Runtime = 3,
    /// The caller asked for what cannot be: a mistake of the program.
    Argument = 4,
    /// The call was cancelled.
    Cancelled = 5,
    /// The time of `classifold_options_set_timeout` has passed.
    Timeout = 6,
    /// Every session is in use.
    Busy = 7,
    /// A fault of this library; please report it.
    Internal = 100,
}

impl From<Kind> for Status {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Image => Self::Image,
            Kind::Model => Self::Model,
            Kind::Runtime => Self::Runtime,
            Kind::Argument => Self::Argument,
            Kind::Cancelled => Self::Cancelled,
            Kind::Timeout => Self::Timeout,
            Kind::Busy => Self::Busy,
            _ => Self::Internal,
        }
    }
}

/// Text of an error.
#[derive(Default)]
struct LastError {
    message: CString,
    hint: Option<CString>,
}

thread_local! {
    static LAST: RefCell<LastError> = RefCell::default();
}

/// What went wrong in this thread's last call that failed; empty before any did. Valid until the next call that fails
/// in this thread.
#[unsafe(no_mangle)]
pub extern "C" fn classifold_error_message() -> *const c_char {
    LAST.with_borrow(|last| last.message.as_ptr())
}

/// How to mend it; NULL where that is not known. Valid as long as the message.
#[unsafe(no_mangle)]
pub extern "C" fn classifold_error_hint() -> *const c_char {
    LAST.with_borrow(|last| last.hint.as_deref().map_or(std::ptr::null(), CStr::as_ptr))
}

/// Version of this library, such as `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn classifold_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// Runs the body of a function of C: its error becomes the thread's last one, and so does a panic.
pub(crate) fn guard(body: impl FnOnce() -> deploy::Result<()>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::Ok,
        Ok(Err(error)) => remember(&error),
        Err(panic) => {
            let message = format!("a fault of classifold: {}", panic_text(&*panic));
            set_last(&message, None);
            Status::Internal
        }
    }
}

/// Makes an error the thread's last one.
pub(crate) fn remember(error: &Error) -> Status {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    set_last(&message, error.hint().as_deref());
    error.kind().into()
}

fn set_last(message: &str, hint: Option<&str>) {
    let last = LastError {
        message: text(message),
        hint: hint.map(text),
    };
    LAST.set(last);
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no reason was given",
    }
}

/// A text for C, up to its first NUL.
pub(crate) fn text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> String {
        // SAFETY: a text of this thread, which no call changes meanwhile.
        let text = unsafe { CStr::from_ptr(classifold_error_message()) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_numbers_are_those_of_the_rust_library() {
        let kinds = [
            Kind::Image,
            Kind::Model,
            Kind::Runtime,
            Kind::Argument,
            Kind::Cancelled,
            Kind::Timeout,
            Kind::Busy,
        ];
        for kind in kinds {
            assert_eq!(
                Status::from(kind) as u32,
                u32::from(kind.number()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_panic_is_a_status_with_its_text() {
        assert_eq!(guard(|| panic!("no {}", "way")), Status::Internal);
        assert_eq!(message(), "a fault of classifold: no way");
        assert!(classifold_error_hint().is_null());
    }

    #[test]
    fn an_error_is_kept_for_its_thread_alone() {
        let failed = || -> deploy::Result<()> {
            let path = deploy::onnx::ModelFile::open(std::path::Path::new("no-such.onnx"));
            path.map(|_| ()).map_err(Into::into)
        };
        assert_eq!(guard(failed), Status::Model);
        assert!(message().contains("no-such.onnx"), "{}", message());
        std::thread::spawn(|| assert_eq!(message(), ""))
            .join()
            .unwrap();
        assert_eq!(guard(|| Ok(())), Status::Ok);
        assert!(message().contains("no-such.onnx"));
    }

    #[test]
    fn a_text_ends_before_its_first_nul() {
        assert_eq!(text("ant\0s").to_str(), Ok("ant"));
        assert_eq!(text("bees").to_str(), Ok("bees"));
    }
}
