use std::path::Path;

use clap::Parser;
use serde::de::{Deserializer, Error as _, Visitor};

use super::{
    Criterion, FineTune, Flags, HeadSolver, Log, MachineArgs, Memory, OptimizerKind, Recipe,
    RunArgs, SaveKind, SchedulerKind, Settings, Ui, Views, WeightAverage, flags as setting_flags,
};
use crate::error::{Error, Result};

mod resume;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    settings: Flags,
    #[arg(long)]
    other: bool,
}

fn flags(arguments: &[&str]) -> Flags {
    let words = [&["fit"], arguments].concat();
    CommandLine::try_parse_from(words).unwrap().settings
}

fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs_err::write(&path, text).unwrap();
    (folder, path)
}

/// Flags over a file.
fn settings(arguments: &[&str], file: &str) -> Result<Settings> {
    let (_folder, path) = written(file);
    Settings::merge(&flags(arguments), Some(&path))
}

/// The recipe of a new run.
fn recipe(arguments: &[&str]) -> Result<Recipe> {
    let settings = Settings::merge(&flags(arguments), None)?;
    settings.recipe.resolve(Path::new("cache"))
}

/// A run's own configuration.
fn open(text: &str) -> Result<Recipe> {
    let (_folder, path) = written(text);
    Recipe::open(&path)
}

/// What version 0.1 wrote of a run with a custom network, and of one with a frozen backbone.
const CUSTOM: &str = include_str!("tests/custom.toml");
const FROZEN: &str = include_str!("tests/frozen.toml");

#[test]
fn without_anything_the_defaults_hold() {
    let recipe = recipe(&[]).unwrap();
    assert_eq!(recipe.data, "builtin:insects");
    assert_eq!((recipe.epochs, recipe.batch, recipe.lr()), (10, 32, 1e-3));
    assert_eq!((recipe.width, recipe.cells, recipe.growth), (8, 3, 2.0));
    assert_eq!((recipe.weight_decay, recipe.momentum), (0.0, 0.9));
    assert_eq!(recipe.optimizer, OptimizerKind::Adam);
    assert_eq!(recipe.scheduler, SchedulerKind::Plateau);
    assert_eq!(recipe.augment, data::augment::Augment::default());
    assert_eq!(recipe.save, SaveKind::Best);
    assert_eq!(recipe.best_by, Criterion::ValAccuracy);
    assert_eq!(recipe.memory, Memory(2_000_000_000));
    assert_eq!(recipe.feature_cache, Memory(2_000_000_000));
    assert_eq!((recipe.backbone, recipe.views), (None, None));
    assert!(!recipe.augment_val);
    let settings = Settings::default();
    assert_eq!(settings.run.runs, Path::new("runs"));
    assert_eq!((settings.run.ui, settings.run.log), (Ui::Bar, vec![]));
    assert!(!settings.machine.offline);
}

