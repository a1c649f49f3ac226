//! Hostile checkpoints: none is executed, unpacked or believed.

use super::Weights;
use std::io::Write;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Why the reader refuses a file of these bytes.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.pth");
    std::fs::write(&path, bytes).unwrap();
    let error = Weights::open(&path).err().unwrap();
    assert!(error.hint().is_some());
    let text = error.to_string();
    let start = format!(
        "`{}` cannot be read as a PyTorch checkpoint: ",
        path.display()
    );
    text.strip_prefix(&start).unwrap().to_owned()
}

fn zip_of(entries: &[(&str, &[u8])], compression: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(vec![]));
    let options = SimpleFileOptions::default().compression_method(compression);
    for (name, bytes) in entries {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// `os.system("touch pwned")` in the protocols 0, 2 and 4.
const SYSTEM: [&[u8]; 3] = [
    b"cposix\nsystem\n(S'touch pwned'\ntR.",
    b"\x80\x02cposix\nsystem\nX\x0b\0\0\0touch pwned\x85R.",
    b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x0btouch pwned\x94\x85\x94R\x94.",
];

#[test]
fn a_pickle_that_asks_for_code_is_refused_by_what_it_asks_for() {
    let expected = "it asks for Python's `posix.system`; nothing of it was executed";
    for pickle in SYSTEM {
        assert_eq!(refusal(pickle), expected);
        // In an archive, as PyTorch writes it now.
        let zip = zip_of(&[("archive/data.pkl", pickle)], CompressionMethod::Stored);
        assert_eq!(refusal(&zip), expected);
        // Its result thrown away, before a dictionary.
        let hidden = [&pickle[..pickle.len() - 1], b"0}."].concat();
        assert_eq!(refusal(&hidden), expected);
    }
    // Behind the pickles of the format up to PyTorch 1.5, where the storage keys should be.
    let legacy = [
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".as_slice(),
        b"\x80\x02M\xe9\x03.\x80\x02}.\x80\x02}.",
        SYSTEM[1],
    ];
    assert_eq!(refusal(&legacy.concat()), expected);
    // A name of the memo is not known here: nothing but the names of tensors is let through.
    let memo = b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94h\0h\x01\x93.";
    assert!(refusal(memo).starts_with("it asks for Python's `(from its memo)"));
    assert_eq!(
        refusal(b"\x80\x02\x82\x01."),
        "it asks for Python's extension registry"
    );
    // A module pickled whole.
    assert!(refusal(b"\x80\x02c__main__\nNet\n)\x81.").contains("`__main__.Net`"));
}

/// `{'epoch': 3, 'args': argparse.Namespace(lr=0.1)}`, as training scripts keep it beside the weights.
#[test]
fn settings_beside_the_weights_are_passed_over() {
    let pickle = b"\x80\x02}q\x00(X\x05\x00\x00\x00epochq\x01K\x03X\x04\x00\x00\x00argsq\x02cargparse\nNamespace\nq\x03)\x81q\
        \x04}q\x05X\x02\x00\x00\x00lrq\x06G?\xb9\x99\x99\x99\x99\x99\x9asbu.";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.pth");
    std::fs::write(&path, pickle).unwrap();
    let weights = Weights::open(&path).unwrap();
    assert_eq!(weights.some_names(), "");
}

/// A view with strides of zero may have any shape.
#[test]
fn tensors_may_not_claim_more_values_than_their_file_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tied.safetensors");
    let value = [0; 40];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![10], &value);
    let bytes = safetensors::serialize([("x", view.unwrap())], None).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let mut weights = Weights::open(&path).unwrap();
    weights.budget = 39;
    let error = weights.take("x", &[10]).unwrap_err().to_string();
    assert!(
        error.contains("claim more values than it has bytes for"),
        "{error}"
    );
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let many = [b"\x80\x02".as_slice(), &[b'N'; 300_000], b"."].concat();
    assert_eq!(refusal(&many), "its pickle has more than 200000 opcodes");
    let deep = [b"\x80\x02]".as_slice(), &[0x85; 5000], b"."].concat();
    assert!(
        refusal(&deep).contains("nesting exceeds"),
        "{}",
        refusal(&deep)
    );
    // Each pair holds the one before twice.
    let doubled = [
        b"\x80\x02]q\0".as_slice(),
        &b"h\0h\0\x86q\0".repeat(60),
        b".",
    ]
    .concat();
    assert!(refusal(&doubled).contains("bomb"), "{}", refusal(&doubled));
    let zeros = vec![0; 1 << 20];
    let entries = [
        ("archive/data.pkl", b"}.".as_slice()),
        ("archive/data/0", &zeros),
    ];
    assert_eq!(
        refusal(&zip_of(&entries, CompressionMethod::Deflated)),
        "its entry `archive/data.pkl` is compressed"
    );
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert_eq!(
        refusal(&tar),
        "it is a tar archive of PyTorch before 0.1.10"
    );
}

#[test]
fn a_file_larger_than_any_checkpoint_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.pth");
    // Sparse: it takes no space.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let error = Weights::open(&path).err().unwrap().to_string();
    assert!(
        error.contains("it has 1099511627776 bytes; the most are"),
        "{error}"
    );
}

#[test]
fn lies_and_other_files_are_told_apart() {
    let script = [
        ("archive/data.pkl", b"}.".as_slice()),
        ("archive/constants.pkl", b")."),
    ];
    assert_eq!(
        refusal(&zip_of(&script, CompressionMethod::Stored)),
        "it is a TorchScript archive, a program"
    );
    // A string of 4 GB in a file of 8 bytes.
    assert_eq!(
        refusal(b"\x80\x02X\xff\xff\xff\xff."),
        "its pickle ends early"
    );
    assert_eq!(
        refusal(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),
        "its pickle ends early"
    );
    assert_eq!(
        refusal(b"<html>Not found</html>"),
        "0x3c is no opcode of a pickle"
    );
    assert_eq!(refusal(b""), "its pickle ends early");
    // A whole pickle, but no dictionary.
    assert!(refusal(b"\x80\x02K\x01.").contains("Expected a dictionary"));
    let cut = zip_of(&[("archive/data.pkl", b"}.")], CompressionMethod::Stored);
    refusal(&cut[..cut.len() - 10]);
    assert!(refusal(&zip_of(&[("other", b"x")], CompressionMethod::Stored)).contains("data.pkl"));
}
