//! Feature table: features by the SHA-256 of their images, and its file. It knows no engine and no
//! folder.
//!
//! The file is a safetensors file: `images` `[N, 32]` (SHA-256 of each image's bytes), `features`
//! `[N, D]`, `sha256` `[32]` of the two, and the table's key as text in the metadata under `key`.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use super::Hash;
use crate::error::{Error, Result};

const IMAGES: &str = "images";
const FEATURES: &str = "features";
const KEY: &str = "key";
const CHECKSUM: &str = "sha256";

/// Rows of features `[D]`, one per image.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureTable {
    width: usize,
    indices: HashMap<Hash, usize>,
    values: Vec<f32>,
}

impl FeatureTable {
    pub fn new(width: usize) -> Self {
        Self {
            width,
            indices: HashMap::new(),
            values: vec![],
        }
    }

    pub fn len(&self) -> usize {
        self.indices.len()
    }

    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The row of an image, `[D]`.
    pub fn row(&self, image: &Hash) -> Option<&[f32]> {
        let start = self.indices.get(image)? * self.width;
        self.values.get(start..start + self.width)
    }

    /// Adds a row of `width` numbers; one that is there already stays as it is.
    pub fn insert(&mut self, image: Hash, row: &[f32]) {
        debug_assert_eq!(row.len(), self.width);
        let next = self.indices.len();
        self.indices.entry(image).or_insert_with(|| {
            self.values.extend_from_slice(row);
            next
        });
    }

    pub fn merge(&mut self, other: &FeatureTable) {
        for image in other.indices.keys() {
            if let Some(row) = other.row(image) {
                self.insert(*image, row);
            }
        }
    }

    /// The bytes of the file, the same for the same rows. Rows that are not finite are left out.
    pub fn to_bytes(&self, key: &str) -> Result<Vec<u8>> {
        let finite = |image: &&Hash| {
            self.row(image)
                .is_some_and(|row| row.iter().all(|value| value.is_finite()))
        };
        let mut images: Vec<Hash> = self.indices.keys().filter(finite).copied().collect();
        // A `HashMap` has another order in every process; the file must not.
        images.sort_unstable();
        let hashes = images.as_flattened();
        let rows = images.iter().filter_map(|image| self.row(image)).flatten();
        let features: Vec<u8> = rows.flat_map(|value| value.to_le_bytes()).collect();
        let failed = |error: safetensors::SafeTensorError| {
            Error::refused(format!("features cannot be written: {error}"))
        };
        let count = images.len();
        let checksum = checksum(hashes, &features);
        let views = [
            (CHECKSUM, TensorView::new(Dtype::U8, vec![32], &checksum)),
            (IMAGES, TensorView::new(Dtype::U8, vec![count, 32], hashes)),
            (
                FEATURES,
                TensorView::new(Dtype::F32, vec![count, self.width], &features),
            ),
        ];
        let mut tensors = Vec::with_capacity(views.len());
        for (name, view) in views {
            tensors.push((name, view.map_err(failed)?));
        }
        let metadata = HashMap::from([(KEY.to_owned(), key.to_owned())]);
        safetensors::serialize(tensors, Some(metadata)).map_err(failed)
    }

    /// Reads the file's bytes; `None` when they are not whole, of another key, or of another width.
    pub fn parse(bytes: &[u8], key: &str, width: usize) -> Option<Self> {
        let metadata = SafeTensors::read_metadata(bytes).ok()?.1;
        let metadata = metadata.metadata().as_ref()?;
        if metadata.get(KEY)? != key {
            return None;
        }
        let file = SafeTensors::deserialize(bytes).ok()?;
        let (images, features) = (file.tensor(IMAGES).ok()?, file.tensor(FEATURES).ok()?);
        let count = *images.shape().first()?;
        let fits = (images.dtype(), features.dtype()) == (Dtype::U8, Dtype::F32)
            && images.shape() == [count, 32]
            && features.shape() == [count, width]
            // safetensors has no checksum, and a flipped bit in a feature would go unnoticed.
            && file.tensor(CHECKSUM).ok()?.data() == checksum(images.data(), features.data());
        if !fits {
            return None;
        }
        let (words, _) = features.data().as_chunks::<4>();
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let (hashes, _) = images.data().as_chunks::<32>();
        let indices: HashMap<Hash, usize> = hashes
            .iter()
            .enumerate()
            .map(|(index, hash)| (*hash, index))
            .collect();
        let whole = indices.len() == count && values.iter().all(|value| value.is_finite());
        whole.then_some(Self {
            width,
            indices,
            values,
        })
    }
}

fn checksum(images: &[u8], features: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(images);
    hash.update(features);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::FeatureTable;

    fn table(rows: &[(u8, [f32; 2])]) -> FeatureTable {
        let mut table = FeatureTable::new(2);
        for (image, row) in rows {
            table.insert([*image; 32], row);
        }
        table
    }

    #[test]
    fn rows_come_back_by_their_image_whatever_the_order_of_writing() {
        let one = table(&[(7, [1.0, -2.0]), (3, [0.5, 0.25])]);
        let two = table(&[(3, [0.5, 0.25]), (7, [1.0, -2.0])]);
        let bytes = one.to_bytes("key").unwrap();
        assert!(bytes == two.to_bytes("key").unwrap());
        let again = FeatureTable::parse(&bytes, "key", 2).unwrap();
        assert_eq!(again.row(&[7; 32]), Some(&[1.0, -2.0][..]));
        assert_eq!(again.row(&[3; 32]), Some(&[0.5, 0.25][..]));
        assert_eq!((again.row(&[1; 32]), again.len()), (None, 2));
    }

    #[test]
    fn a_merge_adds_what_is_not_there() {
        let mut one = table(&[(7, [1.0, -2.0])]);
        one.merge(&table(&[(7, [9.0, 9.0]), (3, [0.5, 0.25])]));
        assert_eq!(one.len(), 2);
        assert_eq!(one.row(&[7; 32]), Some(&[1.0, -2.0][..]));
        assert_eq!(one.row(&[3; 32]), Some(&[0.5, 0.25][..]));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_no_shelf() {
        let bytes = table(&[(7, [1.0, -2.0]), (3, [0.5, 0.25])])
            .to_bytes("key")
            .unwrap();
        assert!(FeatureTable::parse(&bytes, "key", 2).is_some());
        assert!(FeatureTable::parse(&bytes, "other key", 2).is_none());
        assert!(FeatureTable::parse(&bytes, "key", 1).is_none());
        for length in 0..bytes.len() {
            assert!(
                FeatureTable::parse(&bytes[..length], "key", 2).is_none(),
                "{length}"
            );
        }
        for position in 0..bytes.len() {
            let mut other = bytes.clone();
            other[position] ^= 1;
            let found = FeatureTable::parse(&other, "key", 2);
            // An unused name may change, a value may not.
            let same = found.is_none_or(|found| found.to_bytes("key").unwrap() == bytes);
            assert!(same, "byte {position}");
        }
    }

    #[test]
    fn a_row_that_is_not_finite_is_not_kept() {
        let mut table = table(&[(7, [1.0, f32::NAN])]);
        table.insert([3; 32], &[0.5, 0.25]);
        let again = FeatureTable::parse(&table.to_bytes("key").unwrap(), "key", 2).unwrap();
        assert_eq!((again.len(), again.row(&[7; 32])), (1, None));
    }
}
