//! The Python environment that this program was installed into by a wheel.
//!
//! A wheel puts the programs into `PREFIX/bin`, and its Python package beside all others, as in
//! `PREFIX/lib/python3.12/site-packages/surgcam`. Virtual environments, conda, `uv tool` and pipx
//! all have this layout. A program that was copied somewhere by `make install` has no such package
//! beside it, and so it belongs to no environment.

use std::path::{Path, PathBuf};

/// A file of the Python package that the wheel brings.
const OWN_PACKAGE: &str = "surgcam/__init__.py";

/// An environment with surgcam in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The folder of its packages.
    pub packages: PathBuf,
    /// Its Python, if it has one of its own.
    pub python: Option<PathBuf>,
}

impl Environment {
    /// The environment of the program that runs.
    pub fn of_this_program() -> Option<Self> {
        Self::of(&std::env::current_exe().ok()?)
    }

    /// The environment of the program at this path.
    fn of(program: &Path) -> Option<Self> {
        let programs = program.parent()?;
        let packages = package_folders(programs.parent()?)
            .into_iter()
            .find(|folder| folder.join(OWN_PACKAGE).is_file())?;
        let python = ["python3", "python"].map(|name| programs.join(name));
        Some(Environment { packages, python: python.into_iter().find(|python| python.exists()) })
    }
}

/// The folders below a prefix in which Pythons look for packages. Debian's own Python calls them
/// `dist-packages`, and some systems have them in `lib64`.
fn package_folders(prefix: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for library in ["lib", "lib64"] {
        for entry in std::fs::read_dir(prefix.join(library)).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("python3") {
                folders
                    .extend(["site-packages", "dist-packages"].map(|name| entry.path().join(name)));
            }
        }
    }
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn a_program_belongs_to_the_environment_that_has_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path();
        let program = prefix.join("bin/surgcam");
        touch(&program);
        touch(&prefix.join("lib/python3.9/site-packages/other/__init__.py"));
        assert_eq!(
            Environment::of(&program),
            None,
            "a copy in a folder with Python is not a wheel"
        );

        let packages = prefix.join("lib/python3.12/site-packages");
        touch(&packages.join(OWN_PACKAGE));
        let without_python = Environment { packages: packages.clone(), python: None };
        assert_eq!(Environment::of(&program), Some(without_python));

        let python = prefix.join("bin/python3");
        touch(&python);
        let found = Environment::of(&program).unwrap();
        assert_eq!(found, Environment { packages, python: Some(python) });
    }

    #[test]
    fn packages_are_found_where_debian_and_64_bit_systems_have_them() {
        for packages in ["lib/python3.11/dist-packages", "lib64/python3.13/site-packages"] {
            let folder = tempfile::tempdir().unwrap();
            let packages = folder.path().join(packages);
            touch(&packages.join(OWN_PACKAGE));
            let found = Environment::of(&folder.path().join("bin/surgcam")).unwrap();
            assert_eq!(found.packages, packages);
        }
    }
}
