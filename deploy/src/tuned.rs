//! Tuned settings: the recommendation of `deploy tune` for a model on a machine, kept in the cache folder. Measures
//! nothing.
//!
//! A setting is only as good as its measurement: it belongs to the content of the model, the processor, the GPU and the
//! versions of the libraries that it was measured with, and is refused elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use machine::Provider;
use machine::probe::{self, Machine};
use machine::runtime::plugin_version;
use onnx::{Document, ModelFile};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::presets;

/// Folder of the settings in the cache folder.
const FOLDER: &str = "tuned";

/// How a model is run on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The execution provider.
    #[serde(with = "text")]
    pub provider: Provider,
    /// Precision in which it computes.
    #[serde(with = "text")]
    pub precision: Precision,
    /// Sessions at work at the same time.
    pub sessions: usize,
    /// Threads inside a session; `None` is one per core.
    pub threads: Option<usize>,
    /// Images per run.
    pub batch: usize,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(f, "{} {}, ", self.provider, self.precision)?;
        if self.sessions > 1 {
            write!(f, "{} sessions of ", self.sessions)?;
        }
        match self.threads {
            Some(threads) => write!(f, "{threads} thread{}, ", plural(threads))?,
            None => f.write_str("default threads, ")?,
        }
        write!(f, "batch {}", self.batch)
    }
}

/// What a setting depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunedKey {
    /// SHA-256 of the model's content with its external data.
    pub model: String,
    /// The processor, its cores and instructions.
    pub processor: String,
    /// The GPU and its driver, where the provider computes on one.
    pub gpu: Option<String>,
    /// Version of ONNX Runtime.
    pub runtime: String,
    /// Version of the plugin, where the provider is one.
    pub plugin: Option<String>,
    /// Version of this library.
    pub library: String,
}

impl TunedKey {
    /// The key of a model on a provider here. ONNX Runtime must have been loaded ([`crate::runtime::load`]).
    ///
    /// # Errors
    /// The model cannot be read.
    pub fn here(model: &ModelFile, provider: Provider) -> Result<Self> {
        Ok(Self::of(content_sha256(model)?, provider))
    }

    fn of(model: String, provider: Provider) -> Self {
        Self {
            model,
            processor: describe_processor(),
            gpu: provider.device().map(describe_gpu),
            runtime: presets::runtime_version().to_owned(),
            plugin: plugin_version(provider).map(str::to_owned),
            library: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The first part that differs: its name, its value in this key and in the other one.
    fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let parts = [
            ("model", self.model.clone(), other.model.clone()),
            ("processor", self.processor.clone(), other.processor.clone()),
            ("GPU", text(&self.gpu), text(&other.gpu)),
            ("ONNX Runtime", self.runtime.clone(), other.runtime.clone()),
            ("plugin", text(&self.plugin), text(&other.plugin)),
            (
                "version of deploy",
                self.library.clone(),
                other.library.clone(),
            ),
        ];
        parts.into_iter().find(|(_, own, other)| own != other)
    }
}

/// The processor with its cores and instructions: virtual machines hide the processor's model.
fn describe_processor() -> String {
    let machine = Machine::read();
    let name = machine.cpu.as_deref().unwrap_or("an unnamed processor");
    let (cores, features) = (machine.usable_cores, machine.features.join(" "));
    format!("{name}, {cores} cores, {features}")
}

/// The GPU with its driver.
fn describe_gpu(device: u32) -> String {
    let driver = probe::driver();
    let gpu = driver
        .as_ref()
        .and_then(|driver| driver.devices.get(device as usize));
    let version = driver.as_ref().and_then(|driver| driver.version.as_deref());
    match gpu {
        Some(gpu) => format!("{}, driver {}", gpu.name, version.unwrap_or("unknown")),
        None => format!("none with the number {device}"),
    }
}

/// A setting with its key, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    /// The model's file when it was tuned, for messages.
    path: PathBuf,
    /// When it was tuned, UTC.
    date: String,
    key: TunedKey,
    setting: Setting,
    /// SHA-256 of the converted file beside the record, where the setting needs one.
    converted: Option<String>,
}

/// A setting, and the file that it runs.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// The setting.
    pub setting: Setting,
    /// The model's own file, or the one that was converted to the setting's precision.
    pub file: ModelFile,
}

/// Keeps a setting for a model on this machine, in place of an earlier one. `converted` is the file that it runs, where
/// that is not the model's own: a copy is kept beside the setting. Returns the record's file.
///
/// # Errors
/// The model cannot be read, or nothing can be written.
pub fn save(
    cache: &Path,
    model: &ModelFile,
    setting: Setting,
    converted: Option<&ModelFile>,
) -> Result<PathBuf> {
    let folder = cache.join(FOLDER);
    fs::create_dir_all(&folder).map_err(files::Error::writing(&folder))?;
    let key = TunedKey::here(model, setting.provider)?;
    let here = serde_json::to_string(&TunedKey {
        model: String::new(),
        ..key.clone()
    });
    let here = here.map_err(|error| Error::tuned_damaged(&folder, &error))?;
    // One record for each model and machine: a cache folder may be shared.
    let machine = files::hash::sha256_hex_of(here.as_bytes());
    let path = folder.join(format!("{}.{}.json", &key.model[..32], &machine[..16]));
    if let Some(file) = converted {
        files::write::atomically(&path.with_extension("onnx"), file.bytes())?;
    }
    let record = Record {
        path: fs::canonicalize(model.path()).unwrap_or_else(|_| model.path().to_owned()),
        date: pixels::card::utc_date(),
        key,
        setting,
        converted: converted.map(|file| file.sha256().to_owned()),
    };
    let text = serde_json::to_vec_pretty(&record).map_err(|e| Error::tuned_damaged(&path, &e))?;
    files::write::atomically(&path, &text)?;
    Ok(path)
}

