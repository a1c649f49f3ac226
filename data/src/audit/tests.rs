use super::*;
use crate::Dataset;
use fs_err as fs;
use image::{Rgb, RgbImage};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::path::Path;

/// Shapes at random positions: an image like no other.
pub(super) fn drawn(number: u32) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(number.into());
    let (width, height) = (150 + number % 7, 110 + number % 5);
    let mut image = RgbImage::from_pixel(width, height, Rgb([120, 110, 100]));
    for _ in 0..14 {
        let (x, y) = (rng.random_range(0..130), rng.random_range(0..90));
        let (right, below) = (x + rng.random_range(10..60), y + rng.random_range(10..60));
        let colour: [u8; 3] = rng.random();
        for y in y..below.min(height) {
            for x in x..right.min(width) {
                image.put_pixel(x, y, Rgb(colour));
            }
        }
    }
    image
}

/// `train`, `val` and `test` with `ants` and `bees`, 12, 2 and 2 images of each.
fn sound(root: &Path) {
    let mut number = 0;
    for (split, count) in [("train", 12), ("val", 2), ("test", 2)] {
        for class in ["ants", "bees"] {
            let folder = root.join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                drawn(number).save(folder.join(format!("{i}.png"))).unwrap();
                number += 1;
            }
        }
    }
}

fn audit(root: &Path, depth: Depth) -> Audit {
    let (dataset, splits) = Dataset::open_unchecked(root, 0).unwrap();
    Audit::run(&dataset, &splits, depth, &|_| {})
}

/// Kind, severity and files of every finding.
fn summary(audit: &Audit) -> Vec<(Kind, Severity, Vec<&str>)> {
    let findings = audit.findings.iter();
    findings
        .map(|f| {
            (
                f.kind,
                f.severity,
                f.paths.iter().map(String::as_str).collect(),
            )
        })
        .collect()
}

#[test]
fn a_sound_set_has_no_findings() {
    let folder = tempfile::tempdir().unwrap();
    sound(folder.path());
    let audit = audit(folder.path(), Depth::Pixels);
    assert_eq!(audit.findings, []);
    assert_eq!(audit.counts[&Split::Train]["ants"], 12);
    assert_eq!(audit.counts[&Split::Test]["bees"], 2);
    let width = audit.width.unwrap();
    assert_eq!((width.min, width.max), (150, 156));
    let total: usize = audit.aspect.iter().map(|bin| bin.count).sum();
    assert_eq!(total, 32);
}

/// A JPEG with an EXIF block that says `orientation`.
fn turned(orientation: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new(&mut jpeg);
    drawn(50).write_with_encoder(encoder).unwrap();
    let tiff = [
        &b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..],
        &[orientation, 0, 0, 0],
        &[0; 4],
    ]
    .concat();
    let length = (tiff.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &tiff, &jpeg[2..]].concat()
}

/// Adds one of each to a sound set.
fn plant(root: &Path) {
    let at = |path: &str| root.join(path);
    let copy = |from: &str, to: &str| fs::copy(at(from), at(to)).unwrap();
    copy("train/ants/0.png", "test/ants/leak.png");
    // The same pixels in another file format, and another label.
    let open = |path: &str| image::open(at(path)).unwrap();
    open("train/bees/1.png")
        .save(at("train/ants/1b.bmp"))
        .unwrap();
    copy("train/bees/2.png", "train/bees/2b.png");
    let half = open("train/bees/3.png").resize_exact(75, 55, image::imageops::FilterType::Triangle);
    half.save(at("val/bees/half.png")).unwrap();
    fs::write(at("train/ants/empty.jpg"), "").unwrap();
    let png = fs::read(at("train/ants/5.png")).unwrap();
    fs::write(at("test/bees/cut.png"), &png[..png.len() / 2]).unwrap();
    fs::write(at("train/ants/turned.jpg"), turned(6)).unwrap();
    drawn(51)
        .save_with_format(at("train/bees/bmp.jpg"), image::ImageFormat::Bmp)
        .unwrap();
    RgbImage::from_pixel(70, 40, Rgb([7, 8, 9]))
        .save(at("train/bees/blank.png"))
        .unwrap();
    image::imageops::thumbnail(&drawn(52), 30, 20)
        .save(at("train/bees/small.png"))
        .unwrap();
    image::DynamicImage::ImageRgb8(drawn(53))
        .into_luma8()
        .save(at("val/ants/gray.png"))
        .unwrap();
    image::DynamicImage::ImageRgb8(drawn(54))
        .into_rgba8()
        .save(at("val/ants/alpha.png"))
        .unwrap();
    fs::write(at("train/ants/notes.txt"), "").unwrap();
}

