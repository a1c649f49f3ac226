//! Reading and writing files: what is refused, what lies beside a model, what a save leaves behind.
#![allow(clippy::unwrap_used, reason = "tests may")]

use std::path::Path;

use classifold_onnx::proto::{DataLocation, DataType, MetadataEntryProto, StringStringEntryProto};
use classifold_onnx::{Dim, Document, Error, GraphBuilder, Header, ModelInfo, Tensor};
use fs_err as fs;

/// Checks that an operation is refused, and with which words.
fn assert_refused<T: std::fmt::Debug>(result: classifold_onnx::Result<T>, words: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

/// `logits = fc(features)`, 3 features, 2 classes.
fn head() -> Document {
    let mut graph = GraphBuilder::new("head");
    let x = graph.input(
        "features",
        DataType::Float,
        &["batch".into(), Dim::Fixed(3)],
    );
    let values = (0..6_u8).map(f32::from).collect();
    graph.initializer("fc.weight", &Tensor::f32(&[2, 3], values).unwrap());
    graph.initializer("fc.bias", &Tensor::f32(&[2], vec![0.5, -0.5]).unwrap());
    let y = graph.gemm("fc", &x, "fc.weight", "fc.bias");
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(2)],
    );
    let info = ModelInfo {
        producer_name: "onnx-classifier".to_owned(),
        producer_version: "0.1.0".to_owned(),
        domain: "org.example".to_owned(),
        doc_string: "a head".to_owned(),
        ..Default::default()
    };
    graph.finish(&info).unwrap()
}

/// The head with `fc.weight` in `location`.
fn external_head(location: &str, entries: &[(&str, &str)]) -> Document {
    let mut document = head();
    let weight = &mut document.graph_mut().initializer[0];
    weight.raw_data = None;
    weight.data_location = Some(DataLocation::External as i32);
    weight.external_data = [("location", location)]
        .iter()
        .chain(entries)
        .map(|(key, value)| StringStringEntryProto {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        })
        .collect();
    document
}

/// Writes a document as it is, data in other files and all, and opens it.
fn reopened(document: &Document, folder: &Path) -> Document {
    let path = folder.join("model.onnx");
    fs::write(&path, document.to_bytes()).unwrap();
    Document::open(&path).unwrap()
}

fn weight_bytes() -> Vec<u8> {
    (0..6_u8)
        .flat_map(|value| f32::from(value).to_le_bytes())
        .collect()
}

#[test]
fn a_file_that_is_no_model_is_refused_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let model = head().to_bytes();
    let mut damaged = model.clone();
    // The graph begins with its first node: a field of wire type 7 does not exist.
    let graph = model.windows(8).position(|w| w == b"features").unwrap() - 4;
    damaged[graph] = 0xff;
    let cases = [
        (folder.path().join("absent.onnx"), "does not exist"),
        (folder.path().to_owned(), "is not a file"),
        (write("empty.onnx", b""), "is empty"),
        (
            write("lfs.onnx", b"version https://git-lfs.github.com/spec/v1\n"),
            "git-LFS pointer",
        ),
        (
            write("page.onnx", b"<!DOCTYPE html><html>"),
            "is not an ONNX model",
        ),
        (
            write("photo.onnx", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
            "is not an ONNX model",
        ),
        (
            write("archive.onnx", b"PK\x03\x04\x14\0\0\0"),
            "is not an ONNX model",
        ),
        (write("zeros.onnx", &[0; 4096]), "is not an ONNX model"),
        (
            write("text.onnx", b"hello, world\n"),
            "is not an ONNX model",
        ),
        (write("half.onnx", &model[..model.len() / 2]), "is cut off"),
        (write("one.onnx", &model[..1]), "is cut off"),
        (
            write("no_graph.onnx", b"\x08\x08\x42\x04\x0a\0\x10\x11"),
            "it has no graph",
        ),
        (
            write("no_version.onnx", b"\x3a\x02\x12\0"),
            "it has no IR version",
        ),
    ];
    for (path, expected) in cases {
        for error in [
            Header::open(&path).unwrap_err(),
            Document::open(&path).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains(expected), "{text}");
            assert!(text.contains(&*path.to_string_lossy()), "{text}");
        }
    }
    let damaged = write("damaged.onnx", &damaged);
    assert!(
        Header::open(&damaged).is_ok(),
        "the header does not look into the graph"
    );
    assert_refused(Document::open(&damaged), "is damaged");
}

