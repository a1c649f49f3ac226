//! A stand-in for TensorRT: its "engine" is a copy of the model's bytes, and running it gives them back.

use super::*;
use crate::error::Error;

/// What the stand-in gives: the bytes of the engine it runs.
type Answer = Vec<u8>;

/// The key of a model file as the TensorRT provider makes it: from content, not from names.
fn key(model: &Path) -> EngineKey {
    let content = files::hash::sha256_hex(model).unwrap();
    EngineKey::new([
        ("model", content.as_str()),
        ("precision", "fp16"),
        ("gpu", "stand-in"),
        ("runtime", "1.28.0"),
    ])
}

/// Runs the engine that is kept, or builds it from the model: always under the same file name.
fn run(model: &Path, source: EngineFolder<'_>) -> Result<Answer> {
    let read = |path: &Path| fs::read(path).map_err(Error::run);
    match source {
        EngineFolder::Kept(folder) => read(&folder.join("graph.engine")),
        EngineFolder::New(folder) => {
            let built = read(model)?;
            fs::write(folder.join("graph.engine"), &built).unwrap();
            Ok(built)
        }
        EngineFolder::Unavailable => read(model),
    }
}

fn build(engines: &EngineCache, model: &Path) -> (Built<Answer>, Vec<String>) {
    let mut notes = Vec::new();
    let built = engines.build(&key(model), &mut notes, |source| run(model, source));
    (built.unwrap(), notes)
}

struct Case {
    folder: tempfile::TempDir,
    engines: EngineCache,
    model: PathBuf,
}

fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let engines = EngineCache::new(folder.path().join("cache/engines"));
    let model = folder.path().join("model.onnx");
    fs::write(&model, "weights of Monday").unwrap();
    Case {
        folder,
        engines,
        model,
    }
}

impl Case {
    /// The one kept folder.
    fn kept(&self) -> PathBuf {
        let mut folders: Vec<_> = fs::read_dir(self.folder.path().join("cache/engines"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders.remove(0)
    }
}

#[test]
fn an_engine_is_built_once() {
    let case = case();
    for is_new in [true, false, false] {
        let (built, notes) = build(&case.engines, &case.model);
        assert_eq!(
            (built.value.as_slice(), built.is_new),
            (&b"weights of Monday"[..], is_new)
        );
        assert!(notes.is_empty(), "{notes:?}");
    }
    assert!(case.kept().join("manifest.json").is_file());
}

#[test]
fn a_model_trained_again_under_the_same_names_is_not_served_by_the_old_engine() {
    let case = case();
    build(&case.engines, &case.model);
    fs::write(&case.model, "weights of Sunday").unwrap();
    let (built, _) = build(&case.engines, &case.model);
    assert_eq!(
        (built.value.as_slice(), built.is_new),
        (&b"weights of Sunday"[..], true)
    );
    // And back: each has its own.
    fs::write(&case.model, "weights of Monday").unwrap();
    let (built, _) = build(&case.engines, &case.model);
    assert_eq!(
        (built.value.as_slice(), built.is_new),
        (&b"weights of Monday"[..], false)
    );
}

#[test]
fn every_part_of_the_key_counts() {
    let parts = [("model", "a"), ("precision", "fp16"), ("gpu", "sm_90")];
    let base = EngineKey::new(parts);
    for at in 0..parts.len() {
        let mut other = parts;
        other[at].1 = "b";
        assert_ne!(EngineKey::new(other).hash(), base.hash(), "{other:?}");
    }
    let [one, two] = [[("a", "bc")], [("ab", "c")]].map(|parts| EngineKey::new(parts).hash());
    assert_ne!(one, two);
}

#[test]
fn what_is_damaged_is_removed_and_built_anew() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("other bytes", |kept| {
            fs::write(kept.join("graph.engine"), "weights of Nobody").unwrap()
        }),
        ("cut off", |kept| {
            fs::write(kept.join("graph.engine"), "weights").unwrap()
        }),
        ("missing", |kept| {
            fs::remove_file(kept.join("graph.engine")).unwrap()
        }),
        ("one too many", |kept| {
            fs::write(kept.join("other.engine"), "x").unwrap()
        }),
        ("no manifest", |kept| {
            fs::remove_file(kept.join("manifest.json")).unwrap()
        }),
    ];
    for (what, damage) in damages {
        let case = case();
        build(&case.engines, &case.model);
        damage(&case.kept());
        let (built, notes) = build(&case.engines, &case.model);
        assert_eq!(built.value, b"weights of Monday", "{what}");
        assert!(built.is_new, "{what}");
        assert!(notes[0].contains("building it anew"), "{what}: {notes:?}");
        let (built, notes) = build(&case.engines, &case.model);
        assert!(!built.is_new && notes.is_empty(), "{what}: {notes:?}");
    }
}

