//! Node assignment: a session's record of the execution provider of every node. Knows no rules about it.
//!
//! `ort` does not wrap this part of ONNX Runtime's C interface, `Session_GetEpGraphAssignmentInfo`. It exists
//! since 1.24, and no older version is loaded.

use std::ffi::{CStr, c_char};
use std::ptr;

use ort::AsPointer;
use ort::session::Session;
use ort::sys::{OrtEpAssignedNode, OrtEpAssignedSubgraph, OrtStatusPtr};

use crate::placement::{PlacedNode, Placement};

/// The session option that makes a session keep the record.
pub(super) const RECORD_ASSIGNMENT: (&str, &str) = ("session.record_ep_graph_assignment_info", "1");

/// Reads the record of a session that was opened with [`RECORD_ASSIGNMENT`].
pub(super) fn placement(session: &Session) -> ort::Result<Placement> {
    let mut placement = Placement::default();
    for subgraph in subgraphs(session)? {
        let provider = copy_text(|out| name_of_provider(*subgraph, out))?;
        for node in nodes(*subgraph)? {
            let name = copy_text(|out| name_of_node(*node, out))?;
            let op = copy_text(|out| operator_of_node(*node, out))?;
            placement.add(&provider, PlacedNode { name, op });
        }
    }
    Ok(placement)
}

#[expect(unsafe_code, reason = "a C function without a wrapper")]
fn subgraphs(session: &Session) -> ort::Result<&[*const OrtEpAssignedSubgraph]> {
    let (mut first, mut count) = (ptr::null(), 0);
    // SAFETY: the session lives; the array that comes back is its own and lives as long as it does.
    unsafe {
        let status =
            (ort::api().Session_GetEpGraphAssignmentInfo)(session.ptr(), &mut first, &mut count);
        ort::Error::result_from_status(status)?;
        Ok(slice(first, count))
    }
}

#[expect(unsafe_code, reason = "a C function without a wrapper")]
fn nodes<'s>(
    subgraph: *const OrtEpAssignedSubgraph,
) -> ort::Result<&'s [*const OrtEpAssignedNode]> {
    let (mut first, mut count) = (ptr::null(), 0);
    // SAFETY: the pointer comes from `subgraphs`; the array is the session's, which outlives the loops
    // of `placement`.
    unsafe {
        let status = (ort::api().EpAssignedSubgraph_GetNodes)(subgraph, &mut first, &mut count);
        ort::Error::result_from_status(status)?;
        Ok(slice(first, count))
    }
}

/// An empty array has no address.
#[expect(unsafe_code, reason = "an array from C")]
unsafe fn slice<'s, T>(first: *const T, count: usize) -> &'s [T] {
    if first.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller got address and length from ONNX Runtime.
    unsafe { std::slice::from_raw_parts(first, count) }
}

#[expect(unsafe_code, reason = "a C function without a wrapper")]
fn name_of_provider(
    subgraph: *const OrtEpAssignedSubgraph,
    out: &mut *const c_char,
) -> OrtStatusPtr {
    // SAFETY: the pointer comes from `subgraphs`.
    unsafe { (ort::api().EpAssignedSubgraph_GetEpName)(subgraph, out) }
}

#[expect(unsafe_code, reason = "a C function without a wrapper")]
fn name_of_node(node: *const OrtEpAssignedNode, out: &mut *const c_char) -> OrtStatusPtr {
    // SAFETY: the pointer comes from `nodes`.
    unsafe { (ort::api().EpAssignedNode_GetName)(node, out) }
}

#[expect(unsafe_code, reason = "a C function without a wrapper")]
fn operator_of_node(node: *const OrtEpAssignedNode, out: &mut *const c_char) -> OrtStatusPtr {
    // SAFETY: the pointer comes from `nodes`.
    unsafe { (ort::api().EpAssignedNode_GetOperatorType)(node, out) }
}

/// Copies a text that ONNX Runtime owns.
#[expect(unsafe_code, reason = "a string from C")]
fn copy_text(get: impl FnOnce(&mut *const c_char) -> OrtStatusPtr) -> ort::Result<String> {
    let mut text = ptr::null();
    // SAFETY: the status comes from ONNX Runtime and is read once.
    unsafe { ort::Error::result_from_status(get(&mut text))? };
    if text.is_null() {
        return Ok(String::new());
    }
    // SAFETY: ONNX Runtime gave a string that ends in a zero and lives as long as the session.
    Ok(unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned())
}
