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

/// All JPEG files below the folder of the photos, which has a GIF, too.
#[cfg(feature = "libjpeg")]
fn jpegs(folder: &Path) -> Vec<std::path::PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let is_gif = |path: &Path| path.extension().is_some_and(|e| e == "gif");
    paths
        .filter(|path| !is_gif(path))
        .flat_map(|path| {
            if path.is_dir() {
                jpegs(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// What the README says of a build without C.
#[cfg(feature = "libjpeg")]
#[expect(clippy::print_stderr, reason = "says why it is skipped")]
#[test]
fn the_pure_rust_decoder_is_at_most_7_of_255_off_on_the_photos() {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/hymenoptera");
    if !photos.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {photos:?}");
        eprintln!("skipped: needs ../shared/data/hymenoptera");
        return;
    }
    let (mut count, mut most) = (0, 0);
    for path in jpegs(&photos) {
        let bytes = fs::read(&path).unwrap();
        let ours = jpeg_pixels::decode(&bytes).unwrap();
        let theirs = jpeg_zune::decode(&bytes).unwrap();
        let pairs = ours.as_raw().iter().zip(theirs.as_raw());
        most = most.max(pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap());
        count += 1;
    }
    assert_eq!(count, 397);
    assert!((1..=7).contains(&most), "{most}");
}

/// A TIFF says what the samples of its JPEG mean: both decoders give them unconverted, or RGB for YCbCr.
#[cfg(feature = "libjpeg")]
#[test]
fn samples_of_a_jpeg_are_the_same_from_both_decoders() {
    for (name, channels) in [("s444.jpg", 3), ("gray.jpg", 1), ("cmyk.jpg", 4)] {
        let bytes = fs::read(formats().join(name)).unwrap();
        for ycbcr in [false, true] {
            if ycbcr && channels != 3 {
                continue;
            }
            let ours = jpeg_pixels::decode_samples(&bytes, ycbcr).unwrap();
            let theirs = jpeg_zune::decode_samples(&bytes, ycbcr).unwrap();
            assert_eq!(
                (ours.len(), theirs.len()),
                (19 * 13 * channels, ours.len()),
                "{name}"
            );
            let most = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(most.unwrap() <= 4, "{name}, {ycbcr}: {most:?}");
        }
        let same = jpeg_pixels::decode_samples(&bytes, false).unwrap();
        let rgb = jpeg_pixels::decode(&bytes).unwrap();
        assert!(
            channels == 1 || same != rgb.into_raw(),
            "{name} is converted"
        );
    }
}
