use super::*;

fn reason(bytes: &[u8], limits: &Limits) -> String {
    match decode(bytes, limits) {
        Err(Error::Undecodable { path: None, reason }) => reason,
        other => panic!("{other:?}"),
    }
}

fn formats() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/formats")
}

#[test]
fn what_is_no_image_is_named() {
    for (bytes, expected) in [
        (&b""[..], "empty"),
        (b"GIF89a...", "GIF"),
        (
            b"\0\0\0\x1cftypheic\0\0",
            "HEIC is not supported: convert it to JPEG",
        ),
        (
            b"\0\0\0\x1cftypavif\0\0",
            "AVIF is not supported: convert it to PNG",
        ),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000 is not supported"),
        (b"\xff\x0a\0\0", "JPEG XL is not supported"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL is not supported"),
        (b"\0\0\0\x1cftypisom\0\0", "video"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        (b"  <!DOCTYPE html><html>", "web page"),
        (
            b"PK\x03\x04",
            "not a JPEG, PNG, WebP, BMP, TIFF or PNM file",
        ),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "no frame header"),
        (b"P5 3 3 255 \0", "truncated"),
        (b"P5 3 x", "a number is expected"),
        (b"P5 3 3 70000 \0", "65535"),
    ] {
        let reason = reason(bytes, &Limits::default());
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn limits_hold_before_decoding() {
    for name in [
        "s420.jpg",
        "rgb.png",
        "lossy.webp",
        "rgb.bmp",
        "raw.tif",
        "p6.ppm",
    ] {
        let bytes = fs::read(formats().join(name)).unwrap();
        let pixels = Limits {
            max_pixels: 246,
            ..Limits::default()
        };
        let message = reason(&bytes, &pixels);
        assert!(
            message.contains("19 x 13 pixels are more than the limit of 246"),
            "{message}"
        );
        let enough = Limits {
            max_pixels: 247,
            ..Limits::default()
        };
        assert_eq!(decode(&bytes, &enough).unwrap().dimensions(), (19, 13));
        let few = Limits {
            max_bytes: 100,
            ..Limits::default()
        };
        assert!(reason(&bytes, &few).contains("bytes are more than the limit of 100"));
    }
}

#[test]
fn a_file_is_named() {
    let error = open(Path::new("no/such.jpg"), &Limits::default()).unwrap_err();
    assert!(
        matches!(&error, Error::Files(files::Error::Read { path, .. }) if path.ends_with("such.jpg"))
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    fs::write(&path, "text").unwrap();
    let error = open(&path, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("a.jpg`: not a JPEG"), "{error}");
    let small = Limits {
        max_bytes: 3,
        ..Limits::default()
    };
    assert!(matches!(
        open(&path, &small),
        Err(Error::Undecodable { path: Some(_), .. })
    ));
}

#[test]
fn a_jpeg_without_its_end_is_truncated() {
    let bytes = fs::read(formats().join("s420.jpg")).unwrap();
    for cut in [2, 40, bytes.len() / 3] {
        let message = reason(&bytes[..bytes.len() - cut], &Limits::default());
        assert!(
            message.contains("truncated") || !cfg!(feature = "libjpeg"),
            "{cut}: {message}"
        );
    }
}

#[test]
fn extension_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    fs::copy(formats().join("rgb.png"), &path).unwrap();
    assert_eq!(
        open(&path, &Limits::default()).unwrap().dimensions(),
        (19, 13)
    );
}
