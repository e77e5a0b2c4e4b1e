//! `surgcam init`: a new project with the recipes and experiments of this program, and perhaps a
//! recipe for a folder of one's own.

mod own_data;
pub mod shipped;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::report::printer;
use own_data::OwnData;
use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::store::file::{sync_folder, write_atomically};
use surgcam_recipe::settings;

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to make; if it exists, it must be empty
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A folder of pictures and labels: the project gets a data recipe for it, as `surgcam data
    /// check` proposes it, and a first experiment on it
    #[arg(long, value_name = "ROOT")]
    from: Option<PathBuf>,
}

/// Every setting, as a comment.
const SETTINGS: &str = include_str!("surgcam.toml");
const IGNORED: &str = include_str!("gitignore");
/// The files of a new project beside its recipes and experiments.
const OTHER_FILES: [(&str, &str); 2] = [(settings::FILE_NAME, SETTINGS), (".gitignore", IGNORED)];

pub fn execute(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.folder;
    check_is_free(folder)?;
    let own = arguments.from.as_deref().map(OwnData::found_in).transpose()?;
    let own_files = own.as_ref().map(|own| own.files.as_slice()).unwrap_or_default();
    write_project(folder, own_files)?;
    printer::message(&format!(
        "a new project is in {}: recipes, experiments, {} and .gitignore",
        folder.display(),
        settings::FILE_NAME
    ));
    printer::message("its settings are comments in surgcam.toml; now run its first experiment:");
    let go_there = format!("  cd {}", for_a_shell(&folder.to_string_lossy()));
    match own {
        None => printer::message(&format!("{go_there} && surgcam run quickstart")),
        Some(OwnData { name, notes, .. }) => {
            printer::message(&format!("{go_there} && surgcam data check {name}"));
            printer::message(&format!("  surgcam run {name}"));
            notes.iter().for_each(|note| printer::message(&format!("note: {note}")));
        }
    }
    Ok(())
}

/// Refuses a folder with something in it, because nothing is written over, and the working folder,
/// because a shell would stay in the empty folder that the project replaces.
fn check_is_free(folder: &Path) -> Result<()> {
    let refused = |what: &str| {
        Err(Error::usage(what)
            .at_path(folder)
            .hint("name a folder that does not exist yet, as in `surgcam init my-project`"))
    };
    match folder.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at_path("look at", folder).map_err(Error::as_usage),
        Ok(metadata) if !metadata.is_dir() => {
            return refused("a file of this name exists, and nothing is written over it");
        }
        Ok(_) => {}
    }
    if folder.read_dir().at_path("list", folder).map_err(Error::as_usage)?.next().is_some() {
        return refused("the folder is not empty, and nothing in it is written over");
    }
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    if here.is_ok_and(|here| folder.canonicalize().is_ok_and(|folder| folder == here)) {
        return refused("a new project cannot take the place of the working folder");
    }
    Ok(())
}

/// Writes the project beside its place and renames it, so that it is complete or absent. `own` has
/// more files, each with its path below the folder.
fn write_project(folder: &Path, own: &[(String, String)]) -> Result<()> {
    let folder = std::path::absolute(folder).at_path("find", folder)?;
    let parent = folder.parent().unwrap_or(&folder);
    fs::create_dir_all(parent).at_path("create the folder", parent)?;
    let aside = tempfile::Builder::new()
        .prefix(".surgcam-init-")
        .tempdir_in(parent)
        .at_path("write into", parent)?;
    for (path, text) in shipped::FILES.iter().chain(&OTHER_FILES) {
        write_atomically(&aside.path().join(path), text.as_bytes())?;
    }
    for (path, text) in own {
        write_atomically(&aside.path().join(path), text.as_bytes())?;
    }
    // This replaces an empty folder, and fails if somebody has put something there meanwhile.
    fs::rename(aside.path(), &folder).at_path("make the project", &folder)?;
    // Nothing is left to be removed under the temporary name.
    let _ = aside.keep();
    sync_folder(parent)
}

/// A path as one word of a shell's command line.
fn for_a_shell(path: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+=:@%,".contains(letter);
    if path.chars().all(is_plain) {
        path.to_string()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use surgcam_recipe::settings::Settings;

    use super::*;

    /// The written settings with all of them in force.
    fn all_in_force() -> toml::Table {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        };
        SETTINGS.lines().map(line).collect::<String>().parse().unwrap()
    }

    #[test]
    fn every_setting_is_written_and_has_its_default() {
        let mut written = all_in_force();
        assert!(written.remove("set").is_some());
        let known = serde_json::to_value(Settings::default()).unwrap();
        let known: BTreeSet<&String> = known.as_object().unwrap().keys().collect();
        assert_eq!(written.keys().collect::<BTreeSet<_>>(), known);
        let read: Settings = written.try_into().unwrap();
        let Settings { device, silence_seconds, machine_wait_seconds, .. } = Settings::default();
        assert_eq!(
            (read.device, read.silence_seconds, read.machine_wait_seconds),
            (device, silence_seconds, machine_wait_seconds)
        );
        assert!(
            SETTINGS.parse::<toml::Table>().unwrap().is_empty(),
            "a new project changes nothing"
        );
    }

    #[test]
    fn a_path_is_one_word_of_a_command_line() {
        assert_eq!(for_a_shell("/home/me/new-project"), "/home/me/new-project");
        assert_eq!(for_a_shell("it's new"), r"'it'\''s new'");
    }

    #[test]
    fn a_project_takes_the_place_of_an_empty_folder_only() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/project");
        fs::create_dir_all(&folder).unwrap();
        check_is_free(&folder).unwrap();
        write_project(&folder, &[]).unwrap();
        assert!(
            folder.join("experiments/quickstart.toml").is_file()
                && folder.join(".gitignore").is_file()
        );
        assert_eq!(
            fs::read_dir(place.path().join("deep")).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        let error = check_is_free(&folder).unwrap_err().to_string();
        assert!(error.contains("not empty") && error.contains("hint: "), "{error}");
        fs::remove_file(folder.join(".gitignore")).unwrap();
        write_project(&folder, &[]).unwrap_err();
        assert!(!folder.join(".gitignore").exists(), "nothing was written");
        assert_eq!(
            fs::read_dir(place.path().join("deep")).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        check_is_free(&folder.join("recipes/data/sample.toml")).unwrap_err();
    }
}
