//! Names that `--data` and `--backbone` take besides paths, and their form in a configuration.

use std::path::{Path, PathBuf};

use data::catalog;

use crate::error::Result;

/// A path made absolute; names of the catalog stay as they are unless such a path exists.
pub fn absolute(name: &str) -> Result<String> {
    // A folder of that name in the working directory takes precedence.
    if catalog::is_name(name) && !Path::new(name).exists() {
        return Ok(name.into());
    }
    let path: PathBuf = std::path::absolute(name)?;
    Ok(path.to_string_lossy().into_owned())
}

/// What `--data` stands for in a run's configuration: `builtin:insects` or an absolute path.
pub fn data_name(name: &str, cache: &Path) -> Result<String> {
    let name = absolute(name)?;
    if name != catalog::HYMENOPTERA {
        return Ok(name);
    }
    let folder = catalog::data_path(&name, cache, &|_, _| {})?;
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
