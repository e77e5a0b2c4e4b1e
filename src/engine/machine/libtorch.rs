//! Which libtorch a worker runs with.
//!
//! One worker program serves the CPU and every CUDA version: libtorch is found when a worker is
//! started, not when it is built. It is searched for in this order:
//!
//! 1. the setting `libtorch` (the variable `SURGCAM_LIBTORCH`): the folder of a torch, as Python
//!    installs it;
//! 2. the torch of the environment that a wheel installed surgcam into, active or not;
//! 3. the torch of the active Python (`VIRTUAL_ENV`, `CONDA_PREFIX`, else the first `python3` on
//!    the PATH);
//! 4. the libtorch that was there when the program was built.
//!
//! Only version 2.11 is accepted, because another version may start and then silently lack kernels.
//! A setting that names another version is an error. Another version in Python is skipped.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::environment::Environment;
use crate::error::{Error, Result};

/// The version that the worker is compiled for. Its last part may differ.
pub const NEEDED_VERSION: &str = "2.11";

/// A file that every libtorch has, below its folder.
const LIBRARY: &str = "lib/libtorch_cpu.so";

const HOW_TO_GET: &str = "install it with `pip install torch==2.11.*` into the Python that has \
    surgcam or into the active one, or name the folder of one in SURGCAM_LIBTORCH";

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
    Environment,
    Python,
    Build,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FoundBy::Setting => "named by SURGCAM_LIBTORCH or surgcam.toml",
            FoundBy::Environment => "the torch of the environment that surgcam is installed in",
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
    choose(
        setting,
        &[
            (FoundBy::Environment, &|| environment_torch(&Environment::of_this_program()?)),
            (FoundBy::Python, &|| python_torch(&active_python())),
            // A program that was installed elsewhere says nothing of a folder that only its builder
            // has.
            (FoundBy::Build, &|| built_with.filter(|folder| folder.is_dir()).map(Into::into)),
        ],
    )
}

/// A place where a libtorch may be: the folder of a torch, found only when it is asked for.
type Candidate<'a> = (FoundBy, &'a dyn Fn() -> Option<PathBuf>);

fn choose(setting: Option<&Path>, candidates: &[Candidate]) -> Result<Libtorch> {
    if let Some(folder) = setting {
        return at(folder, FoundBy::Setting).map_err(|problem| {
            problem.hint("SURGCAM_LIBTORCH, or `libtorch` in surgcam.toml, names it")
        });
    }
    let mut problems = Vec::new();
    for (found_by, folder) in candidates {
        match folder().map(|folder| at(&folder, *found_by)) {
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

/// The torch beside surgcam's own package. Python is only asked where it is not there, because an
/// environment may see the packages of another one.
fn environment_torch(environment: &Environment) -> Option<PathBuf> {
    let beside = environment.packages.join("torch");
    if beside.is_dir() {
        return Some(beside);
    }
    python_torch(environment.python.as_deref()?)
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
    let environment = Environment::of_this_program().map(|environment| environment.packages);
    format!(
        "{setting:?} {environment:?} {:?} {:?} {python:?}",
        variable("VIRTUAL_ENV"),
        variable("CONDA_PREFIX")
    )
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

    /// What is found where each of these is there.
    fn found(
        setting: Option<&Path>,
        environment: Option<&Path>,
        python: Option<&Path>,
        built_with: Option<&Path>,
    ) -> Result<Libtorch> {
        choose(
            setting,
            &[
                (FoundBy::Environment, &|| environment.map(Into::into)),
                (FoundBy::Python, &|| python.map(Into::into)),
                (FoundBy::Build, &|| built_with.map(Into::into)),
            ],
        )
    }

    #[test]
    fn the_setting_comes_first_then_the_own_environment_then_python_then_the_build() {
        let folder = tempfile::tempdir().unwrap();
        let [own, environment, python, built] = ["own", "environment", "python", "built"]
            .map(|name| torch(folder.path(), name, "2.11.0+cu130"));
        let [own, environment, python, built] =
            [&own, &environment, &python, &built].map(|folder| Some(folder.as_path()));
        let by = |setting, environment, python| {
            let libtorch = found(setting, environment, python, built).unwrap();
            assert_eq!(libtorch.version, "2.11.0+cu130");
            libtorch.found_by
        };
        assert_eq!(by(own, environment, python), FoundBy::Setting);
        assert_eq!(by(None, environment, python), FoundBy::Environment);
        assert_eq!(by(None, None, python), FoundBy::Python);
        assert_eq!(by(None, None, None), FoundBy::Build);
    }

    #[test]
    fn an_environments_torch_lies_beside_surgcams_package() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment { packages: folder.path().into(), python: None };
        assert_eq!(environment_torch(&environment), None);
        let torch = torch(folder.path(), "torch", "2.11.0");
        assert_eq!(environment_torch(&environment), Some(torch));
    }

    #[test]
    fn another_version_is_refused_where_it_was_named_and_passed_over_where_it_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let newer = torch(folder.path(), "newer", "2.13.0");
        let built = torch(folder.path(), "built", "2.11.1");
        let (newer, built) = (Some(newer.as_path()), Some(built.as_path()));
        let error = found(newer, None, None, built).unwrap_err().to_string();
        assert!(error.contains("it is torch 2.13.0, and torch 2.11 is needed"), "{error}");
        let libtorch = found(None, newer, newer, built).unwrap();
        assert_eq!(Some(libtorch.folder.as_path()), built);
        let error = found(None, None, newer, None).unwrap_err().to_string();
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
        let error = found(Some(folder.path()), None, None, None).unwrap_err().to_string();
        assert!(error.contains("has no lib/libtorch_cpu.so"), "{error}");
    }
}