#[test]
fn fine_tuning_has_defaults_of_its_own_which_what_was_asked_for_wins_over() {
    let flags = ["--backbone", "a.onnx", "--fine-tune"];
    let tuned = recipe(&flags).unwrap();
    assert_eq!((tuned.epochs, tuned.warmup, tuned.clip_norm), (5, 0.1, 1.0));
    assert_eq!(tuned.optimizer, OptimizerKind::Sgd);
    assert_eq!(tuned.scheduler, SchedulerKind::CosineSteps);
    assert_eq!(tuned.weight_average, WeightAverage::Ema);
    assert_eq!(tuned.best_by, Criterion::Auto);
    assert_eq!(
        tuned.augment.to_string(),
        "crop(0.35..1, 3/4..4/3)|hflip(0.5)"
    );
    // The network decides the rate, unless it was asked for.
    assert_eq!(tuned.lr, None);
    assert_eq!(tuned.clone().with_lr_for(false).lr, Some(3e-3));
    assert_eq!(tuned.with_lr_for(true).lr, Some(2e-3));
    let asked = [&flags[..], &["--lr", "1e-2", "--epochs", "3"]].concat();
    let asked = recipe(&asked).unwrap().with_lr_for(true);
    assert_eq!((asked.lr, asked.epochs), (Some(1e-2), 3));
    let adam = [&flags[..], &["--optimizer", "adamw"]].concat();
    assert_eq!(recipe(&adam).unwrap().with_lr_for(true).lr, Some(1e-5));
    // From scratch nothing changes.
    assert_eq!(recipe(&[]).unwrap().with_lr_for(true).lr, Some(1e-3));
    for flags in [
        ["--keep", "tuned"],
        ["--batch-norm", "batch"],
        ["--head-lr-factor", "2"],
    ] {
        let error = recipe(&flags).unwrap_err().to_string();
        assert!(error.ends_with("needs `--fine-tune`"), "{error}");
    }
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_defaults() {
    let file = "epochs = 3\nlr = 0.5\nsave = \"all\"\nfine-tune = true\nbatch = 8\n";
    let typed = ["--epochs", "7", "--fine-tune=false", "--optimizer", "sgd"];
    let recipe = settings(&typed, file).unwrap().recipe;
    assert_eq!((recipe.epochs, recipe.lr(), recipe.batch), (7, 0.5, 8));
    let kinds = (recipe.save, recipe.optimizer, recipe.scheduler);
    let expected = (SaveKind::All, OptimizerKind::Sgd, SchedulerKind::Plateau);
    assert_eq!(kinds, expected);
    assert_eq!(recipe.fine_tune, FineTune::Off);
    // Also where the flag says what the default is.
    let recipe = settings(&["--batch", "32"], file).unwrap().recipe;
    assert_eq!((recipe.batch, recipe.fine_tune), (32, FineTune::All));
}

#[test]
fn a_file_holds_every_setting() {
    let file = "runs = \"here\"\nname = \"bees\"\noffline = true\ncache = \"c\"\nruntime = \"r\"\n\
                ui = \"dashboard\"\nlog = [\"jsonl\", \"tensorboard\"]\n";
    let typed = [
        &["--runs", "here", "--name", "bees", "--offline"][..],
        &["--cache", "c", "--runtime", "r"],
        &["--ui", "dashboard", "--log", "jsonl,tensorboard"],
    ];
    let typed = Settings::merge(&flags(&typed.concat()), None).unwrap();
    assert_eq!(settings(&[], file).unwrap(), typed);
    assert_eq!(typed.run.name.as_deref(), Some("bees"));
    assert_eq!(typed.run.log, [Log::Jsonl, Log::Tensorboard]);
    assert!(typed.machine.offline);
}

/// The keys that serde knows of a struct: it names them to the deserializer.
struct FieldNames(Vec<&'static str>);

impl<'de> Deserializer<'de> for &mut FieldNames {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = fields.to_vec();
        Err(Self::Error::custom("names alone"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit map
        unit_struct newtype_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

#[test]
fn every_flag_is_a_key_of_a_file() {
    fn check<T: clap::Args + serde::de::DeserializeOwned>() {
        let mut names = FieldNames(vec![]);
        T::deserialize(&mut names).err();
        assert_eq!(names.0, setting_flags::keys::<T>());
    }
    check::<Recipe>();
    check::<MachineArgs>();
    check::<RunArgs>();
}

#[test]
fn a_flag_that_is_no_setting_stays_as_it_is() {
    let words = ["fit", "--other", "--no-test"];
    let line = CommandLine::try_parse_from(words).unwrap();
    assert!(line.other && line.settings.has("no-test"));
    assert!(CommandLine::try_parse_from(["fit", "--other=false"]).is_err());
}

#[test]
fn what_is_wrong_with_a_file_is_named_with_its_line() {
    for (file, line, named) in [
        ("epochs = 3\nepoch = 4\n", "line 2", "`epoch`, expected one"),
        ("\noffline = 3\n", "line 2", "expected a boolean"),
        ("epochs = \"three\"\n", "line 1", "expected usize"),
        ("lr = 1\nsave = \"some\"\n", "line 2", "`some`"),
        ("augment = \"swirl(3)\"\n", "line 1", "swirl"),
        ("memory = \"2 TB\"\n", "line 1", "2 TB"),
        ("epochs = \n", "line 1", ""),
    ] {
        let error = settings(&[], file).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(line) && text.contains(named), "{text}");
    }
}

#[test]
fn config_toml_reads_back_as_the_same_recipe() {
    let recipe = recipe(&["--augment", "hflip(0.5)|rotate(15)", "--early-stop", "4"]).unwrap();
    let text = recipe.to_toml().unwrap();
    assert_eq!(settings(&[], &text).unwrap().recipe, recipe, "{text}");
    assert_eq!(open(&text).unwrap(), recipe);
}

#[test]
fn config_toml_of_earlier_versions_reads_and_is_written_back_the_same() {
    let key = |line: &str| line.split(' ').next().unwrap().to_owned();
    for text in [CUSTOM, FROZEN] {
        let keys: Vec<String> = text.lines().map(key).collect();
        let recipe = open(text).unwrap();
        let written = recipe.to_toml().unwrap();
        // Settings that came later are written too, and those without an effect no longer.
        let known = written.lines().filter(|line| keys.contains(&key(line)));
        let unused = recipe.ineffective();
        let is_used = |line: &&str| unused.iter().all(|(unused, _)| *unused != key(line));
        let expected: Vec<&str> = text.lines().filter(is_used).collect();
        assert_eq!(known.collect::<Vec<_>>(), expected);
    }
    // Keys that came later take their defaults.
    let is_later = |line: &&str| {
        ["no-calibrate", "views"]
            .iter()
            .any(|key| line.starts_with(key))
    };
    let earlier: Vec<&str> = FROZEN.lines().filter(|line| !is_later(line)).collect();
    let recipe = open(&earlier.join("\n")).unwrap();
    assert_eq!((recipe.no_calibrate, recipe.views), (false, None));
    assert_eq!(recipe.epochs, open(FROZEN).unwrap().epochs);
}

#[test]
fn config_toml_holds_its_data_and_no_key_of_something_else() {
    let unknown = format!("{CUSTOM}name = \"bees\"\n");
    for (text, named) in [
        ("", "`data`"),
        ("epochs = 3\n", "`data`"),
        (&unknown, "`name`"),
    ] {
        let error = open(text).unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn values_without_a_meaning_are_refused_with_their_flag() {
    for (arguments, flag) in [
        (["--epochs", "0"], "--epochs"),
        (["--batch", "0"], "--batch"),
        (["--lr", "0"], "--lr"),
        (["--lr", "nan"], "--lr"),
        (["--momentum", "1"], "--momentum"),
        (["--weight-decay", "inf"], "--weight-decay"),
        (["--label-smoothing", "1"], "--label-smoothing"),
        (["--label-smoothing", "-0.1"], "--label-smoothing"),
        (["--accumulate", "0"], "--accumulate"),
        (["--accumulate", "65537"], "--accumulate"),
        (["--mixup", "0"], "--mixup"),
        (["--mixup", "nan"], "--mixup"),
        (["--cutmix", "101"], "--cutmix"),
        (["--threads", "0"], "--threads"),
        (["--early-stop", "0"], "--early-stop"),
        (["--folds", "1"], "--folds"),
        (["--seeds", "1"], "--seeds"),
        (["--seed", "9223372036854775808"], "--seed"),
    ] {
        let error = recipe(&arguments).unwrap_err();
        assert!(error.to_string().contains(flag), "{arguments:?}: {error}");
    }
    let last = ["--seed", "9223372036854775807", "--seeds", "2"];
    let error = recipe(&last).unwrap_err();
    assert!(error.to_string().contains("--seeds 2"), "{error}");
    let error = recipe(&["--fine-tune"]).unwrap_err();
    assert!(error.to_string().contains("--backbone"), "{error}");
}

#[test]
fn weight_decay_follows_the_optimizer_unless_it_is_set() {
    let decay = |arguments, file| settings(arguments, file).unwrap().recipe.weight_decay;
    assert_eq!(decay(&["--optimizer", "adamw"], ""), 0.01);
    assert_eq!(decay(&[], "optimizer = \"adamw\"\n"), 0.01);
    assert_eq!(decay(&["--optimizer", "sgd"], ""), 0.0);
    assert_eq!(decay(&["--optimizer", "adamw"], "weight-decay = 0\n"), 0.0);
    let typed = ["--optimizer", "adamw", "--weight-decay", "0"];
    assert_eq!(decay(&typed, ""), 0.0);
}

#[test]
fn settings_without_an_effect_are_refused() {
    for (typed, flag) in [
        (&["--backbone", "a.onnx", "--width", "16"][..], "--width"),
        (&["--backbone", "a.onnx", "--cells", "2"], "--cells"),
        (&["--backbone", "a.onnx", "--growth", "1.5"], "--growth"),
        (&["--backbone", "a.onnx", "--size", "64"], "--size"),
        (&["--momentum", "0.5"], "--momentum"),
        (&["--optimizer", "adamw", "--momentum", "0"], "--momentum"),
        (
            &["--backbone", "a.onnx", "--views", "1", "--augment", "vflip"],
            "--augment",
        ),
        (&["--backbone", "a.onnx", "--augment-val"], "--augment-val"),
        (&["--backbone", "a.onnx", "--mixup", "0.2"], "--mixup"),
        (
            &["--backbone", "a.onnx", "--epochs", "9", "--cutmix", "1"],
            "--cutmix",
        ),
        (&["--augment", "none", "--augment-val"], "--augment-val"),
        (&["--save", "last", "--best-by", "val_loss"], "--best-by"),
    ] {
        let error = recipe(typed).unwrap_err().to_string();
        assert!(error.contains(flag), "{error}");
    }
    recipe(&["--backbone", "a.onnx", "--width", "8"]).unwrap();
    recipe(&["--backbone", "a.onnx", "--augment", "none"]).unwrap();
    recipe(&["--backbone", "a.onnx", "--views", "fresh", "--mixup", "0.2"]).unwrap();
    recipe(&["--backbone", "a.onnx", "--fine-tune", "--cutmix", "1"]).unwrap();
    recipe(&[
        "--save",
        "last",
        "--early-stop",
        "3",
        "--best-by",
        "val_loss",
    ])
    .unwrap();
    recipe(&["--optimizer", "sgd", "--momentum", "0.5"]).unwrap();
    recipe(&["--width", "16", "--cells", "2", "--growth", "1.5"]).unwrap();
}

#[test]
fn a_range_test_is_one_of_the_loop_and_takes_what_it_has_a_use_for() {
    let range_test = |typed: &[&str], file: &str| {
        let (_folder, path) = written(file);
        Settings::for_range_test(&flags(typed), Some(&path))
    };
    let frozen = range_test(&["--backbone", "a.onnx"], "epochs = 4\n").unwrap();
    assert_eq!(frozen.recipe.head_solver, Some(HeadSolver::Loop));
    let file = "backbone = \"a.onnx\"\nhead-solver = \"lbfgs\"\nsave = \"last\"\n";
    let frozen = range_test(&[], file).unwrap().recipe;
    assert_eq!(frozen.head_solver, Some(HeadSolver::Loop));
    frozen.resolve(Path::new("cache")).unwrap();
    let custom = range_test(&["--batch", "8", "--optimizer", "sgd"], "").unwrap();
    assert_eq!((custom.recipe.batch, custom.recipe.head_solver), (8, None));
    for typed in [
        &["--lr", "1"][..],
        &["--epochs", "3"],
        &["--name", "a"],
        &["--no-test"],
        &["--feature-table", "a.parquet"],
    ] {
        let error = range_test(typed, "").unwrap_err().to_string();
        assert!(error.contains(&format!("`{}`", typed[0])), "{error}");
    }
    // All of them are settings.
    let keys = setting_flags::keys::<Settings>();
    let unused = keys
        .iter()
        .filter(|key| super::is_unused_in_range_test(key));
    assert_eq!(unused.count(), 25);
}

#[test]
fn a_configuration_names_what_has_an_effect_and_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    for (typed, unused) in [
        (&[][..], &["momentum"][..]),
        (
            &["--backbone", "a.onnx"],
            &[
                "width",
                "cells",
                "growth",
                "size",
                "augment",
                "augment-val",
                "epochs",
                "lr",
                "batch",
                "save",
                "best-by",
            ],
        ),
        (&["--backbone", "a.onnx", "--epochs", "3"], &["width"]),
        (&["--backbone", "a.onnx", "--views", "2"], &["width"]),
        (&["--backbone", "a.onnx", "--fine-tune"], &["growth"]),
        (
            &["--save", "last", "--augment", "none"],
            &["best-by", "augment-val"],
        ),
        (&["--optimizer", "sgd", "--momentum", "0.5"], &[]),
    ] {
        let recipe = recipe(typed).unwrap();
        let text = recipe.to_toml().unwrap();
        for key in unused {
            assert!(!text.contains(&format!("{key} = ")), "{text}");
        }
        fs_err::write(&path, &text).unwrap();
        assert_eq!(Recipe::open(&path).unwrap(), recipe, "{text}");
    }
}

#[test]
fn a_batch_has_a_bound() {
    for batch in ["0", "65537", "9223372036854775808"] {
        let error = recipe(&["--batch", batch]).unwrap_err().to_string();
        assert!(error.contains("--batch"), "{error}");
    }
    recipe(&["--batch", "65536"]).unwrap();
}

#[test]
fn what_toml_cannot_hold_is_refused_by_its_flag() {
    let flags = ["--seed", "--epochs", "--folds", "--early-stop", "--threads"];
    for flag in flags {
        let error = recipe(&[flag, "9223372036854775808"]).unwrap_err();
        assert!(error.to_string().contains(flag), "{error}");
    }
    let largest = recipe(&["--seed", "9223372036854775807"]).unwrap();
    assert!(largest.to_toml().is_ok());
}

#[test]
fn views_are_for_frozen_backbones() {
    for arguments in [
        &["--views", "3"][..],
        &["--views", "fresh", "--backbone", "a.onnx", "--fine-tune"],
    ] {
        let error = recipe(arguments).unwrap_err();
        assert!(error.to_string().contains("--views"), "{error}");
    }
    let frozen = recipe(&["--backbone", "a.onnx"]).unwrap();
    assert_eq!(frozen.views, Some(Views::ORIGINAL));
    assert_eq!(recipe(&[]).unwrap().views, None);
    let standard = "crop(0.08..1)|hflip(0.5)";
    for (augment, views) in [
        ("hflip(0.5)", Views::AUGMENTED),
        (standard, Views::AUGMENTED),
        ("none", Views::ORIGINAL),
    ] {
        let typed = ["--backbone", "a.onnx", "--augment", augment];
        assert_eq!(recipe(&typed).unwrap().views, Some(views));
        let file = format!("augment = \"{augment}\"\n");
        let settings = settings(&["--backbone", "a.onnx"], &file).unwrap();
        assert_eq!(settings.recipe.views, Some(views));
    }
    // A file's views are not held against a typed `--fine-tune`.
    let file = "backbone = \"a.onnx\"\nviews = 3\n";
    let views = |arguments| settings(arguments, file).unwrap().recipe.views;
    assert_eq!(views(&["--fine-tune"]), None);
    assert_eq!(
        views(&["--fine-tune", "--views", "2"]),
        Some(Views::Kept(2))
    );
    assert_eq!(views(&["--views", "2"]), Some(Views::Kept(2)));
    assert_eq!(views(&[]), Some(Views::Kept(3)));
}

#[test]
fn a_setting_of_the_loop_selects_it_for_a_frozen_backbone() {
    let solver = |typed: &[&str], file: &str| {
        let typed = [&["--backbone", "a.onnx"], typed].concat();
        let recipe = settings(&typed, file)?.recipe;
        recipe
            .resolve(Path::new("cache"))
            .map(|recipe| recipe.head_solver)
    };
    let (lbfgs, by_loop) = (Some(HeadSolver::Lbfgs), Some(HeadSolver::Loop));
    assert_eq!(solver(&[], "").unwrap(), lbfgs);
    let other = [
        "--views",
        "3",
        "--augment",
        "hflip",
        "--seed",
        "4",
        "--folds",
        "5",
    ];
    assert_eq!(solver(&other, "").unwrap(), lbfgs);
    for typed in [
        ["--epochs", "10"],
        ["--batch", "32"],
        ["--accumulate", "2"],
        ["--lr", "1e-3"],
        ["--optimizer", "adam"],
        ["--weight-decay", "0"],
        ["--scheduler", "cosine"],
        ["--label-smoothing", "0.1"],
        ["--sampling", "balanced"],
        ["--early-stop", "3"],
        ["--save", "all"],
        ["--best-by", "val_loss"],
        ["--head-solver", "loop"],
    ] {
        assert_eq!(solver(&typed, "").unwrap(), by_loop, "{typed:?}");
    }
    assert_eq!(solver(&[], "epochs = 10\n").unwrap(), by_loop);
    // A typed setting of the loop wins over a file's solver, and no other solver over a typed one.
    let file = "head-solver = \"lbfgs\"\n";
    assert_eq!(solver(&[], file).unwrap(), lbfgs);
    assert_eq!(solver(&["--epochs", "10"], file).unwrap(), by_loop);
    for unused in ["--fine-tune", "--views=fresh"] {
        assert_eq!(solver(&[unused], file).unwrap(), None, "{unused}");
    }
    for (typed, flag) in [
        (&["--head-solver", "lbfgs", "--epochs", "3"][..], "--epochs"),
        (
            &["--head-solver", "lbfgs", "--momentum", "0.5"],
            "--momentum",
        ),
        (&["--head-solver", "lbfgs", "--fine-tune"], "--head-solver"),
        (
            &["--head-solver", "lbfgs", "--views", "fresh"],
            "--head-solver",
        ),
    ] {
        let error = solver(typed, "").unwrap_err().to_string();
        assert!(error.contains(flag), "{error}");
    }
    // Another network has one way to be trained.
    assert_eq!(recipe(&[]).unwrap().head_solver, None);
    let run = recipe(&["--backbone", "a.onnx"]).unwrap();
    let error = run.resumed(&flags(&["--epochs", "20"]), Path::new("cache"));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("--head-solver loop")
    );
}
