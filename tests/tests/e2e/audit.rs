//! `trainer audit`, and what `fit` says of the same.

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
    assert_eq!(audit("--allow-leak -q").ok().out, "");
    assert_eq!(audit("-q --json -").json(), json);

    let fit = shop.fit("--epochs 1 -q").run().ok();
    insta::assert_snapshot!(fit.err, @"warning: the same file in train and test: `test/squares/leak.jpg`, `train/discs/00.jpg`; scores will be too good");
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

/// Planted in a copy of some photos: all found, nothing else flagged.
#[test]
fn of_the_photos_only_what_is_planted_is_flagged() {
    let Some(photos) = shared::find("data/hymenoptera") else {
        return;
    };
    let shop = Workshop::empty();
    let mut copied = vec![];
    for (split, folder, count) in [("train", "train", 12), ("test", "val", 8)] {
        for class in ["ants", "bees"] {
            let from = photos.join(folder).join(class);
            let mut names: Vec<_> = fs::read_dir(&from)
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            names.sort();
            let to = shop.path(format!("photos/{split}/{class}"));
            fs::create_dir_all(&to).unwrap();
            for name in &names[..count] {
                let name = name.to_str().unwrap();
                shop.write(
                    &format!("photos/{split}/{class}/{name}"),
                    fs::read(from.join(name)).unwrap(),
                );
                copied.push(format!("{split}/{class}/{name}"));
            }
        }
    }
    let audit = || {
        let audit = shop.trainer("audit --data photos -q --json -").run();
        (audit.code, audit.json()["findings"].clone())
    };
    assert_eq!(audit(), (0, serde_json::json!([])));
    // Ants of train, bees of train, ants of test, bees of test.
    let (ant, bee, other_bee, test_ant) = (&copied[0], &copied[12], &copied[13], &copied[24]);
    let bytes = |name: &str| fs::read(shop.path(format!("photos/{name}"))).unwrap();
    shop.write("photos/test/ants/leak.jpg", bytes(ant));
    shop.write("photos/train/ants/cut.jpg", &bytes(ant)[..4000]);
    let picture = image::load_from_memory(&bytes(bee)).unwrap();
    let (width, height) = (picture.width(), picture.height());
    let crop = picture
        .crop_imm(width / 30, height / 30, width * 9 / 10, height * 9 / 10)
        .fliph();
    crop.save(shop.path("photos/test/bees/cropped.jpg"))
        .unwrap();
    let exif = b"\xff\xe1\x00\x22Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let upright = bytes(test_ant);
    fs::remove_file(shop.path(format!("photos/{test_ant}"))).unwrap();
    shop.write(
        &format!("photos/{test_ant}"),
        [&upright[..2], exif, &upright[2..]].concat(),
    );
    image::load_from_memory(&bytes(other_bee))
        .unwrap()
        .save(shop.path("photos/train/ants/same.png"))
        .unwrap();
    let (code, findings) = audit();
    let found: Vec<(&str, Vec<&str>)> = findings
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let paths = finding["paths"].as_array().unwrap();
            (
                finding["kind"].as_str().unwrap(),
                paths.iter().map(|path| path.as_str().unwrap()).collect(),
            )
        })
        .collect();
    assert_eq!(code, 1);
    let kinds: Vec<&str> = found.iter().map(|(kind, _)| *kind).collect();
    // `image` decodes JPEG otherwise than PIL does: the PNG is near the photo, not the same.
    assert_eq!(
        kinds,
        [
            "leak",
            "unreadable",
            "near-duplicate",
            "near-duplicate",
            "rotated"
        ],
        "{findings}"
    );
    assert_eq!(found[0].1, ["test/ants/leak.jpg", ant.as_str()]);
    assert_eq!(found[1].1, ["train/ants/cut.jpg"]);
    assert!(
        found[2..4]
            .iter()
            .any(|f| f.1 == ["test/bees/cropped.jpg", bee.as_str()]),
        "{findings}"
    );
    assert!(
        found[2..4]
            .iter()
            .any(|f| f.1 == ["train/ants/same.png", other_bee.as_str()]),
        "{findings}"
    );
    assert_eq!(found[4].1, [test_ant.as_str()]);
}