/// The setting that was kept last for this model, wherever it was measured: which provider is asked for decides which
/// ONNX Runtime is loaded, and only then [`load`] can check the rest.
///
/// # Errors
/// Nothing is kept for the model, or it has changed.
pub fn peek(cache: &Path, model: &ModelFile) -> Result<Setting> {
    let (records, _) = of_model(cache, model)?;
    let processor = describe_processor();
    let is_here = |found: &&(PathBuf, Record)| found.1.key.processor == processor;
    let found = records.iter().find(is_here).or(records.first());
    found
        .map(|(_, record)| record.setting)
        .ok_or_else(|| Error::not_tuned(model.path()))
}

/// The setting that was kept for this model on this machine. ONNX Runtime must have been loaded
/// ([`crate::runtime::load`]).
///
/// # Errors
/// Nothing is kept for the model; it has changed, or what was kept is of another processor, GPU or version, which the
/// error names; the converted file is gone or damaged.
pub fn load(cache: &Path, model: &ModelFile) -> Result<Tuned> {
    let (records, content) = of_model(cache, model)?;
    let mut differs = None;
    for (path, record) in &records {
        let here = TunedKey::of(content.clone(), record.setting.provider);
        match record.key.difference(&here) {
            None => return open(path, record, model),
            Some(difference) if differs.is_none() => differs = Some(difference),
            Some(_) => {}
        }
    }
    Err(match differs {
        Some((what, kept, here)) => Error::tuned_elsewhere(model.path(), what, &kept, &here),
        None => Error::not_tuned(model.path()),
    })
}

fn open(path: &Path, record: &Record, model: &ModelFile) -> Result<Tuned> {
    let file = match &record.converted {
        None => model.clone(),
        Some(sha256) => {
            let file = ModelFile::open(&path.with_extension("onnx"))?;
            if file.sha256() != sha256 {
                return Err(Error::tuned_damaged(
                    file.path(),
                    &"it is not the file that was kept",
                ));
            }
            file
        }
    };
    Ok(Tuned {
        setting: record.setting,
        file,
    })
}

/// Files in the folder that no longer fit this library or one of the `versions` of ONNX Runtime, or cannot be read.
///
/// # Errors
/// The folder cannot be listed.
pub fn unusable(cache: &Path, versions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut unusable = Vec::new();
    for (path, record) in records(cache)? {
        let fits = |record: &Record| {
            record.key.library == env!("CARGO_PKG_VERSION")
                && versions.contains(&record.key.runtime.as_str())
        };
        if !record.is_ok_and(|record| fits(&record)) {
            let converted = path.with_extension("onnx");
            unusable.extend(converted.is_file().then_some(converted));
            unusable.push(path);
        }
    }
    Ok(unusable)
}

/// The records of a model, the latest first, and the SHA-256 of its content.
///
/// # Errors
/// There is none: the model has changed where one was kept for its path.
fn of_model(cache: &Path, model: &ModelFile) -> Result<(Vec<(PathBuf, Record)>, String)> {
    let content = content_sha256(model)?;
    // A model in memory has no path that could be another's.
    let path = fs::canonicalize(model.path()).ok();
    let mut all = Vec::new();
    for (file, record) in records(cache)? {
        match record {
            Ok(record) => all.push((file, record)),
            // The name says whose record it is: another model's does not matter.
            Err(error) if is_of(&file, &content) => return Err(error),
            Err(_) => {}
        }
    }
    all.sort_by(|a, b| b.1.date.cmp(&a.1.date));
    let is_same_path = |(_, record): &(PathBuf, Record)| path.as_ref() == Some(&record.path);
    let changed = all
        .iter()
        .find(|found| is_same_path(found))
        .map(|(_, r)| r.date.clone());
    all.retain(|(_, record)| record.key.model == content);
    match changed {
        Some(date) if all.is_empty() => Err(Error::tuned_changed(model.path(), &date)),
        _ => Ok((all, content)),
    }
}

fn is_of(record: &Path, content: &str) -> bool {
    let name = record.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(&content[..32])
}

/// Every record in the cache folder, in the order of the names.
fn records(cache: &Path) -> Result<Vec<(PathBuf, Result<Record>)>> {
    let folder = cache.join(FOLDER);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let failed = files::Error::reading(&folder);
    let entries = fs::read_dir(&folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = entries.map_err(failed)?.iter().map(|e| e.path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    paths.sort();
    let read = |path: PathBuf| {
        let record = fs::read(&path)
            .map_err(|error| Error::tuned_damaged(&path, &error))
            .and_then(|text| {
                serde_json::from_slice(&text).map_err(|error| Error::tuned_damaged(&path, &error))
            });
        (path, record)
    };
    Ok(paths.into_iter().map(read).collect())
}

fn content_sha256(model: &ModelFile) -> Result<String> {
    presets::model_sha256(&mut Document::from_file(model)?)
}

/// Values that are written as they are typed.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error>
    where
        T::Err: Display,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
