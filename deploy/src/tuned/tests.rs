//! What a saved setting is refused for.

use onnx::proto::DataType;
use onnx::{GraphBuilder, ModelInfo};

use super::*;

const SETTING: Setting = Setting {
    provider: Provider::openvino(),
    precision: Precision::Int8,
    sessions: 3,
    threads: Some(2),
    batch: 8,
};

/// A model file; `name` changes its content.
fn model(path: &Path, name: &str) -> ModelFile {
    let mut graph = GraphBuilder::new(name);
    let x = graph.input("x", DataType::Float, &["batch".into()]);
    let y = graph.relu("relu", &x);
    graph.output(&y, "y", DataType::Float, &["batch".into()]);
    graph
        .finish(&ModelInfo::default())
        .unwrap()
        .save(path)
        .unwrap();
    ModelFile::open(path).unwrap()
}

/// Changes a text in the only record of a cache folder.
fn rewrite(cache: &Path, change: impl Fn(&mut Record)) {
    let (path, record) = records(cache).unwrap().remove(0);
    let mut record = record.unwrap();
    change(&mut record);
    fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
}

fn refused(cache: &Path, model: &ModelFile) -> String {
    load(cache, model)
        .unwrap_err()
        .to_string()
        .replace(&cache.display().to_string(), "CACHE")
}

#[test]
fn a_setting_comes_back_with_the_file_that_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let file = model(&path, "a");
    let converted = model(&folder.path().join("other.onnx"), "int8");
    save(folder.path(), &file, SETTING, Some(&converted)).unwrap();
    assert_eq!(peek(folder.path(), &file).unwrap(), SETTING);
    let found = load(folder.path(), &file).unwrap();
    assert_eq!(found.setting, SETTING);
    assert_eq!(found.file.sha256(), converted.sha256());
    // A later one takes its place, and the same content elsewhere is the same model.
    let cpu = Setting {
        provider: Provider::Cpu,
        threads: None,
        ..SETTING
    };
    save(folder.path(), &file, cpu, None).unwrap();
    rewrite(folder.path(), |_| ());
    let copy = model(&folder.path().join("copy.onnx"), "a");
    let (records, _) = of_model(folder.path(), &copy).unwrap();
    assert_eq!(records.len(), 2, "each provider has its own plugin version");
    assert!(records.iter().any(|(_, record)| record.setting == cpu));
}

#[test]
fn what_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let path = folder.path().join("model.onnx");
    let file = model(&path, "a");
    assert!(refused(&cache, &file).starts_with("no setting is saved for `"));
    save(&cache, &file, SETTING, None).unwrap();
    let changed = model(&path, "b");
    let text = refused(&cache, &changed);
    assert!(
        text.contains("model.onnx` has changed since it was tuned on 20"),
        "{text}"
    );
    let file = model(&path, "a");
    load(&cache, &file).unwrap();
    type Change = fn(&mut Record);
    let changes: [(Change, &str); 4] = [
        (
            |record| record.key.processor = "M9".to_owned(),
            "another processor\n  expected: M9",
        ),
        (
            |record| record.key.runtime = "0.1".to_owned(),
            "another ONNX Runtime\n  expected: 0.1",
        ),
        (
            |record| record.key.plugin = Some("1.0".to_owned()),
            "another plugin\n  expected: 1.0\n  found:    1.8.1",
        ),
        (
            |record| record.key.library = "9".to_owned(),
            "another version of deploy",
        ),
    ];
    for (change, expected) in changes {
        save(&cache, &file, SETTING, None).unwrap();
        rewrite(&cache, change);
        let text = refused(&cache, &file);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_converted_file_that_is_damaged_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = model(&folder.path().join("model.onnx"), "a");
    let converted = model(&folder.path().join("other.onnx"), "int8");
    let record = save(folder.path(), &file, SETTING, Some(&converted)).unwrap();
    model(&record.with_extension("onnx"), "something else");
    let text = refused(folder.path(), &file);
    assert!(text.contains("it is not the file that was kept"), "{text}");
    fs::write(&record, "{").unwrap();
    assert!(
        refused(folder.path(), &file).contains("cannot be used: EOF"),
        "{text}"
    );
    assert!(peek(folder.path(), &file).is_err());
}

#[test]
fn settings_of_other_versions_can_be_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let file = model(&folder.path().join("model.onnx"), "a");
    let record = save(folder.path(), &file, SETTING, Some(&file)).unwrap();
    rewrite(folder.path(), |record| {
        record.key.runtime = "1.28.0".to_owned()
    });
    assert_eq!(
        unusable(folder.path(), &["1.28.0"]).unwrap(),
        Vec::<PathBuf>::new()
    );
    let both = [record.with_extension("onnx"), record];
    assert_eq!(unusable(folder.path(), &["1.29.0"]).unwrap(), both);
}

#[test]
fn a_setting_reads_as_people_say_it() {
    assert_eq!(
        SETTING.to_string(),
        "openvino:cpu int8, 3 sessions of 2 threads, batch 8"
    );
    let one = Setting {
        sessions: 1,
        threads: Some(1),
        ..SETTING
    };
    assert_eq!(one.to_string(), "openvino:cpu int8, 1 thread, batch 8");
}