#[test]
fn the_header_of_a_huge_file_is_read_without_its_graph() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.onnx");
    let model = head();
    let mut start = vec![0x08, 0x08, 0x3a];
    let graph_bytes: u64 = 3 << 30;
    let mut rest = graph_bytes;
    while rest >= 0x80 {
        start.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    start.push(rest as u8);
    let end = [0x42, 0x04, 0x0a, 0x00, 0x10, 0x11];
    // A file with a hole takes no space.
    let mut file = fs::File::create(&path).unwrap();
    std::io::Write::write_all(&mut file, &start).unwrap();
    file.set_len(start.len() as u64 + graph_bytes).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    std::io::Write::write_all(&mut file, &end).unwrap();
    let header = Header::open(&path).unwrap();
    assert_eq!(header.opset(), Some(model.opset()));
    assert!(header.file_bytes > graph_bytes);
    assert_refused(Document::open(&path), "at most 2 GiB");
}

#[test]
fn a_saved_model_says_who_wrote_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let mut document = head();
    document.set_metadata("classifier.", &[("classifier.version".into(), "1".into())]);
    document.save(&path).unwrap();
    let header = Header::open(&path).unwrap();
    let expected = Header {
        ir_version: 8,
        producer_name: "onnx-classifier".to_owned(),
        producer_version: "0.1.0".to_owned(),
        domain: "org.example".to_owned(),
        model_version: 1,
        doc_string: "a head".to_owned(),
        opsets: vec![(String::new(), 17)],
        metadata: vec![("classifier.version".to_owned(), "1".to_owned())],
        file_bytes: fs::metadata(&path).unwrap().len(),
    };
    assert_eq!(header, expected);
    assert_eq!(Document::open(&path).unwrap().path(), Some(&*path));
}

#[test]
fn metadata_is_replaced_by_prefix() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut document = head();
    document.set_metadata("", &[pair("author", "x"), pair("classifier.a", "1")]);
    document.set_metadata(
        "classifier.",
        &[pair("classifier.b", "2"), pair("author", "y")],
    );
    assert_eq!(
        document.metadata(),
        [pair("classifier.b", "2"), pair("author", "y")]
    );
}

#[test]
fn a_save_leaves_one_file_and_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, "the old file").unwrap();
    head().save(&path).unwrap();
    let first = fs::read(&path).unwrap();
    head().save(&path).unwrap();
    assert!(first == fs::read(&path).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_save_that_fails_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let broken = reopened(&external_head("gone.data", &[]), folder.path());
    fs::write(&path, "the old file").unwrap();
    let error = broken.save(&path).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"the old file");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("no/such/folder/model.onnx");
    assert!(matches!(
        head().save(&nowhere),
        Err(Error::Files(classifold_onnx::files::Error::Write { .. }))
    ));
}

#[cfg(unix)]
#[test]
fn a_saved_model_is_not_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = (
        folder.path().join("model.onnx"),
        folder.path().join("plain"),
    );
    head().save(&path).unwrap();
    fs::write(&plain, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn data_beside_the_model_is_read_and_saved_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut data = vec![9; 8];
    data.extend(weight_bytes());
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/w.bin"), &data).unwrap();
    let entries = [("offset", "8"), ("length", "24"), ("checksum", "ignored")];
    let document = reopened(&external_head("data/w.bin", &entries), folder.path());
    document.check().unwrap();
    assert_eq!(
        document.tensor("fc.weight").unwrap(),
        head().tensor("fc.weight").unwrap()
    );
    let path = folder.path().join("whole.onnx");
    document.save(&path).unwrap();
    assert!(fs::read(&path).unwrap() == head().to_bytes());
}

