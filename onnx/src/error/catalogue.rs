//! Text and hint of every error, as in `tests/errors.txt`, which reads like prose.

use super::*;
use std::io;

fn all() -> Vec<Error> {
    let path = Path::new("models/bees.onnx");
    let tensor = "fc.weight";
    vec![
        Error::missing(path),
        Error::not_a_file(path),
        files::Error::reading(path)(io::Error::other("permission denied")).into(),
        files::Error::writing(path)(io::Error::other("no space left on device")).into(),
        Error::empty(path),
        Error::lfs_pointer(path),
        Error::truncated(path, 46_748_561, 1_048_576),
        Error::not_onnx(path, "it has no IR version"),
        Error::foreign(path, &crate::foreign::kind(b"\x89HDF\r\n").unwrap()),
        Error::damaged(path, "buffer underflow"),
        Error::too_large(path, 3_000_000_000),
        Error::external_missing(tensor, Path::new("models/bees.data")),
        Error::external_outside(tensor, "../secret"),
        Error::external_bounds(
            tensor,
            "bees.data",
            "4096 bytes at 512 run past the end at 1024",
        ),
        Error::no_folder(tensor),
        Error::tensor_missing(tensor),
        Error::tensor_damaged(tensor, "shape [2, 3] asks for 6 values, found 4"),
        Error::element_type("floating-point numbers", DataType::Int64),
        Error::graph("nothing gives its output `logits`"),
        Error::unconvertible(
            "ConvInteger",
            "features.0",
            "the model is quantised already",
        ),
        Error::nothing_to_convert("weights in single precision"),
        Error::not_quantizable("conv9", &["conv1", "fc"]),
        Error::nothing_quantized(),
    ]
}

#[test]
fn every_error_reads_as_listed() {
    let mut text = String::new();
    for error in all() {
        text += &format!("error: {error}\n");
        if let Some(hint) = error.hint() {
            text += &format!("hint: {hint}\n");
        }
        text.push('\n');
    }
    assert_eq!(text, include_str!("../../tests/errors.txt"), "\n{text}");
}