#[test]
fn what_is_planted_is_found_and_nothing_else() {
    use Kind::*;
    use Severity::{Error, Note, Warning};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    sound(root);
    plant(root);
    let pixels = audit(root, Depth::Pixels);
    let expected = [
        (Leak, Error, vec!["test/ants/leak.png", "train/ants/0.png"]),
        (Unreadable, Error, vec!["test/bees/cut.png"]),
        (Unreadable, Warning, vec!["train/ants/empty.jpg"]),
        (
            TwoLabels,
            Warning,
            vec!["train/ants/1b.bmp", "train/bees/1.png"],
        ),
        (
            Duplicate,
            Warning,
            vec!["train/bees/2.png", "train/bees/2b.png"],
        ),
        (
            NearDuplicate,
            Warning,
            vec!["train/bees/3.png", "val/bees/half.png"],
        ),
        (Blank, Warning, vec!["train/bees/blank.png"]),
        (ExtremeSize, Warning, vec!["train/bees/small.png"]),
        (WrongExtension, Note, vec!["train/bees/bmp.jpg"]),
        (Rotated, Note, vec!["train/ants/turned.jpg"]),
        (Gray, Note, vec!["val/ants/gray.png"]),
        (Alpha, Note, vec!["val/ants/alpha.png"]),
        (LeftOut, Note, vec!["train/ants/notes.txt"]),
    ];
    assert_eq!(summary(&pixels), expected);
    let (dataset, _) = Dataset::open_unchecked(root, 0).unwrap();
    assert_eq!(pixels.leaked(&dataset), BTreeMap::from([(Split::Test, 1)]));

    // Without pixels: no copy in another format, no cut file, nothing near, nothing blank.
    let files = audit(root, Depth::Files);
    let seen: Vec<Kind> = files.findings.iter().map(|f| f.kind).collect();
    let expected = [
        Leak,
        Unreadable,
        Duplicate,
        ExtremeSize,
        WrongExtension,
        Rotated,
        Gray,
        Alpha,
        LeftOut,
    ];
    assert_eq!(seen, expected);
    let hash = crate::hash::sha256(&root.join("train/ants/0.png")).unwrap();
    assert_eq!(files.hash(&root.join("train/ants/0.png")), Some(hash));

    let text = serde_json::to_string(&pixels).unwrap();
    assert!(
        text.contains(r#""kind":"leak","severity":"error""#),
        "{text}"
    );
    assert!(text.contains(r#""train":{"ants":15,"bees":16}"#), "{text}");
    for finding in &pixels.findings {
        let name = serde_json::to_value(finding.kind).unwrap();
        assert_eq!(name, finding.kind.name());
    }
}

#[test]
fn images_without_pixels_are_unreadable_and_have_no_size() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    sound(root);
    fs::write(root.join("train/ants/zero.ppm"), "P6 0 0 255 ").unwrap();
    // A frame header (ITU T.81, B.2.2) of 0 lines of 0 samples, then a scan.
    let frame = b"\xff\xd8\xff\xc0\0\x0b\x08\0\0\0\0\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0";
    fs::write(root.join("train/bees/zero.jpg"), frame).unwrap();
    let audit = audit(root, Depth::Files);
    let [finding] = &audit.findings[..] else {
        panic!("{:?}", audit.findings)
    };
    assert_eq!(finding.kind, Kind::Unreadable);
    assert_eq!(
        finding.paths,
        ["train/ants/zero.ppm", "train/bees/zero.jpg"]
    );
    assert!(finding.message.ends_with("it has no pixels"), "{finding:?}");
    let total: usize = audit.megapixels.iter().map(|bin| bin.count).sum();
    assert_eq!((total, audit.height.unwrap().min), (32, 110));
}

#[test]
fn class_folders_that_differ_are_named_with_what_they_may_be() {
    let folder = tempfile::tempdir().unwrap();
    sound(folder.path());
    fs::rename(
        folder.path().join("test/bees"),
        folder.path().join("test/Bee"),
    )
    .unwrap();
    let audit = audit(folder.path(), Depth::Files);
    let messages: Vec<&str> = audit.findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "class `Bee` is in `test/` but not in `train/` and `val/`: is it `bees`?",
            "class `bees` is in `train/` and `val/` but not in `test/`: is it `Bee`?",
            "no train images of `Bee`",
            "no val images of `Bee`",
            "no test images of `bees`",
        ]
    );
    assert_eq!(audit.count(Severity::Error), 3);
    // Labels follow the names, wherever a class stands in its split.
    assert_eq!(audit.counts[&Split::Test]["Bee"], 2);
    assert_eq!(audit.counts[&Split::Train]["bees"], 12);
}

