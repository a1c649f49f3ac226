//! The folder of shelves: taken, put back, and kept within a size; knows no engine.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;

use super::key::Key;
use super::shelf::Shelf;
use crate::error::Result;

/// Where shelves are kept, or nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cupboard {
    folder: PathBuf,
    bound_bytes: u64,
}

impl Cupboard {
    /// `features/` in the cache folder, of at most `bound_bytes`; 0 keeps nothing.
    pub fn new(cache: &Path, bound_bytes: u64) -> Self {
        Self {
            folder: cache.join("features"),
            bound_bytes,
        }
    }

    /// Whether anything is kept.
    pub fn keeps(&self) -> bool {
        self.bound_bytes > 0
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The shelf of a key, which counts as used from now on; an empty one where there is none, or
    /// where its file is damaged or of another key.
    pub fn take(&self, key: &Key, width: usize) -> Shelf {
        let path = self.folder.join(key.file_name());
        let empty = || Shelf::new(width);
        if !self.keeps() {
            return empty();
        }
        let Some(shelf) = open(&path, key, width) else {
            return empty();
        };
        // A shelf that cannot be marked (a read-only folder) is as good.
        let file = fs::OpenOptions::new().append(true).open(&path);
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
        shelf
    }

    /// Puts a shelf back, together with the rows that another process put there meanwhile. The
    /// shelves that were not used for longest go where the folder grows too large.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put(&self, key: &Key, width: usize, shelf: &Shelf) -> Result<()> {
        if !self.keeps() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(key.file_name());
        let mut whole = open(&path, key, width).unwrap_or_else(|| Shelf::new(width));
        whole.merge(shelf);
        let bytes = whole.to_bytes(&key.to_string())?;
        if bytes.len() as u64 > self.bound_bytes {
            return Ok(());
        }
        data::write::atomically(&path, &bytes)?;
        self.evict()
    }

    /// Removes the shelves that were not used for longest until the rest is small enough.
    fn evict(&self) -> Result<()> {
        let mut shelves = vec![];
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
                shelves.push((used, entry.path(), found.len()));
            }
        }
        shelves.sort();
        let mut total: u64 = shelves.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, path, bytes) in shelves {
            if total <= self.bound_bytes {
                break;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => total -= bytes,
            }
        }
        Ok(())
    }
}

fn open(path: &Path, key: &Key, width: usize) -> Option<Shelf> {
    Shelf::parse(&fs::read(path).ok()?, &key.to_string(), width)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::key::View;
    use super::*;

    fn key(backbone: &str) -> Key {
        Key {
            backbone: backbone.into(),
            cut: "flat".into(),
            preprocess: "decode(rgb)".into(),
            decoder: "mozjpeg 0.10".into(),
            view: View::Plain,
            engine: "onnxruntime 1.28.0 cpu".into(),
        }
    }

    fn shelf(image: u8) -> Shelf {
        let mut shelf = Shelf::new(2);
        shelf.insert([image; 32], &[f32::from(image), 0.5]);
        shelf
    }

    #[test]
    fn what_is_put_by_two_is_there_for_a_third() {
        let folder = tempfile::tempdir().unwrap();
        let cupboard = Cupboard::new(folder.path(), 1 << 20);
        assert!(cupboard.take(&key("a"), 2).is_empty());
        cupboard.put(&key("a"), 2, &shelf(1)).unwrap();
        cupboard.put(&key("a"), 2, &shelf(2)).unwrap();
        let found = cupboard.take(&key("a"), 2);
        assert_eq!(found.len(), 2);
        assert_eq!(found.row(&[2; 32]), Some(&[2.0, 0.5][..]));
        assert!(cupboard.take(&key("b"), 2).is_empty());
        assert!(cupboard.take(&key("a"), 3).is_empty());
    }

    #[test]
    fn a_damaged_shelf_is_empty_and_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cupboard = Cupboard::new(folder.path(), 1 << 20);
        cupboard.put(&key("a"), 2, &shelf(1)).unwrap();
        let path = cupboard.folder().join(key("a").file_name());
        fs::write(&path, "no shelf").unwrap();
        assert!(cupboard.take(&key("a"), 2).is_empty());
        cupboard.put(&key("a"), 2, &shelf(2)).unwrap();
        assert_eq!(cupboard.take(&key("a"), 2), shelf(2));
        // A file under another key's name is not taken for its own.
        fs::copy(&path, cupboard.folder().join(key("b").file_name())).unwrap();
        assert!(cupboard.take(&key("b"), 2).is_empty());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let size = shelf(1).to_bytes(&key("a").to_string()).unwrap().len() as u64;
        let cupboard = Cupboard::new(folder.path(), 2 * size + size / 2);
        let age = |name: &str, seconds: u64| {
            let path = cupboard.folder().join(key(name).file_name());
            let file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
                .unwrap();
        };
        cupboard.put(&key("a"), 2, &shelf(1)).unwrap();
        cupboard.put(&key("b"), 2, &shelf(2)).unwrap();
        age("a", 200);
        age("b", 100);
        // Used again: now `b` is the oldest.
        assert_eq!(cupboard.take(&key("a"), 2).len(), 1);
        cupboard.put(&key("c"), 2, &shelf(3)).unwrap();
        let left = ["a", "b", "c"].map(|name| cupboard.take(&key(name), 2).len());
        assert_eq!(left, [1, 0, 1]);
    }

    #[test]
    fn nothing_is_kept_where_nothing_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let none = Cupboard::new(folder.path(), 0);
        none.put(&key("a"), 2, &shelf(1)).unwrap();
        assert!(!none.folder().exists());
        let small = Cupboard::new(folder.path(), 10);
        small.put(&key("a"), 2, &shelf(1)).unwrap();
        assert!(small.take(&key("a"), 2).is_empty());
    }
}