#[test]
fn data_outside_the_folder_is_not_read() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    fs::create_dir(&folder).unwrap();
    let secret = outer.path().join("secret.bin");
    fs::write(&secret, weight_bytes()).unwrap();
    #[cfg(unix)]
    fs_err::os::unix::fs::symlink(&secret, folder.join("link.bin")).unwrap();
    #[cfg(unix)]
    fs_err::os::unix::fs::symlink(outer.path(), folder.join("dir")).unwrap();
    let absolute = secret.to_string_lossy().into_owned();
    let mut locations = vec![
        "../secret.bin",
        "x/../../secret.bin",
        "..\\secret.bin",
        "",
        "C:w.bin",
        "\\secret.bin",
    ];
    locations.push(&absolute);
    if cfg!(unix) {
        locations.extend(["link.bin", "dir/secret.bin"]);
    }
    for location in locations {
        let document = reopened(&external_head(location, &[]), &folder);
        for error in [
            document.tensor("fc.weight").unwrap_err(),
            document.check_external_data().unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(
                text.ends_with("outside the model's folder"),
                "{location}: {text}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_within_the_folder_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), weight_bytes()).unwrap();
    fs_err::os::unix::fs::symlink("w.bin", folder.path().join("link.bin")).unwrap();
    let document = reopened(&external_head("link.bin", &[]), folder.path());
    assert_eq!(document.tensor("fc.weight").unwrap().len(), 6);
}

#[cfg(unix)]
#[test]
fn data_may_lie_beside_the_real_model_file() {
    use fs_err::os::unix::fs::symlink;
    let hub = tempfile::tempdir().unwrap();
    let [blobs, snapshot, elsewhere] =
        ["blobs", "snapshots/1", "elsewhere"].map(|name| hub.path().join(name));
    for folder in [&blobs, &snapshot, &elsewhere] {
        fs::create_dir_all(folder).unwrap();
    }
    // A hub's cache: both names are links to files that are called after their content.
    fs::write(blobs.join("ab12"), external_head("w.bin", &[]).to_bytes()).unwrap();
    fs::write(blobs.join("cd34"), weight_bytes()).unwrap();
    symlink("../../blobs/ab12", snapshot.join("model.onnx")).unwrap();
    symlink("../../blobs/cd34", snapshot.join("w.bin")).unwrap();
    let read = |path: &Path| Document::open(path).and_then(|document| document.tensor("fc.weight"));
    assert_eq!(read(&snapshot.join("model.onnx")).unwrap().len(), 6);
    // A link to the model alone: the data has its own name beside the real file.
    fs::write(blobs.join("w.bin"), weight_bytes()).unwrap();
    symlink(blobs.join("ab12"), elsewhere.join("model.onnx")).unwrap();
    assert_eq!(read(&elsewhere.join("model.onnx")).unwrap().len(), 6);
    // Any other folder stays forbidden.
    fs::remove_file(snapshot.join("w.bin")).unwrap();
    fs::write(hub.path().join("secret.bin"), weight_bytes()).unwrap();
    symlink("../../secret.bin", snapshot.join("w.bin")).unwrap();
    assert_refused(
        read(&snapshot.join("model.onnx")),
        "outside the model's folder",
    );
}

#[test]
fn data_must_fit_its_file_and_its_shape() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), weight_bytes()).unwrap();
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[("offset", "1")], "24 bytes at 1 run past the end at 24"),
        (&[("offset", "18446744073709551615")], "run past the end"),
        (
            &[("length", "20")],
            "its shape takes 24 bytes, its length is 20",
        ),
        (
            &[("length", "18446744073709551615")],
            "its length is 18446744073709551615",
        ),
        (&[("offset", "-1")], "offset `-1` is no number"),
        (&[("length", "many")], "length `many` is no number"),
    ];
    for (entries, expected) in cases {
        let document = reopened(&external_head("w.bin", entries), folder.path());
        let error = document.check_external_data().unwrap_err();
        assert!(error.to_string().contains("do not fit"), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(document.tensor("fc.weight").is_err());
    }
    let whole = reopened(&external_head("./w.bin", &[]), folder.path());
    whole.check_external_data().unwrap();
    assert_refused(
        external_head("w.bin", &[]).check_external_data(),
        "the model has no folder",
    );
}

