//! Tables of pairs (CSV): a data set's `path_a,path_b,label[,split]` and a run's `pairs.csv`.
//!
//! A table names no identities. Images that are the same, or imitate each other, are of one; an image that is in
//! no such pair is of the identity of its first partner.

use super::{Flaw, FlawKind, Pair, PairKind, Pairs, leak};
use crate::split::{stratified, train_val_test_counts};
use crate::table::{Record, records};
use crate::{Dataset, Error, Result, Sample, Split, write};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const COLUMNS: [&str; 3] = ["path_a", "path_b", "label"];

/// A row, its images by their indices in [`Table::paths`].
struct Row {
    a: usize,
    b: usize,
    kind: PairKind,
    split: Option<Split>,
    line: u64,
}

/// The rows of a table, and every image once.
struct Table {
    paths: Vec<String>,
    rows: Vec<Row>,
    /// Rows that are left out.
    flaws: Vec<Flaw>,
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        let mut table = Self {
            paths: Vec::new(),
            rows: Vec::new(),
            flaws: Vec::new(),
        };
        let mut indices = HashMap::new();
        let mut earlier: HashMap<(usize, usize), (usize, PairKind)> = HashMap::new();
        for Record { cells, split, line } in records(path, csv::Trim::All, COLUMNS)? {
            let [a, b, label] = cells;
            let kind = kind(&label).map_err(|reason| Error::table(path, line, &reason))?;
            if a == b {
                let message = format!("`{a}` is paired with itself");
                let flaw = Flaw::of_row(FlawKind::WithItself, line, message, &[&a]);
                table.flaws.push(flaw);
                continue;
            }
            let [a, b] = [a, b].map(|path| {
                *indices.entry(path).or_insert_with_key(|path| {
                    table.paths.push(path.clone());
                    table.paths.len() - 1
                })
            });
            let row = Row {
                a,
                b,
                kind,
                split,
                line,
            };
            let key = (a.min(b), a.max(b));
            match earlier.get(&key) {
                Some(earlier) => table.flaws.push(table.again(&row, *earlier)),
                None => {
                    earlier.insert(key, (a, kind));
                    table.rows.push(row);
                }
            }
        }
        Ok(table)
    }

    /// The flaw of a row whose pair is in an earlier one, of this kind and with this image first.
    fn again(&self, row: &Row, (first, before): (usize, PairKind)) -> Flaw {
        let [a, b] = [row.a, row.b].map(|image| &self.paths[image]);
        let (kind, message) = if before == row.kind {
            let mirrored = if first == row.a { "" } else { ", mirrored" };
            let message = format!("`{a}` and `{b}` are listed again{mirrored}");
            (FlawKind::Repeated, message)
        } else {
            let (now, before) = (row.kind.name(), before.name());
            let message =
                format!("`{a}` and `{b}` are `{now}` here and `{before}` in an earlier row");
            (FlawKind::TwoLabels, message)
        };
        Flaw::of_row(kind, row.line, message, &[a, b])
    }

    /// Refuses rows that say nothing, or two things.
    ///
    /// # Errors
    /// The first such row.
    fn check(&self, path: &Path) -> Result<()> {
        let refused = |flaw: &&Flaw| flaw.kind != FlawKind::Repeated;
        match self.flaws.iter().find(refused) {
            Some(flaw) => Err(Error::table(
                path,
                flaw.line.expect("it is a row's"),
                &flaw.message,
            )),
            None => Ok(()),
        }
    }

    /// The identity of each image, numbered from 0 in the order of the images.
    fn identities(&self) -> Vec<usize> {
        let mut parent: Vec<usize> = (0..self.paths.len()).collect();
        let mut is_alone = vec![true; self.paths.len()];
        let related = |row: &&Row| row.kind != PairKind::Different;
        for row in self.rows.iter().filter(related) {
            is_alone[row.a] = false;
            is_alone[row.b] = false;
            join(&mut parent, row.a, row.b);
        }
        for row in &self.rows {
            for (image, partner) in [(row.a, row.b), (row.b, row.a)] {
                if std::mem::take(&mut is_alone[image]) && !is_alone[partner] {
                    join(&mut parent, image, partner);
                }
            }
        }
        (0..self.paths.len())
            .map(|image| root(&mut parent, image))
            .collect()
    }
}

fn root(parent: &mut [usize], mut image: usize) -> usize {
    while parent[image] != image {
        parent[image] = parent[parent[image]];
        image = parent[image];
    }
    image
}

/// The smaller number is the root, so that identities do not depend on the order of the unions.
fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b)] = a.min(b);
}

/// A label, in the words of other tables as well.
fn kind(label: &str) -> Result<PairKind, String> {
    match label.to_ascii_lowercase().as_str() {
        "same" | "genuine" | "1" | "true" => Ok(PairKind::Same),
        "different" | "impostor" | "0" | "false" => Ok(PairKind::Different),
        "forged" | "forgery" => Ok(PairKind::Forged),
        _ => Err(format!(
            "`{label}` is not same, different or forged (or 1, 0)"
        )),
    }
}

pub(super) fn open(path: &Path, seed: u64) -> Result<Pairs> {
    let table = Table::read(path)?;
    table.check(path)?;
    let root = files::parent_folder(path);
    for row in &table.rows {
        for image in [row.a, row.b] {
            let file = root.join(&table.paths[image]);
            // Now, and with its line: a missing file must not end a training after hours.
            if !file.is_file() {
                let reason = format!("there is no file `{}`", file.display());
                return Err(Error::table(path, row.line, &reason));
            }
        }
    }
    let (pairs, leaked) = divided(path, &table, seed)?;
    if !leaked.is_empty() {
        return Err(leak(path, &leaked));
    }
    Ok(pairs)
}

