//! Settings of a resumed run: which may change.

use super::*;

#[test]
fn a_resumed_run_may_be_longer_but_not_otherwise() {
    let cache = Path::new("cache");
    let run = recipe(&["--lr", "0.01"]).unwrap();
    let longer = [
        "--epochs",
        "20",
        "--lr",
        "0.01",
        "--data",
        "builtin:insects",
    ];
    let longer = run.resumed(&flags(&longer), cache).unwrap();
    let epochs = 20;
    assert_eq!(
        longer,
        Recipe {
            epochs,
            ..run.clone()
        }
    );
    assert_eq!(run.resumed(&flags(&[]), cache).unwrap(), run);
    for (arguments, expected, found) in [
        (["--lr", "0.1"], "0.01", "0.1"),
        // The default, but typed.
        (["--lr", "1e-3"], "0.01", "0.001"),
        (["--lr", "nan"], "0.01", "NaN"),
        (["--growth", "3"], "2", "3"),
        (["--optimizer", "sgd"], "adam", "sgd"),
        (["--best-by", "val_loss"], "val_accuracy", "val_loss"),
        (["--backbone", "resnet18"], "the custom ResNet", "resnet18"),
        (
            ["--augment", "none"],
            "crop(0.08..1, 3/4..4/3)|hflip(0.5)",
            "none",
        ),
        (["--views", "3"], "none", "3"),
        (["--views", "fresh"], "none", "fresh"),
        (["--augment-val", "--no-test"], "false", "true"),
        (["--fine-tune", "--no-test"], "false", "true"),
        (["--seed", "1"], "0", "1"),
    ] {
        let error = run.resumed(&flags(&arguments), cache).unwrap_err();
        let Error::ResumeChanges {
            flag,
            expected: own,
            found: typed,
        } = error
        else {
            panic!("{arguments:?}: {error}");
        };
        assert_eq!(arguments[0], format!("--{flag}"));
        assert_eq!((own.as_str(), typed.as_str()), (expected, found), "{flag}");
    }
    for refused in [["--epochs", "0"], ["--seed", "9223372036854775808"]] {
        let error = run.resumed(&flags(&refused), cache).unwrap_err();
        assert!(error.to_string().contains(&refused.join(" ")), "{error}");
    }
}

#[test]
fn all_that_may_change_in_a_resumed_run_does() {
    let run = recipe(&[]).unwrap();
    let typed = [
        &[
            "--epochs",
            "20",
            "--early-stop",
            "3",
            "--folds",
            "4",
            "--seeds",
            "5",
        ][..],
        &["--strict-images", "--no-test", "--no-calibrate"],
        &["--data", "elsewhere"],
        &[
            "--threads",
            "3",
            "--device",
            "cuda",
            "--memory",
            "1GB",
            "--feature-cache",
            "0",
        ],
    ];
    let resumed = run
        .resumed(&flags(&typed.concat()), Path::new("cache"))
        .unwrap();
    let [own, resumed] = [run, resumed].map(|recipe| toml::Table::try_from(recipe).unwrap());
    for key in crate::recipe::resume::MAY_CHANGE {
        assert_ne!(own.get(key), resumed.get(key), "{key}");
    }
}