#[test]
fn missing_data_is_found_in_attributes_and_subgraphs() {
    let folder = tempfile::tempdir().unwrap();
    let outer = external_head("gone.bin", &[]);
    let tensor = outer.graph().initializer[0].clone();
    let mut constant = classifold_onnx::attribute(
        "value",
        classifold_onnx::Attr::Tensor(Tensor::f32(&[], vec![0.0]).unwrap()),
    );
    constant.t = Some(Box::new(tensor));
    let body = outer.graph().clone();
    let branch =
        classifold_onnx::attribute("then_branch", classifold_onnx::Attr::Graph(Box::new(body)));
    for attribute in [constant, branch] {
        let mut document = head();
        document.graph_mut().node[0].attribute.push(attribute);
        let error = reopened(&document, folder.path())
            .check_external_data()
            .unwrap_err();
        assert!(error.to_string().ends_with("does not exist"), "{error}");
    }
}

#[test]
fn set_tensor_replaces_values_in_raw_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = external_head("gone.bin", &[]);
    let new = Tensor::f32(&[4, 3], vec![1.0; 12]).unwrap();
    document.set_tensor("fc.weight", &new).unwrap();
    let document = reopened(&document, folder.path());
    document.check_external_data().unwrap();
    assert_eq!(document.tensor("fc.weight").unwrap(), new);
    assert_eq!(document.graph().initializer[0].raw_data().len(), 48);
    let mut document = head();
    assert_refused(document.set_tensor("nope", &new), "has no tensor `nope`");
    let torn = Tensor {
        dims: vec![5],
        ..new
    };
    assert_refused(document.set_tensor("fc.bias", &torn), "is damaged");
    assert_refused(document.tensor("nope"), "has no tensor `nope`");
}

#[test]
fn a_model_of_more_than_2_gib_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let mut document = head();
    // Zeros that nobody touches take no memory.
    document.graph_mut().initializer[0].raw_data = Some(vec![0; 1 << 31].into());
    assert_refused(document.save(&path), "at most 2 GiB");
    assert!(!path.exists());
}

/// Protobuf's own readers take such text, and ONNX Runtime runs the model.
#[test]
fn text_for_people_need_not_be_utf8() {
    let folder = tempfile::tempdir().unwrap();
    let latin = || Some(b"K\xe4fer".to_vec());
    let entry = |key: &[u8]| MetadataEntryProto {
        key: Some(key.to_vec()),
        value: latin(),
    };
    let mut document = head();
    document.model.metadata_props = vec![entry(b"author"), entry(b"\xe4"), entry(b"card.x")];
    (document.model.producer_name, document.model.doc_string) = (latin(), latin());
    let graph = document.graph_mut();
    (graph.doc_string, graph.node[0].doc_string) = (latin(), latin());
    graph.node[0].metadata_props = vec![entry(b"\xe4")];
    let mut again = reopened(&document, folder.path());
    assert_eq!(again.to_bytes(), document.to_bytes(), "its bytes stay");
    let header = Header::open(&folder.path().join("model.onnx")).unwrap();
    assert_eq!(
        (&*header.producer_name, &*header.doc_string),
        ("K\u{fffd}fer", "K\u{fffd}fer")
    );
    let keys: Vec<_> = header.metadata.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["author", "\u{fffd}", "card.x"]);
    again.set_metadata("card.", &[("author".into(), "Marie".into())]);
    let author = ("author".to_owned(), "Marie".to_owned());
    assert_eq!(again.metadata()[1..], [author]);
    assert_eq!(again.model.metadata_props[0], entry(b"\xe4"));
}
