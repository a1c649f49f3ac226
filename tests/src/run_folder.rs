//! What a run leaves in its folder, read without the program that wrote it.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde_json::Value;

/// The tensors of a safetensors file: name to shape and bytes.
pub type Tensors = BTreeMap<String, (Vec<u64>, Vec<u8>)>;

/// Reads a safetensors file.
///
/// # Panics
/// When the file is not whole.
pub fn tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    let (size, rest) = bytes.split_at(8);
    let size = u64::from_le_bytes(size.try_into().unwrap()) as usize;
    let (header, data) = rest.split_at(size);
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap();
    let mut tensors = Tensors::new();
    let mut end = 0;
    for (name, entry) in header {
        if name == "__metadata__" {
            continue;
        }
        let numbers = |key: &str| -> Vec<u64> {
            serde_json::from_value(entry[key].clone())
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let (shape, offsets) = (numbers("shape"), numbers("data_offsets"));
        let range = offsets[0] as usize..offsets[1] as usize;
        end = end.max(range.end);
        tensors.insert(name, (shape, data[range].to_vec()));
    }
    assert_eq!(end, data.len(), "{}: bytes left over", path.display());
    tensors
}

/// The JSON in a checkpoint: everything but tensors.
pub fn state(path: &Path) -> Value {
    let bytes = fs::read(path).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    let state = header["__metadata__"]["state"].as_str().unwrap();
    serde_json::from_str(state).unwrap()
}

/// What a checkpoint says whatever the order in which the optimiser's state was written: the
/// network's tensors as they are, of the optimiser's the aligned blocks in order of their bytes.
pub fn checkpoint(path: &Path) -> (Tensors, Vec<Vec<u8>>) {
    const ALIGNED: usize = 256;
    let mut tensors = tensors(path);
    let (_, state) = tensors.remove("optimizer.burnpack").unwrap();
    // Burn's format: magic, version, and the length of a header before the tensors.
    let header = 10 + u32::from_le_bytes(state[6..10].try_into().unwrap()) as usize;
    let data = state.get(header.next_multiple_of(ALIGNED)..).unwrap_or(&[]);
    let mut blocks: Vec<Vec<u8>> = data.chunks(ALIGNED).map(unpadded).collect();
    blocks.sort();
    (tensors, blocks)
}

fn unpadded(block: &[u8]) -> Vec<u8> {
    let end = block.iter().rposition(|byte| *byte != 0);
    block[..end.map_or(0, |at| at + 1)].to_vec()
}

/// The rows of `metrics.csv` by column.
pub fn metrics(path: &Path) -> Vec<BTreeMap<String, String>> {
    table(path)
}

/// The rows of `predictions.csv` by column; no name of the test pictures has a comma.
///
/// # Panics
/// When it has no logits, or a row names another class than its highest logit's.
pub fn predictions(path: &Path) -> Vec<BTreeMap<String, String>> {
    let rows = table(path);
    for row in &rows {
        let logits = row
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("logit:")?, value)));
        let logits = logits.map(|(class, value)| (class, value.parse::<f32>().unwrap()));
        let best = logits.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert_eq!(best.0, row["predicted"], "{row:?}");
    }
    rows
}

fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    let mut lines = text.lines().map(|line| line.split(','));
    let header: Vec<&str> = lines.next().unwrap().collect();
    let rows = lines.map(|line| {
        let values: Vec<&str> = line.collect();
        assert_eq!(values.len(), header.len(), "{text}");
        let pairs = header.iter().zip(values);
        pairs.map(|(name, value)| ((*name).to_owned(), value.to_owned()))
    });
    rows.map(Iterator::collect).collect()
}

/// The rows of `metrics.csv` without times and rates.
pub fn timeless(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut rows = metrics(path);
    for row in &mut rows {
        row.retain(|name, _| !name.ends_with("seconds") && !name.ends_with("per_second"));
    }
    rows
}

/// Reads every file of a run folder in its own format; gives the names. Hidden files, which a
/// kill may leave, do not count.
///
/// # Panics
/// When a file is not whole or of no known kind.
pub fn check_whole(run: &Path) -> Vec<String> {
    let mut names = vec![];
    for entry in fs::read_dir(run).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name().into_string().unwrap(), entry.path());
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // Trainings beside the run's own, one folder each.
            for part in fs::read_dir(&path).unwrap() {
                let part = part.unwrap().file_name().into_string().unwrap();
                let files = check_whole(&path.join(&part)).into_iter();
                names.extend(files.map(|file| format!("{name}/{part}/{file}")));
            }
            continue;
        }
        let text = || fs::read_to_string(&path).unwrap();
        match name.rsplit_once('.').unwrap_or(("", "")).1 {
            "safetensors" => assert!(!tensors(&path).is_empty()),
            "json" => assert!(serde_json::from_str::<Value>(&text()).unwrap().is_object()),
            "toml" => assert!(text().parse::<toml::Table>().unwrap().contains_key("data")),
            "csv" if name == "metrics.csv" => drop(metrics(&path)),
            "csv" if name == "predictions.csv" => drop(predictions(&path)),
            "html" => {
                let text = text();
                assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>"));
            }
            "txt" => {
                let text = text();
                assert!(
                    text.starts_with("trainer fit") && text.ends_with('\n'),
                    "{text}"
                );
            }
            "csv" if name == "suspects.csv" => {
                let text = text();
                assert!(text.starts_with("path,label,predicted,probability\n"));
                assert!(text.ends_with('\n'), "{text}");
            }
            "csv" => {
                let text = text();
                assert!(text.starts_with("path,label,split\n") && text.ends_with('\n'));
                assert!(
                    text.lines().all(|line| line.split(',').count() == 3),
                    "{text}"
                );
            }
            "onnx" => assert_eq!(onnx::Document::open(&path).unwrap().outputs().len(), 1),
            _ => panic!("`{name}` is of no known kind"),
        }
        names.push(name);
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_every_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let size = (header.len() as u64).to_le_bytes();
        let tensors = [&size[..], header, &[0, 0, 0, 0]].concat();
        let files: [(&str, &[u8]); 4] = [
            ("last.safetensors", &tensors),
            ("metrics.csv", b"epoch,lr\n1,0.1\n"),
            ("split.csv", b"path,label,split\na.jpg,a,test\n"),
            ("verify.json", b"{\"verified\": true}\n"),
        ];
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            assert_eq!(check_whole(folder.path()), [name]);
            // A final line feed may be missing where the format does not need it.
            for length in 0..bytes.trim_ascii_end().len() {
                fs::write(&path, &bytes[..length]).unwrap();
                let seen = std::panic::catch_unwind(|| check_whole(folder.path()));
                let whole_lines = bytes[..length].ends_with(b"\n");
                assert!(seen.is_err() || whole_lines, "{name} of {length} bytes");
            }
            fs::remove_file(&path).unwrap();
        }
    }
}
