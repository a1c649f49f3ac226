//! Data that cannot be trained on or scored.

use fs_err as fs;
use tests::{Workshop, pictures, run_folder};

#[test]
fn folders() {
    let shop = Workshop::new();
    let fit = |data: &str| {
        shop.trainer(&format!("fit -q --data {data}"))
            .run()
            .refusal()
    };
    insta::assert_snapshot!(fit("nowhere"), @r#"
    error: there is no folder or CSV file `[DIR]/nowhere`

    hint: check the path after `--data`
    "#);
    fs::create_dir(shop.path("nothing")).unwrap();
    insta::assert_snapshot!(fit("nothing"), @r#"
    error: `[DIR]/nothing` has no class folders

    hint: put the images into one folder per class, e.g. `ants/` and `bees/`, or below `train/`, `val/` and `test/`
    "#);
    pictures::draw_classes(&shop.path("one"), 4);
    fs::remove_dir_all(shop.path("one/squares")).unwrap();
    insta::assert_snapshot!(fit("one"), @r#"
    error: `[DIR]/one` has one class only: discs

    hint: add a folder with the images of at least one other class
    "#);
    assert!(
        !shop.path("runs").exists(),
        "a refused run leaves no folder"
    );
}

#[test]
fn an_empty_class_is_told() {
    let shop = Workshop::new();
    fs::create_dir_all(shop.path("pictures/train/triangles")).unwrap();
    let fit = shop.fit("--epochs 1 -q").run();
    insta::assert_snapshot!(fit.refusal(), @r#"
    error: class folders differ between `[DIR]/pictures/train` and `[DIR]/pictures/val`
      expected: discs, squares, triangles
      found:    discs, squares

    hint: missing in the second: `triangles`; every split needs the same class folders
    "#);
    pictures::draw_classes(&shop.path("two"), 4);
    for entry in fs::read_dir(shop.path("two/squares")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let fit = shop.trainer("fit -q --data two").run();
    insta::assert_snapshot!(fit.refusal(), @r#"
    error: class `squares` has no training images in `[DIR]/two/squares`

    hint: add images to it, or remove the class from every split
    "#);
}

#[test]
fn unreadable_images() {
    let shop = Workshop::empty();
    pictures::draw_classes(&shop.path("flat"), 30);
    let whole = fs::read(shop.path("flat/discs/00.jpg")).unwrap();
    shop.write("flat/discs/00.jpg", &whole[..whole.len() / 2]);
    let fit = |flags: &str| {
        let fit = shop.trainer("fit --data flat --width 2 --epochs 1 -q");
        fit.args(flags).run()
    };
    let left_out = fit("").ok();
    insta::assert_snapshot!(left_out.filtered(&left_out.err), @"warning: left out `[DIR]/flat/discs/00.jpg`: the file is truncated");
    insta::assert_snapshot!(fit("--strict-images").refusal(), @"error: cannot decode `[DIR]/flat/discs/00.jpg`: the file is truncated");
    // Root may read what has no permission; a process's memory has no first byte for it either.
    #[cfg(target_os = "linux")]
    {
        fs::remove_file(shop.path("flat/discs/00.jpg")).unwrap();
        std::os::unix::fs::symlink("/proc/self/mem", shop.path("flat/discs/00.jpg")).unwrap();
        let left_out = fit("").ok();
        assert!(
            left_out.err.contains("00.jpg`: Input/output error"),
            "{}",
            left_out.err
        );
        fs::remove_file(shop.path("flat/discs/00.jpg")).unwrap();
        shop.write("flat/discs/00.jpg", &whole[..whole.len() / 2]);
    }
    for i in 1..6 {
        let kind = if i % 2 == 0 { "jpg" } else { "png" };
        shop.write(&format!("flat/discs/{i:02}.{kind}"), "no picture");
    }
    insta::assert_snapshot!(fit("").refusal(), @r#"
    error: 5 of 42 images cannot be read, first `[DIR]/flat/discs/00.jpg`: the file is truncated

    hint: repair or remove them; up to 5 % unreadable images are left out and listed
    "#);
    let eval = |flags: &str| {
        let eval = shop.deploy("eval --data flat --split train -q");
        eval.args(flags).run().refusal()
    };
    insta::assert_snapshot!(eval(""), @r#"
    error: 5 of 42 images cannot be read, first `flat/discs/00.jpg`: the file is truncated

    hint: repair or remove them; up to 5 % unreadable images are left out and listed
    "#);
    insta::assert_snapshot!(eval("--strict-images"), @r#"
    error: `flat/discs/00.jpg` cannot be read: the file is truncated

    hint: repair or remove the files; HEIC and AVIF must be converted to JPEG first
    "#);
}

#[test]
fn other_classes_than_the_models() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 -q").run().ok();
    pictures::draw_classes(&shop.path("other"), 4);
    fs::rename(shop.path("other/squares"), shop.path("other/wasps")).unwrap();
    let deploy = shop.deploy("eval -q --data other").run();
    insta::assert_snapshot!(deploy.refusal(), @r#"
    error: `runs/1/model.onnx` knows 2 classes but the data has 2
      expected: discs, squares
      found:    discs, wasps

    hint: remove wasps from the data or use a model that was trained with it
    "#);
    let trainer = shop.trainer("eval 1 -q --data other").run();
    insta::assert_snapshot!(trainer.refusal(), @r#"
    error: the network and the data have different classes
      expected: discs, squares
      found:    discs, wasps

    hint: the network can be scored on folders of its own classes only
    "#);
}

#[test]
fn a_loss_that_is_not_finite() {
    let shop = Workshop::new();
    let wild = "--epochs 20 --batch 4 --lr 1e30 --name wild -q";
    insta::assert_snapshot!(shop.fit(wild).run().refusal(), @r#"
    error: the training loss is NaN in epoch 1, step 2

    hint: try a tenth of the `--lr`; the checkpoint of the last good epoch, if any, is in the run folder
    "#);
    assert_eq!(
        run_folder::check_whole(&shop.path("runs/wild")),
        [
            "audit.json",
            "command.txt",
            "config.toml",
            "preprocess.json",
            "split.csv"
        ]
    );
    // The weights double with every step.
    let growing = "--optimizer sgd --momentum 0 --weight-decay 3e3 --batch 4 --name growing -q";
    let error = shop.fit(growing).run().refusal();
    assert!(error.starts_with("error: the training loss is "), "{error}");
    assert!(!error.contains("in epoch 1,"), "{error}");
    let run = shop.path("runs/growing");
    let rows = run_folder::metrics(&run.join("metrics.csv"));
    assert!(
        error.contains(&format!(" in epoch {}, step ", rows.len() + 1)),
        "{error}"
    );
    // The last good checkpoint stays.
    for (_, bytes) in run_folder::checkpoint(&run.join("last.safetensors"))
        .0
        .values()
    {
        let (values, _) = bytes.as_chunks::<4>();
        assert!(
            values
                .iter()
                .all(|value| f32::from_le_bytes(*value).is_finite())
        );
    }
    shop.trainer("eval growing --checkpoint last -q").run().ok();
}
