//! Feature cache: a folder of feature tables, kept within a size. It knows no engine and no image.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;

use super::cache_key::CacheKey;
use super::table::FeatureTable;
use crate::error::Result;

/// Folder of feature tables, kept within a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureCache {
    folder: PathBuf,
    max_bytes: u64,
}

impl FeatureCache {
    /// `features/` in the cache folder, of at most `max_bytes`; 0 keeps nothing.
    pub fn new(cache: &Path, max_bytes: u64) -> Self {
        Self {
            folder: cache.join("features"),
            max_bytes,
        }
    }

    pub fn is_enabled(&self) -> bool {
        self.max_bytes > 0
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The table of a key, marked as used now. An empty one where there is none, or where its file is damaged
    /// or of another key.
    pub fn open(&self, key: &CacheKey, width: usize) -> FeatureTable {
        let path = self.folder.join(key.file_name());
        let empty = || FeatureTable::new(width);
        if !self.is_enabled() {
            return empty();
        }
        let Some(table) = read(&path, key, width) else {
            return empty();
        };
        // A table that cannot be marked (a read-only folder) is as good.
        let file = fs::OpenOptions::new().append(true).open(&path);
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
        table
    }

    /// Saves a table, together with the rows that another process saved meanwhile. Where the folder grows too
    /// large, the least recently used tables are removed.
    pub fn save(&self, key: &CacheKey, width: usize, table: &FeatureTable) -> Result<()> {
        if !self.is_enabled() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(key.file_name());
        let mut whole = read(&path, key, width).unwrap_or_else(|| FeatureTable::new(width));
        whole.merge(table);
        let bytes = whole.to_bytes(&key.to_string())?;
        // It would evict all others, and then itself.
        if bytes.len() as u64 > self.max_bytes {
            return Ok(());
        }
        data::write::atomically(&path, &bytes)?;
        self.evict()
    }

    /// Removes the least recently used tables until the rest is small enough.
    fn evict(&self) -> Result<()> {
        let mut tables = vec![];
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if Path::new(&name)
                .extension()
                .is_none_or(|end| end != "safetensors")
            {
                continue;
            }
            // Another process may have removed it.
            if let Ok(found) = entry.metadata() {
                let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                tables.push((used, entry.path(), found.len()));
            }
        }
        // The least recently used first: the time comes first in the tuple.
        tables.sort();
        let mut total: u64 = tables.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, bytes) in tables {
            if total <= self.max_bytes {
                break;
            }
            match fs::remove_file(&path) {
                // A missing file was removed by another process.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => total -= bytes,
            }
        }
        Ok(())
    }
}

fn read(path: &Path, key: &CacheKey, width: usize) -> Option<FeatureTable> {
    FeatureTable::parse(&fs::read(path).ok()?, &key.to_string(), width)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::cache_key::View;
    use super::*;

    fn key(backbone: &str) -> CacheKey {
        CacheKey {
            backbone: backbone.into(),
            cut: "flat".into(),
            preprocess: "decode(rgb)".into(),
            decoder: "mozjpeg 0.10".into(),
            view: View::Original,
            engine: "onnxruntime 1.28.0 cpu".into(),
        }
    }

    fn table(hash: u8) -> FeatureTable {
        let mut table = FeatureTable::new(2);
        table.insert([hash; 32], &[f32::from(hash), 0.5]);
        table
    }

    #[test]
    fn what_two_save_is_there_for_a_third() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::new(folder.path(), 1 << 20);
        assert!(cache.open(&key("a"), 2).is_empty());
        cache.save(&key("a"), 2, &table(1)).unwrap();
        cache.save(&key("a"), 2, &table(2)).unwrap();
        let found = cache.open(&key("a"), 2);
        assert_eq!(found.len(), 2);
        assert_eq!(found.row(&[2; 32]), Some(&[2.0, 0.5][..]));
        assert!(cache.open(&key("b"), 2).is_empty());
        assert!(cache.open(&key("a"), 3).is_empty());
    }

    #[test]
    fn a_damaged_shelf_is_empty_and_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::new(folder.path(), 1 << 20);
        cache.save(&key("a"), 2, &table(1)).unwrap();
        let path = cache.folder().join(key("a").file_name());
        fs::write(&path, "no table").unwrap();
        assert!(cache.open(&key("a"), 2).is_empty());
        cache.save(&key("a"), 2, &table(2)).unwrap();
        assert_eq!(cache.open(&key("a"), 2), table(2));
        // A file under another key's name is not used for it.
        fs::copy(&path, cache.folder().join(key("b").file_name())).unwrap();
        assert!(cache.open(&key("b"), 2).is_empty());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let size = table(1).to_bytes(&key("a").to_string()).unwrap().len() as u64;
        let cache = FeatureCache::new(folder.path(), 2 * size + size / 2);
        let age = |name: &str, seconds: u64| {
            let path = cache.folder().join(key(name).file_name());
            let file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
                .unwrap();
        };
        cache.save(&key("a"), 2, &table(1)).unwrap();
        cache.save(&key("b"), 2, &table(2)).unwrap();
        age("a", 200);
        age("b", 100);
        // Used again: now `b` is the oldest.
        assert_eq!(cache.open(&key("a"), 2).len(), 1);
        cache.save(&key("c"), 2, &table(3)).unwrap();
        let left = ["a", "b", "c"].map(|name| cache.open(&key(name), 2).len());
        assert_eq!(left, [1, 0, 1]);
    }

    #[test]
    fn nothing_is_kept_where_nothing_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let none = FeatureCache::new(folder.path(), 0);
        none.save(&key("a"), 2, &table(1)).unwrap();
        assert!(!none.folder().exists());
        let small = FeatureCache::new(folder.path(), 10);
        small.save(&key("a"), 2, &table(1)).unwrap();
        assert!(small.open(&key("a"), 2).is_empty());
    }
}
