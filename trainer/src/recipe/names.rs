//! Names that `--data` and `--backbone` take beside paths, and their form in a configuration.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The data set that is drawn on first use.
pub const INSECTS: &str = "builtin:insects";
/// The public photographs of ants and bees, once fetched.
pub const HYMENOPTERA: &str = "hymenoptera";
/// The backbone that is fetched by name.
pub const RESNET18: &str = "resnet18";

/// A path made absolute; the names of this module stay as they are unless such a path exists.
pub fn absolute(name: &str) -> Result<String> {
    let is_known = [INSECTS, HYMENOPTERA, RESNET18].contains(&name);
    if is_known && !Path::new(name).exists() {
        return Ok(name.into());
    }
    let path: PathBuf = std::path::absolute(name)?;
    Ok(path.to_string_lossy().into_owned())
}

/// What `--data` stands for in a run's configuration: `builtin:insects` or an absolute path.
pub fn data_name(name: &str, cache: &Path) -> Result<String> {
    let name = absolute(name)?;
    if name != HYMENOPTERA {
        return Ok(name);
    }
    let folder = cache.join("datasets").join(HYMENOPTERA);
    if !folder.is_dir() {
        return Err(Error::NotFetched { name });
    }
    absolute(&folder.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn names_stay_and_paths_become_absolute() {
        assert_eq!(absolute("builtin:insects").unwrap(), "builtin:insects");
        assert_eq!(absolute("resnet18").unwrap(), "resnet18");
        assert!(std::path::Path::new(&absolute("photos").unwrap()).is_absolute());
    }
}