#[test]
fn what_the_provider_refuses_is_built_anew() {
    let case = case();
    build(&case.engines, &case.model);
    let mut notes = Vec::new();
    let built = case
        .engines
        .build(&key(&case.model), &mut notes, |source| match source {
            EngineFolder::Kept(_) => Err(Error::run("made by another version")),
            source => run(&case.model, source),
        });
    assert!(built.unwrap().is_new);
    assert!(notes[0].contains("made by another version"), "{notes:?}");
    assert!(
        !build(&case.engines, &case.model).0.is_new,
        "the new one is kept"
    );
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    let case = case();
    let failed = case
        .engines
        .build(&key(&case.model), &mut Vec::new(), |source| {
            if let EngineFolder::New(folder) = source {
                fs::write(folder.join("graph.engine"), "half").unwrap();
            }
            Err::<(), _>(Error::no_images())
        });
    assert!(failed.is_err());
    let left = fs::read_dir(case.folder.path().join("cache/engines")).unwrap();
    assert_eq!(left.count(), 0);
}

/// `/proc` takes no new folders, not even from root; a file takes none anywhere.
#[test]
fn a_folder_that_cannot_be_written_to_is_no_reason_to_give_up() {
    let case = case();
    let file = case.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut roots = vec![file.join("engines")];
    if cfg!(target_os = "linux") {
        roots.push("/proc/engines".into());
    }
    for root in roots {
        let (built, notes) = build(&EngineCache::new(&root), &case.model);
        assert_eq!(built.value, b"weights of Monday");
        assert!(built.is_new);
        assert!(notes[0].contains("not kept for the next time"), "{notes:?}");
    }
}

#[test]
fn engines_of_another_runtime_are_unusable() {
    let case = case();
    assert!(
        case.engines.unusable(&["1.28.0"]).unwrap().is_empty(),
        "no folder"
    );
    build(&case.engines, &case.model);
    assert!(case.engines.unusable(&["1.28.0"]).unwrap().is_empty());
    assert_eq!(case.engines.unusable(&["1.29.0"]).unwrap(), [case.kept()]);
    fs::write(case.kept().join("graph.engine"), "damaged").unwrap();
    assert_eq!(case.engines.unusable(&["1.28.0"]).unwrap(), [case.kept()]);
}

#[test]
fn measurements_are_kept_beside_engines_and_replaced() {
    let case = case();
    let key = EngineKey::new([("kind", "timing"), ("gpu", "stand-in")]);
    let into = case.folder.path().join("into");
    fs::create_dir(&into).unwrap();
    case.engines.copy(&key, &into).unwrap();
    assert_eq!(
        fs::read_dir(&into).unwrap().count(),
        0,
        "nothing is kept yet"
    );
    let file = case.folder.path().join("sm90.timing");
    for text in ["first", "second"] {
        fs::write(&file, text).unwrap();
        case.engines.replace(&key, &file).unwrap();
        case.engines.copy(&key, &into).unwrap();
        assert_eq!(fs::read_to_string(into.join("sm90.timing")).unwrap(), text);
    }
    fs::write(case.kept().join("sm90.timing"), "damaged").unwrap();
    fs::remove_file(into.join("sm90.timing")).unwrap();
    case.engines.copy(&key, &into).unwrap();
    assert_eq!(
        fs::read_dir(&into).unwrap().count(),
        0,
        "what is damaged is not used"
    );
}

#[test]
fn an_engine_that_cannot_be_kept_in_the_end_is_used_all_the_same() {
    let case = case();
    let root = case.folder.path().join("cache/engines");
    let mut notes = Vec::new();
    let built = case.engines.build(&key(&case.model), &mut notes, |source| {
        let answer = run(&case.model, source)?;
        fs::remove_dir_all(&root).unwrap();
        Ok(answer)
    });
    assert_eq!(built.unwrap().value, b"weights of Monday");
    assert!(notes[0].contains("not kept for the next time"), "{notes:?}");
}
