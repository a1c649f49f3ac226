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
        let text = || fs::read_to_string(&path).unwrap();
        match name.rsplit_once('.').unwrap_or(("", "")).1 {
            "safetensors" => assert!(!tensors(&path).is_empty()),
            "json" => assert!(serde_json::from_str::<Value>(&text()).unwrap().is_object()),
            "toml" => assert!(text().parse::<toml::Table>().unwrap().contains_key("data")),
            "csv" if name == "metrics.csv" => drop(metrics(&path)),
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