#[test]
fn few_images_and_few_of_one_class_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (class, count) in [("ant", 3_u32), ("ants", 40), ("bees", 12)] {
        let class = folder.path().join(class);
        fs::create_dir_all(&class).unwrap();
        for i in 0..count {
            // Headers alone count here.
            let grays = [&b"P5 40 40 255 "[..], &[count as u8, i as u8], &[0; 1598]].concat();
            fs::write(class.join(format!("{i}.pgm")), grays).unwrap();
        }
    }
    let audit = audit(folder.path(), Depth::Files);
    let messages: Vec<&str> = audit.findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "classes `ant` and `ants` may be one",
            "fewer than 10 train images of `ant` (1) and `bees` (9)",
            "`ants` has 28 times as many train images as `ant`: 28 images and 1",
            "55 images without colours: three equal channels",
        ]
    );
}

#[test]
fn a_severity_has_one_name_everywhere() {
    for severity in [Severity::Note, Severity::Warning, Severity::Error] {
        let json = serde_json::to_value(severity).unwrap();
        assert_eq!(json, severity.name());
    }
}

/// Folders of identities, each with three genuine images and a forgery; images are numbered from `first`.
fn people(root: &Path, names: &[&str], first: u32) {
    for (name, number) in names.iter().zip((first..).step_by(4)) {
        let folder = root.join(name);
        fs::create_dir_all(folder.join("forged")).unwrap();
        for i in 0..3 {
            let path = folder.join(format!("{i}.png"));
            drawn(number + i).save(path).unwrap();
        }
        drawn(number + 3).save(folder.join("forged/0.png")).unwrap();
    }
}

fn audit_of_pairs(root: &Path) -> Audit {
    let (pairs, flaws) =
        crate::Pairs::open_unchecked(root, &crate::PairOptions::default()).unwrap();
    let audit = Audit::run(&pairs.images, &[], Depth::Pixels, &|_| {});
    audit.of_pairs(&pairs, &flaws)
}

#[test]
fn sound_pairs_have_counts_and_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    people(&folder.path().join("train"), &["a", "b", "c"], 0);
    people(&folder.path().join("val"), &["d", "e"], 20);
    people(&folder.path().join("test"), &["f", "g"], 40);
    let audit = audit_of_pairs(folder.path());
    assert_eq!(summary(&audit), []);
    let train = audit.pairs[&Split::Train];
    assert_eq!((train.identities, train.images), (3, 12));
    assert_eq!((train.same, train.forged, train.different), (9, 3, 6));
    // What is written has them, and that of a classifier does not.
    let text = serde_json::to_string(&audit).unwrap();
    assert_eq!(
        serde_json::from_str::<Audit>(&text).unwrap().pairs,
        audit.pairs
    );
    let (dataset, splits) = Dataset::open_unchecked(folder.path(), 0).unwrap();
    let classes = Audit::run(&dataset, &splits, Depth::Files, &|_| {});
    let text = serde_json::to_string(&classes).unwrap();
    assert!(!text.contains("\"pairs\""), "{text}");
}

