//! `trainer audit`, and what `fit` says of the same.

use std::path::{Path, PathBuf};

use fs_err as fs;
use tests::{Workshop, shared};

#[test]
fn a_leak_is_exit_code_1_unless_it_is_allowed() {
    let shop = Workshop::new();
    let sound = shop
        .trainer("audit --data pictures --json sound.json")
        .run()
        .ok();
    assert!(sound.out.contains("0 errors"), "{}", sound.out);
    fs::copy(
        shop.path("pictures/train/discs/00.jpg"),
        shop.path("pictures/test/squares/leak.jpg"),
    )
    .unwrap();
    let audit = |flags: &str| shop.trainer("audit --data pictures").args(flags).run();
    let found = audit("--json audit.json");
    assert_eq!(found.code, 1, "{}{}", found.out, found.err);
    insta::assert_snapshot!(found.out);
    let json = shop.json("audit.json");
    assert_eq!(json["findings"][0]["kind"], "leak");
    let paths = ["test/squares/leak.jpg", "train/discs/00.jpg"];
    assert_eq!(json["findings"][0]["paths"], serde_json::json!(paths));
    assert_eq!(json["counts"]["test"]["squares"], 7);
    audit("--allow-leak -q --html sheet.html").ok();
    let page = fs::read_to_string(shop.path("sheet.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 4);
    assert!(page.contains("test/squares/leak.jpg"), "{page}");
    assert_eq!(audit("--allow-leak -q").ok().out, "");
    assert_eq!(audit("-q --json -").json(), json);

    let fit = shop.fit("--epochs 1 -q").run().ok();
    // At the start, and again behind the scores that it spoils.
    insta::assert_snapshot!(fit.err, @r"
    warning: the same file in train and test: `test/squares/leak.jpg`, `train/discs/00.jpg`; scores will be too good
    warning: 46.2 % is worse than always answering `squares`, which is right on 53.8 %
    warning: these scores are too good: an earlier split has 1 of the 13 test images, too
    ");
    assert_eq!(shop.json("runs/1/summary.json")["leaks"]["test"], 1);
    let page = fs::read_to_string(shop.path("runs/1/report.html")).unwrap();
    let leak = page.find("Leak: ").expect("a leak on the page");
    assert!(leak < page.find("baseline").unwrap(), "beside the accuracy");
    let eval = shop.trainer("eval 1 -q").run().ok();
    assert!(eval.err.contains("1 of the 13 test images"), "{}", eval.err);
    let of_run = shop.json("runs/1/audit.json");
    assert_eq!(of_run["findings"][0], json["findings"][0]);
    assert_eq!(
        (&of_run["depth"], &json["depth"]),
        (&"files".into(), &"pixels".into())
    );
}

#[test]
fn splits_with_other_classes_are_told_where_fit_refuses_them() {
    let shop = Workshop::new();
    fs::rename(
        shop.path("pictures/test/discs"),
        shop.path("pictures/test/Disc"),
    )
    .unwrap();
    let audit = shop.trainer("audit --data pictures").run();
    assert_eq!(audit.code, 1, "{}", audit.err);
    assert!(audit.out.contains("is it `Disc`?"), "{}", audit.out);
    assert!(
        shop.fit("-q")
            .run()
            .refusal()
            .contains("class folders differ")
    );
}

/// A copy of some photos, as `photos/{train,test}/{ants,bees}`; gives their names: 12 ants and 12
/// bees to train on, 8 ants and 8 bees to test with.
fn copied(shop: &Workshop, photos: &Path) -> Vec<String> {
    let mut copied = vec![];
    for (split, folder, count) in [("train", "train", 12), ("test", "val", 8)] {
        for class in ["ants", "bees"] {
            let from = fs::read_dir(photos.join(folder).join(class)).unwrap();
            let mut files: Vec<PathBuf> = from.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            for file in &files[..count] {
                let name = file.file_name().unwrap().to_str().unwrap();
                let relative = format!("{split}/{class}/{name}");
                shop.write(&format!("photos/{relative}"), fs::read(file).unwrap());
                copied.push(relative);
            }
        }
    }
    copied
}

/// Exit code, and kind and files of every finding.
fn found(shop: &Workshop) -> (i32, Vec<(String, Vec<String>)>) {
    let audit = shop.trainer("audit --data photos -q --json -").run();
    let findings = audit.json()["findings"].as_array().unwrap().clone();
    let finding = |finding: serde_json::Value| {
        let kind = finding["kind"].as_str().unwrap().to_owned();
        (
            kind,
            serde_json::from_value(finding["paths"].clone()).unwrap(),
        )
    };
    (audit.code, findings.into_iter().map(finding).collect())
}

/// Planted in a copy of some photos: all found, nothing else flagged.
#[test]
fn of_the_photos_only_what_is_planted_is_flagged() {
    let Some(photos) = shared::find("data/hymenoptera") else {
        return;
    };
    let shop = Workshop::empty();
    let copied = copied(&shop, &photos);
    assert_eq!(found(&shop), (0, vec![]));
    let [ant, bee, other_bee, test_ant] = [0, 12, 13, 24].map(|at| copied[at].as_str());
    let path = |name: &str| shop.path(format!("photos/{name}"));
    let bytes = |name: &str| fs::read(path(name)).unwrap();
    shop.write("photos/test/ants/leak.jpg", bytes(ant));
    shop.write("photos/train/ants/cut.jpg", &bytes(ant)[..4000]);
    let picture = image::load_from_memory(&bytes(bee)).unwrap();
    let (width, height) = (picture.width(), picture.height());
    let crop = picture.crop_imm(width / 30, height / 30, width * 9 / 10, height * 9 / 10);
    crop.fliph().save(path("test/bees/cropped.jpg")).unwrap();
    let exif =
        b"\xff\xe1\0\x22Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let upright = bytes(test_ant);
    fs::remove_file(path(test_ant)).unwrap();
    let turned = [&upright[..2], exif, &upright[2..]].concat();
    shop.write(&format!("photos/{test_ant}"), turned);
    // `image` decodes JPEG otherwise than PIL does: near the photo, not the same.
    let same = image::load_from_memory(&bytes(other_bee)).unwrap();
    same.save(path("train/ants/same.png")).unwrap();

    let finding = |kind: &str, paths: &[&str]| {
        let paths = paths.iter().map(ToString::to_string).collect();
        (kind.to_owned(), paths)
    };
    let expected = vec![
        finding("leak", &["test/ants/leak.jpg", ant]),
        finding("unreadable", &["train/ants/cut.jpg"]),
        finding("near-duplicate", &["test/bees/cropped.jpg", bee]),
        finding("near-duplicate", &["train/ants/same.png", other_bee]),
        finding("rotated", &[test_ant]),
    ];
    assert_eq!(found(&shop), (1, expected));
}
