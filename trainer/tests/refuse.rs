//! What `trainer` refuses before any work: exit code 2, what is wrong, what to do.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::path::Path;
use std::process::Command;

use fs_err as fs;

struct Case {
    arguments: &'static [&'static str],
    says: &'static str,
    hints: &'static str,
}

const CASES: &[Case] = &[
    Case {
        arguments: &["fit", "--data", "nowhere"],
        says: "nowhere`",
        hints: "",
    },
    Case {
        arguments: &["fit", "--data", "one"],
        says: "class",
        hints: "",
    },
    Case {
        arguments: &["fit", "--name", "taken"],
        says: "`runs/taken` exists already",
        hints: "--resume runs/taken",
    },
    Case {
        arguments: &["fit", "--name", "../out"],
        says: "`../out`",
        hints: "--runs",
    },
    Case {
        arguments: &["fit", "--config", "typo.toml"],
        says: "`epoch`",
        hints: "flags",
    },
    Case {
        arguments: &["fit", "--config", "none.toml"],
        says: "none.toml`",
        hints: "",
    },
    Case {
        arguments: &["fit", "--epochs", "0"],
        says: "`--epochs 0`",
        hints: "",
    },
    Case {
        arguments: &["fit", "--lr", "-1"],
        says: "`--lr -1`",
        hints: "",
    },
    Case {
        arguments: &["fit", "--folds", "1"],
        says: "`--folds 1`",
        hints: "",
    },
    Case {
        arguments: &["fit", "--seeds", "0"],
        says: "`--seeds 0`",
        hints: "",
    },
    Case {
        arguments: &["fit", "--fine-tune"],
        says: "--backbone",
        hints: "",
    },
    Case {
        arguments: &["fit", "--augment", "swirl(3)"],
        says: "swirl",
        hints: "",
    },
    Case {
        arguments: &["fit", "--data", "hymenoptera"],
        says: "`hymenoptera` is not in the cache",
        hints: "trainer fetch hymenoptera",
    },
    Case {
        arguments: &["fit", "--resume", "nowhere"],
        says: "nowhere`",
        hints: "trainer runs",
    },
    Case {
        arguments: &["eval", "nowhere"],
        says: "nowhere`",
        hints: "trainer runs",
    },
    Case {
        arguments: &["export", "nowhere"],
        says: "nowhere`",
        hints: "trainer runs",
    },
    Case {
        arguments: &["inspect", "nowhere", "--image", "a.png"],
        says: "nowhere`",
        hints: "trainer runs",
    },
    Case {
        arguments: &["report", "nowhere"],
        says: "nowhere`",
        hints: "trainer runs",
    },
    Case {
        arguments: &["inspect", "none.onnx", "--image", "a.png"],
        says: "none.onnx`",
        hints: "",
    },
    Case {
        arguments: &["audit", "--data", "nowhere"],
        says: "nowhere`",
        hints: "--data",
    },
    Case {
        arguments: &["plot", "nowhere", "--kind", "roc"],
        says: "nowhere`",
        hints: "trainer runs",
    },
    Case {
        arguments: &["augment", "--data", "nowhere"],
        says: "nowhere`",
        hints: "",
    },
];

fn lay_out(folder: &Path) {
    fs::create_dir_all(folder.join("runs/taken")).unwrap();
    fs::write(folder.join("typo.toml"), "epoch = 3\n").unwrap();
    for split in ["train", "val"] {
        let class = folder.join("one").join(split).join("ants");
        fs::create_dir_all(&class).unwrap();
        for number in 0..4 {
            let image = image::RgbImage::from_pixel(20, 30, image::Rgb([number * 50, 9, 9]));
            image.save(class.join(format!("{number}.png"))).unwrap();
        }
    }
}

#[test]
fn refusals_say_what_is_wrong_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    lay_out(folder.path());
    for Case {
        arguments,
        says,
        hints,
    } in CASES
    {
        let output = Command::new(env!("CARGO_BIN_EXE_trainer"))
            .args(*arguments)
            .current_dir(folder.path())
            .env("CLASSIFIER_CACHE", folder.path().join("cache"))
            .env_remove("ORT_DYLIB_PATH")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        let (error, hint) = text.split_once("hint:").unwrap_or((&text, ""));
        assert!(
            error.contains("error:") && error.contains(says),
            "{arguments:?}: {text}"
        );
        assert!(hint.contains(hints), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    }
    let runs: Vec<_> = fs::read_dir(folder.path().join("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1, "a refused run leaves no folder");
}