#[test]
fn pairs_are_audited_for_identities_copies_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    people(&folder.path().join("train"), &["a", "b", "c"], 0);
    people(&folder.path().join("val"), &["d", "e"], 20);
    people(&folder.path().join("test"), &["f", "g"], 40);
    // An identity in two splits, a forgery that is a copy, a copy under another name, and one image alone.
    people(&folder.path().join("test"), &["a"], 60);
    let copy = |from: &str, to: &str| {
        let to = folder.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(folder.path().join(from), to).unwrap();
    };
    copy("train/b/1.png", "train/b/forged/1.png");
    copy("train/b/2.png", "train/c/9.png");
    let single = folder.path().join("train/h");
    fs::create_dir_all(&single).unwrap();
    drawn(90).save(single.join("0.png")).unwrap();
    // As `a` half the size: what looks alike across identities is a warning.
    let small = image::imageops::thumbnail(&drawn(1), 75, 55);
    small.save(folder.path().join("train/c/small.png")).unwrap();
    let audit = audit_of_pairs(folder.path());
    let found = |kind: Kind| {
        let finding = audit.findings.iter().find(|finding| finding.kind == kind);
        let finding = finding.unwrap_or_else(|| panic!("{kind:?} in {:?}", summary(&audit)));
        (finding.severity, finding.message.as_str())
    };
    assert_eq!(
        found(Kind::IdentityLeak),
        (Severity::Error, "the identity `a` is in train and test")
    );
    let duplicate = "the same file 2 times in train, genuine and forged";
    assert_eq!(found(Kind::Duplicate), (Severity::Warning, duplicate));
    assert_eq!(
        found(Kind::TwoLabels),
        (Severity::Warning, "the same file as `b` and `c`")
    );
    assert_eq!(
        found(Kind::NearDuplicate),
        (
            Severity::Warning,
            "2 files that look alike in train, as `a` and `c`"
        )
    );
    assert_eq!(found(Kind::SingleImage).0, Severity::Warning);
    assert!(audit.findings.is_sorted_by(|a, b| a.severity >= b.severity));
    assert_eq!(audit.count(Severity::Error), 1, "{:?}", summary(&audit));

    let rows = "path_a,path_b,label\ntrain/a/0.png,train/a/0.png,same\n\
                train/a/0.png,train/a/1.png,same\ntrain/a/1.png,train/a/0.png,same\n\
                train/a/1.png,train/a/0.png,0\ntrain/b/0.png,gone.png,same\n";
    let table = folder.path().join("pairs.csv");
    fs::write(&table, rows).unwrap();
    let audit = audit_of_pairs(&table);
    let messages: Vec<(Kind, &str)> = audit
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.message.as_str()))
        .collect();
    for expected in [
        (
            Kind::SelfPair,
            "line 2: `train/a/0.png` is paired with itself",
        ),
        (
            Kind::RepeatedPair,
            "line 4: `train/a/1.png` and `train/a/0.png` are listed again, mirrored",
        ),
        (
            Kind::PairOfTwoLabels,
            "line 5: `train/a/1.png` and `train/a/0.png` are `different` here and `same` in an earlier row",
        ),
    ] {
        assert!(messages.contains(&expected), "{expected:?}: {messages:?}");
    }
    let is_gone = |finding: &&Finding| finding.kind == Kind::Unreadable;
    let gone = audit.findings.iter().find(is_gone).unwrap();
    assert_eq!(gone.paths, ["gone.png"]);
}
