//! Which libtorch a worker runs with.
//!
//! One worker program serves the CPU and every CUDA version: libtorch is found when a worker is
//! started, not when it is built. It is searched for in this order:
//!
//! 1. the setting `libtorch` (the variable `SURGCAM_LIBTORCH`): the folder of a torch, as Python
//!    installs it;
//! 2. the torch of the active Python (`VIRTUAL_ENV`, `CONDA_PREFIX`, else the first `python3` on
//!    the PATH);
//! 3. the libtorch that was there when the program was built.
//!
//! Only version 2.11 is accepted, because another version may start and then silently lack kernels.
//! A setting that names another version is an error. Another version in Python is skipped.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// The version that the worker is compiled for. Its last part may differ.
pub const NEEDED_VERSION: &str = "2.11";

/// A file that every libtorch has, below its folder.
const LIBRARY: &str = "lib/libtorch_cpu.so";

const HOW_TO_GET: &str = "install it with `pip install torch==2.11.*` into the active Python, or \
    name the folder of one in SURGCAM_LIBTORCH";

/// A libtorch of the needed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    /// The folder that contains `lib`.
    pub folder: PathBuf,
    /// Its version as it states it, for example `2.11.0+cu130`.
    pub version: String,
    pub found_by: FoundBy,
}

/// What led to a libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundBy {
    Setting,
    Python,
    Build,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FoundBy::Setting => "named by SURGCAM_LIBTORCH or surgcam.toml",
            FoundBy::Python => "the torch of the active Python",
            FoundBy::Build => "where the worker was built",
        })
    }
}

/// Finds the libtorch for workers. `setting` is the folder that the user gave, `built_with` the one
/// that workers were built with.
///
/// # Errors
/// Where the setting does not name a libtorch of the needed version, or none is found at all.
pub fn find(setting: Option<&Path>, built_with: Option<&Path>) -> Result<Libtorch> {
    choose(setting, || python_torch(&active_python()), built_with)
}

fn choose(
    setting: Option<&Path>,
    python: impl FnOnce() -> Option<PathBuf>,
    built_with: Option<&Path>,
) -> Result<Libtorch> {
    if let Some(folder) = setting {
        return at(folder, FoundBy::Setting).map_err(|problem| {
            problem.hint("SURGCAM_LIBTORCH, or `libtorch` in surgcam.toml, names it")
        });
    }
    let mut problems = Vec::new();
    for (folder, found_by) in
        [(python(), FoundBy::Python), (built_with.map(Path::to_path_buf), FoundBy::Build)]
    {
        match folder.map(|folder| at(&folder, found_by)) {
            Some(Ok(libtorch)) => return Ok(libtorch),
            Some(Err(problem)) => problems.push(problem.to_string()),
            None => {}
        }
    }
    let seen =
        if problems.is_empty() { String::new() } else { format!(" ({})", problems.join("; ")) };
    Err(Error::usage(format!("there is no libtorch {NEEDED_VERSION}{seen}")).hint(HOW_TO_GET))
}

fn at(folder: &Path, found_by: FoundBy) -> Result<Libtorch> {
    if !folder.join(LIBRARY).is_file() {
        return Err(Error::usage(format!("it is not the folder of a torch: it has no {LIBRARY}"))
            .at_path(folder));
    }
    match version_of(folder) {
        Some(version) if is_needed(&version) => {
            Ok(Libtorch { folder: folder.to_path_buf(), version, found_by })
        }
        version => {
            let version = version.unwrap_or_else(|| "of an unknown version".into());
            Err(Error::usage(format!(
                "it is torch {version}, and torch {NEEDED_VERSION} is needed"
            ))
            .at_path(folder))
        }
    }
}

/// A Python wheel has its version in `version.py`, the plain archive in `build-version`.
fn version_of(folder: &Path) -> Option<String> {
    let of_archive = || std::fs::read_to_string(folder.join("build-version")).ok();
    let Ok(text) = std::fs::read_to_string(folder.join("version.py")) else {
        return of_archive().map(|version| version.trim().to_string());
    };
    let value = text.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(value.trim().trim_matches(['\'', '"']).to_string())
}

