//! Kinds of files that are given in place of an ONNX model, by their first bytes. Reads no file.

/// A kind of file, and how its model becomes an ONNX file.
pub(crate) struct Foreign {
    /// With its article, such as `an HDF5 file (Keras)`.
    pub(crate) kind: &'static str,
    pub(crate) hint: &'static str,
}

/// Number of first bytes that tell the kinds apart.
pub(crate) const HEAD_BYTES: usize = 512;

const TORCH: &str = "`trainer import FILE` writes the ONNX file of a ResNet, MobileNetV2, EfficientNet-Lite or plain ViT; \
                     load others in PyTorch and export them with `torch.onnx.export`";
const KERAS: &str = "load it in Keras and export it with `model.export(FILE, format=\"onnx\")`";
const TENSORFLOW: &str = "convert it with `tf2onnx`";
const UNPACK: &str = "unpack it and give the `.onnx` file in it";
const DOWNLOAD: &str = "download the file itself, not the page about it";
const OTHER: &str = "give the `.onnx` file of the model";

/// The kind of a file that begins with `head`; none where its bytes may be a model's.
pub(crate) fn kind(head: &[u8]) -> Option<Foreign> {
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    let holds = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    let found = |kind, hint| Some(Foreign { kind, hint });
    // A ZIP archive names its first files within the head.
    if at(0, b"PK\x03\x04") {
        return match () {
            () if holds(b"/data.pkl") || holds(b"/byteorder") => {
                found("a PyTorch checkpoint", TORCH)
            }
            () if holds(b"metadata.json") || holds(b"model.weights.h5") => {
                found("a Keras model", KERAS)
            }
            () => found("a ZIP archive", UNPACK),
        };
    }
    let text = head.trim_ascii_start().to_ascii_lowercase();
    match () {
        // A pickle of protocol 2 to 5, as PyTorch wrote them before version 1.6.
        () if at(0, b"\x80") && matches!(head.get(1), Some(2..=5)) => {
            found("a Python pickle, such as an old PyTorch checkpoint", TORCH)
        }
        () if at(0, b"\x89HDF\r\n") => found("an HDF5 file, such as a Keras model", KERAS),
        () if at(4, b"TFL3") => found("a TensorFlow Lite model", TENSORFLOW),
        () if at(2, b"\0\0ORTM") => found(
            "an ORT-format model",
            "give the `.onnx` file that it was made from",
        ),
        // 8 bytes of length, of at most 4 GiB, then JSON. In a model these bytes may be the producer's name.
        () if at(4, b"\0\0\0\0{\"") => found(
            "a safetensors file, which holds weights without a graph",
            TORCH,
        ),
        () if at(0, b"GGUF") => found("a GGUF file", OTHER),
        () if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") => {
            found("an HTML page", DOWNLOAD)
        }
        () if text.starts_with(b"<?xml") => found("an XML file", OTHER),
        () if text.starts_with(b"{") => found("a JSON file", OTHER),
        () if at(0, b"\x1f\x8b") => found("a gzip archive", UNPACK),
        () if at(257, b"ustar") => found("a tar archive", UNPACK),
        () if at(0, b"\x89PNG") || at(0, b"\xff\xd8\xff") || at(0, b"GIF8") || at(0, b"RIFF") => {
            found(
                "an image",
                "give a model file here, and images where images are expected",
            )
        }
        () if !head.is_empty() && head.iter().all(is_text) => found("a text file", OTHER),
        () => None,
    }
}

/// Whether a byte stands in a text; a model begins with one that does not.
fn is_text(byte: &u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n') || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn files_of_other_tools_are_told_by_their_first_bytes() {
        let tar = [&[b'x'; 257][..], b"ustar"].concat();
        let cases: [(&[u8], &str); 20] = [
            (
                b"PK\x03\x04________________________resnet/data.pkl",
                "a PyTorch checkpoint",
            ),
            (
                b"PK\x03\x04________________________metadata.json",
                "a Keras model",
            ),
            (
                b"PK\x03\x04________________________photos/a.jpg",
                "a ZIP archive",
            ),
            (
                b"\x80\x02\x8a\x0a",
                "a Python pickle, such as an old PyTorch checkpoint",
            ),
            (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as a Keras model"),
            (b"\x20\0\0\0TFL3", "a TensorFlow Lite model"),
            (b"\x20\0\0\0ORTM", "an ORT-format model"),
            (
                b"\x40\0\0\0\0\0\0\0{\"w\"",
                "a safetensors file, which holds weights without a graph",
            ),
            (b"GGUF\x03", "a GGUF file"),
            (b"\n<!DOCTYPE html>", "an HTML page"),
            (b"<html lang=en>", "an HTML page"),
            (b"<?xml version", "an XML file"),
            (b"{\"classes\": []}", "a JSON file"),
            (b"\x1f\x8b\x08", "a gzip archive"),
            (&tar, "a tar archive"),
            (b"\x89PNG\r\n", "an image"),
            (b"\xff\xd8\xff\xe0", "an image"),
            (b"GIF89a", "an image"),
            (b"RIFF\0\0\0\0WEBP", "an image"),
            ("Größe: 3\n".as_bytes(), "a text file"),
        ];
        for (head, expected) in cases {
            let found = kind(head).map_or("", |foreign| foreign.kind);
            assert_eq!(found, expected, "{head:?}");
        }
        assert!(kind(b"").is_none());
        // The first field of a model is its IR version.
        for model in [
            b"\x08\x07\x12\x07pytorch",
            // Producers may have any name.
            b"\x08\x07\x12\x07    {\"a",
            b"\x08\x07\x12\x07ORTM   ",
        ] {
            assert!(kind(model).is_none(), "{model:?}");
        }
    }
}
