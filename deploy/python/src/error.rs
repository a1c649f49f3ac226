//! Errors as Python sees them: one exception class for each subject. The classes are written in Python, so that they
//! have docstrings.

use deploy::{Error, Kind};
use pyo3::prelude::*;

/// The message, and the hint on a line of its own.
pub(crate) fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    match error.hint() {
        Some(hint) => format!("{text}\nhint: {hint}"),
        None => text,
    }
}

/// The exception of `classifold.errors` for an error of the library.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let name = match error.kind() {
        Kind::Image => "ImageError",
        Kind::Model => "ModelError",
        Kind::Argument => "ArgumentError",
        _ => "RuntimeLibraryError",
    };
    named(py, name, text(error))
}

/// An exception of a caller's mistake.
pub(crate) fn argument(py: Python<'_>, text: impl Into<String>) -> PyErr {
    named(py, "ArgumentError", text.into())
}

fn named(py: Python<'_>, name: &str, text: String) -> PyErr {
    let made = py
        .import("classifold.errors")
        .and_then(|module| module.getattr(name))
        .and_then(|class| class.call1((text,)));
    match made {
        Ok(value) => PyErr::from_value(value),
        Err(error) => error,
    }
}