/// Whether a version such as `2.11.0+cu130` is the needed one.
pub fn is_needed(version: &str) -> bool {
    version
        .strip_prefix(NEEDED_VERSION)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+']))
}

/// The Python that the user works with.
fn active_python() -> PathBuf {
    let of_environment = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(std::env::var_os);
    let programs = of_environment.map(|folder| Path::new(&folder).join("bin/python"));
    programs.into_iter().find(|program| program.exists()).unwrap_or_else(|| "python3".into())
}

/// The folder of a Python's torch, which is located but not loaded.
fn python_torch(python: &Path) -> Option<PathBuf> {
    const LOOK_UP: &str = "import importlib.util\n\
        spec = importlib.util.find_spec('torch')\n\
        print((spec and spec.submodule_search_locations or [''])[0])";
    let mut command = Command::new(python);
    // Runs in the root folder, so that a folder called torch in the user's own is not taken for it.
    let output = command
        .args(["-c", LOOK_UP])
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    let folder = folder.trim();
    (output.status.success() && !folder.is_empty()).then(|| folder.into())
}

/// A cheap text that changes when another libtorch would be found. Workers' answers are remembered
/// under it. It does not notice a torch that is installed later into the same Python; `surgcam
/// doctor` asks the worker again.
pub fn circumstances(setting: Option<&Path>) -> String {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_default();
    let path = variable("PATH");
    let python = std::env::split_paths(&path)
        .map(|folder| folder.join("python3"))
        .find(|program| program.exists());
    format!("{setting:?} {:?} {:?} {python:?}", variable("VIRTUAL_ENV"), variable("CONDA_PREFIX"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torch(folder: &Path, name: &str, version: &str) -> PathBuf {
        let torch = folder.join(name);
        std::fs::create_dir_all(torch.join("lib")).unwrap();
        std::fs::write(torch.join(LIBRARY), "").unwrap();
        std::fs::write(
            torch.join("version.py"),
            format!("from typing import Optional\n__version__ = '{version}'\n"),
        )
        .unwrap();
        torch
    }

    #[test]
    fn the_setting_comes_before_python_and_python_before_the_build() {
        let folder = tempfile::tempdir().unwrap();
        let [own, python, built] =
            ["own", "python", "built"].map(|name| torch(folder.path(), name, "2.11.0+cu130"));
        let found = |setting: Option<&Path>, python: Option<&PathBuf>| {
            choose(setting, || python.cloned(), Some(&built)).unwrap()
        };
        assert_eq!(found(Some(&own), Some(&python)).found_by, FoundBy::Setting);
        let of_python = found(None, Some(&python));
        assert_eq!(
            (of_python.found_by, of_python.version.as_str()),
            (FoundBy::Python, "2.11.0+cu130")
        );
        assert_eq!(found(None, None).folder, built);
    }

    #[test]
    fn another_version_is_refused_where_it_was_named_and_passed_over_where_it_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let newer = torch(folder.path(), "newer", "2.13.0");
        let built = torch(folder.path(), "built", "2.11.1");
        let error = choose(Some(&newer), || None, Some(&built)).unwrap_err().to_string();
        assert!(error.contains("it is torch 2.13.0, and torch 2.11 is needed"), "{error}");
        assert_eq!(choose(None, || Some(newer.clone()), Some(&built)).unwrap().folder, built);
        let error = choose(None, || Some(newer), None).unwrap_err().to_string();
        assert!(error.contains("2.13.0") && error.contains("pip install torch==2.11"), "{error}");
        assert!(
            !is_needed("2.110.0")
                && !is_needed("2.1")
                && is_needed("2.11")
                && is_needed("2.11.0+cpu")
        );
    }

    #[test]
    fn a_folder_without_a_library_is_told_from_one_of_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let error = choose(Some(folder.path()), || None, None).unwrap_err().to_string();
        assert!(error.contains("has no lib/libtorch_cpu.so"), "{error}");
    }
}
