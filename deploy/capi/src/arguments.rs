//! Pointers that C hands over, as references, slices and texts.

use std::ffi::{CStr, c_char};
use std::path::Path;

use deploy::{Error, Kind, Result};

/// A mistake of the calling program.
pub(crate) fn argument_error(message: String) -> Error {
    Error::Other {
        kind: Kind::Argument,
        message,
        hint: None,
    }
}

fn is_null(name: &str) -> Error {
    argument_error(format!("`{name}` is NULL"))
}

/// The value behind a pointer.
///
/// # Safety
/// `pointer` is NULL or valid for `'a`.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(name))
}

/// The value behind a pointer, to be written.
///
/// # Safety
/// `pointer` is NULL, or valid for `'a` and used by nobody else.
pub(crate) unsafe fn reference_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: as the caller promises.
    unsafe { pointer.as_mut() }.ok_or_else(|| is_null(name))
}

/// `len` values behind a pointer, which may be NULL where there are none.
///
/// # Safety
/// `pointer` is NULL or valid for `len` values for `'a`.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(is_null(name));
    }
    check_layout(pointer, len, name)?;
    // SAFETY: not NULL, aligned, of a possible length, and valid as the caller promises.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// `len` values to be written; none where the pointer is NULL.
///
/// # Safety
/// `pointer` is NULL, or valid for `len` values for `'a` and used by nobody else.
pub(crate) unsafe fn slice_mut<'a, T>(
    pointer: *mut T,
    len: usize,
    name: &str,
) -> Result<Option<&'a mut [T]>> {
    if pointer.is_null() {
        return Ok(None);
    }
    check_layout(pointer, len, name)?;
    // SAFETY: not NULL, aligned, of a possible length, and valid as the caller promises.
    Ok(Some(unsafe {
        std::slice::from_raw_parts_mut(pointer, len)
    }))
}

/// Refuses what no array can be: unaligned, or longer than memory.
fn check_layout<T>(pointer: *const T, len: usize, name: &str) -> Result<()> {
    let bytes = len.checked_mul(size_of::<T>());
    if pointer.is_aligned() && bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok()) {
        return Ok(());
    }
    Err(argument_error(format!(
        "`{name}` cannot be {len} values at {pointer:p}"
    )))
}

/// A text in UTF-8.
///
/// # Safety
/// `pointer` is NULL, or a text with a NUL at its end that is valid for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: as the caller promises.
    let text = unsafe { bytes(pointer, name) }?;
    text.to_str()
        .map_err(|_| argument_error(format!("`{name}` is not UTF-8")))
}

/// A path: any bytes where the system's paths are bytes, UTF-8 elsewhere.
///
/// # Safety
/// As [`text`].
pub(crate) unsafe fn path<'a>(pointer: *const c_char, name: &str) -> Result<&'a Path> {
    #[cfg(unix)]
    {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        // SAFETY: as the caller promises.
        let bytes = unsafe { bytes(pointer, name) }?;
        Ok(Path::new(OsStr::from_bytes(bytes.to_bytes())))
    }
    #[cfg(not(unix))]
    {
        // SAFETY: as the caller promises.
        unsafe { text(pointer, name) }.map(Path::new)
    }
}

/// # Safety
/// As [`text`].
unsafe fn bytes<'a>(pointer: *const c_char, name: &str) -> Result<&'a CStr> {
    if pointer.is_null() {
        return Err(is_null(name));
    }
    // SAFETY: not NULL, and a text as the caller promises.
    Ok(unsafe { CStr::from_ptr(pointer) })
}