/// As [`open`], with the flaws of the table in place of errors. Files may be missing.
pub(super) fn open_unchecked(path: &Path, seed: u64) -> Result<(Pairs, Vec<Flaw>)> {
    let table = Table::read(path)?;
    let (pairs, leaked) = divided(path, &table, seed)?;
    let mut flaws = table.flaws;
    if !leaked.is_empty() {
        let message = "images, or others of their identities, are in more than one split".into();
        flaws.push(Flaw::of_data(FlawKind::SeveralSplits, message, leaked));
    }
    Ok((pairs, flaws))
}

/// The pairs of a table by split, and the images whose identities are in several.
fn divided(path: &Path, table: &Table, seed: u64) -> Result<(Pairs, Vec<String>)> {
    if table.rows.is_empty() {
        return Err(Error::no_images(path));
    }
    let identities = table.identities();
    let mut notes = Vec::new();
    let (splits, leaked) = match table.rows.iter().filter(|row| row.split.is_some()).count() {
        0 => {
            notes.push(format!(
                "a table without splits: its identities are divided into 70 % train, 10 % val, 20 % test (seed {seed})"
            ));
            (divide(&identities, seed), Vec::new())
        }
        _ => splits_of_rows(path, table, &identities)?,
    };
    let root = files::parent_folder(path).to_path_buf();
    let mut images = Dataset::of_identities(root, &table.paths, &identities, &splits);
    let repeated = table
        .flaws
        .iter()
        .filter(|flaw| flaw.kind == FlawKind::Repeated);
    let count = repeated.count();
    if count > 0 {
        notes.push(format!(
            "{count} pairs are listed again, mirrored or as they are: each counts once"
        ));
    }
    let mut pairs = BTreeMap::new();
    let index = indices(&images);
    let mut num_crossing = 0;
    for row in &table.rows {
        let split = splits[row.a];
        if splits[row.b] != split {
            num_crossing += 1;
            continue;
        }
        let [a, b] = [row.a, row.b].map(|image| index[&(split, table.paths[image].as_str())]);
        let list: &mut Vec<Pair> = pairs.entry(split).or_default();
        list.push(Pair {
            a,
            b,
            kind: row.kind,
        });
    }
    if num_crossing > 0 {
        notes.push(format!(
            "{num_crossing} pairs of identities in two splits are left out"
        ));
    }
    drop(index);
    images.notes = notes;
    Ok((Pairs { images, pairs }, leaked))
}

/// The split of each image of a table without splits.
fn divide(identities: &[usize], seed: u64) -> Vec<Split> {
    let mut distinct = identities.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let [_, val, test] = stratified(distinct, |_| 0, seed, train_val_test_counts);
    let split = |identity: &usize| match identity {
        _ if val.contains(identity) => Split::Val,
        _ if test.contains(identity) => Split::Test,
        _ => Split::Train,
    };
    identities.iter().map(split).collect()
}

/// The split of each image by the rows, and the images whose identities are in several.
fn splits_of_rows(
    path: &Path,
    table: &Table,
    identities: &[usize],
) -> Result<(Vec<Split>, Vec<String>)> {
    let mut of_image: Vec<Option<Split>> = vec![None; table.paths.len()];
    let mut of_identity: HashMap<usize, Split> = HashMap::new();
    let mut leaked: Vec<String> = Vec::new();
    for row in &table.rows {
        let Some(split) = row.split else {
            let reason = "no split is given, but other rows have one";
            return Err(Error::table(path, row.line, reason));
        };
        for image in [row.a, row.b] {
            // Of an image in two splits, the first row decides: nothing is trained with it.
            of_image[image].get_or_insert(split);
            if *of_identity.entry(identities[image]).or_insert(split) != split {
                let name = &table.paths[image];
                if !leaked.contains(name) {
                    leaked.push(name.clone());
                }
            }
        }
    }
    let splits = of_image.into_iter();
    let splits = splits.map(|split| split.expect("every image is of a row"));
    Ok((splits.collect(), leaked))
}

/// The index of each image in its split.
fn indices(images: &Dataset) -> HashMap<(Split, &str), usize> {
    let of_split = |split: Split| {
        let samples = images.samples(split).iter().enumerate();
        samples.map(move |(index, sample): (usize, &Sample)| {
            ((split, sample.relative.as_str()), index)
        })
    };
    Split::ALL.into_iter().flat_map(of_split).collect()
}

pub(super) fn of_images(list: &Path, images: Dataset) -> Result<Pairs> {
    let mut pairs: BTreeMap<Split, Vec<Pair>> = BTreeMap::new();
    let index = indices(&images);
    for Record { cells, split, line } in records(list, csv::Trim::Headers, COLUMNS)? {
        let wrong = |reason: String| Error::table(list, line, &reason);
        let split = split.ok_or_else(|| wrong("no split is given in this row".into()))?;
        let find = |path: &str| {
            let found = index.get(&(split, path)).copied();
            found.ok_or_else(|| wrong(format!("`{path}` is no {split} image")))
        };
        let pair = Pair {
            a: find(&cells[0])?,
            b: find(&cells[1])?,
            kind: kind(&cells[2]).map_err(wrong)?,
        };
        pairs.entry(split).or_default().push(pair);
    }
    drop(index);
    Ok(Pairs { images, pairs })
}

pub(super) fn write(pairs: &Pairs, path: &Path) -> Result<()> {
    write::atomically_with(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(["path_a", "path_b", "label", "split"])?;
        for split in Split::ALL {
            for pair in pairs.of(split) {
                let [a, b] = pairs.images_of(split, pair);
                table.write_record([&a.relative, &b.relative, pair.kind.name(), split.name()])?;
            }
        }
        table.flush()
    })?;
    Ok(())
}
