//! Inspection of a file that claims to be ONNX Runtime, without loading it. Knows no folders.

use std::ffi::{CStr, c_char, c_void};
use std::fs;
use std::path::Path;

use object::{Object, ObjectSymbol};

use crate::dylib::{self, Defect};
use crate::error::{Error, Result};
use crate::wheels::MIN_API;

/// Checks type, bounds, machine, exports and version of a library; returns its version.
pub(crate) fn inspect(path: &Path) -> Result<String> {
    dylib::check_library(path).map_err(|defect| error(path, defect))?;
    let file = fs::File::open(path).map_err(|e| error(path, e.into()))?;
    let bytes = fs::metadata(path).map_or(0, |meta| meta.len());
    let cache = object::ReadCache::new(file);
    let damaged = |e: object::Error| error(path, dylib::damaged(&e, bytes));
    let object = object::File::parse(&cache).map_err(damaged)?;
    let mut names: Vec<String> = Vec::new();
    for export in object.exports().map_err(damaged)? {
        let export = export.map_err(damaged)?;
        if let object::NameOrOrdinal::Name(name) = export.name() {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    names.extend(
        object
            .dynamic_symbols()
            .filter(ObjectSymbol::is_definition)
            .filter_map(|s| {
                let name = s.name().ok()?;
                Some(name.to_owned())
            }),
    );
    if !names
        .iter()
        .any(|name| name.trim_start_matches('_') == "OrtGetApiBase")
    {
        return Err(unusable(
            path,
            "ONNX Runtime",
            "a shared library without `OrtGetApiBase`",
        ));
    }
    version(path, &names)
}

/// The version: written into the symbols by the Linux builds, else asked from the library itself.
fn version(path: &Path, symbols: &[String]) -> Result<String> {
    let written = symbols.iter().find_map(|name| name.strip_prefix("VERS_"));
    let version = match written {
        Some(version) => version.to_owned(),
        // The bounds are right: loading is safe now.
        None => ask_version(path)
            .filter(|version| version.starts_with("1."))
            .ok_or_else(|| {
                unusable(
                    path,
                    "ONNX Runtime 1.x",
                    "a library that does not load or tell its version",
                )
            })?,
    };
    match version
        .strip_prefix("1.")
        .and_then(|rest| rest.split('.').next()?.parse::<u32>().ok())
    {
        Some(minor) if minor >= MIN_API => Ok(version),
        _ => Err(unusable(
            path,
            &format!("ONNX Runtime 1.{MIN_API} or newer"),
            &format!("ONNX Runtime {version}"),
        )),
    }
}

/// The version that a library returns of itself, as `OrtApiBase::GetVersionString` of onnxruntime_c_api.h.
#[expect(
    unsafe_code,
    reason = "loading runs the library's initialisers; there is no safe way"
)]
fn ask_version(path: &Path) -> Option<String> {
    #[repr(C)]
    struct ApiBase {
        get_api: *const c_void,
        get_version_string: unsafe extern "system" fn() -> *const c_char,
    }
    // SAFETY: the library is whole and exports `OrtGetApiBase`; both signatures are those of the header, and
    // the text is copied before the library is unloaded.
    unsafe {
        let library = libloading::Library::new(path).ok()?;
        let base: libloading::Symbol<'_, unsafe extern "system" fn() -> *const ApiBase> =
            library.get(b"OrtGetApiBase\0").ok()?;
        let text = ((*base()).get_version_string)();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}

fn error(path: &Path, defect: Defect) -> Error {
    match defect {
        Defect::Unreadable(reason) => Error::unreadable_library(path, reason),
        Defect::Unusable { expected, found } => unusable(path, &expected, &found),
    }
}

fn unusable(path: &Path, expected: &str, found: &str) -> Error {
    Error::UnusableRuntime {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}
