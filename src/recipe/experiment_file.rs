//! Which file is meant by the name of an experiment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_engine::suggestion::did_you_mean;

/// Finds the file of an experiment. `name` is its path or the name of one in `experiments/`.
pub fn find(project: &Path, name: &str) -> Result<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.is_file() {
        return Ok(direct);
    }
    let folder = project.join("experiments");
    let shipped = folder.join(format!("{name}.toml"));
    if shipped.is_file() {
        return Ok(shipped);
    }
    if direct.is_dir() {
        return Err(Error::usage(format!(
            "`{}` is a folder, an experiment is a TOML file",
            shortened(name)
        ))
        .hint(match names_in(&direct).first() {
            Some(first) => format!(
                "name one of the files in it, as in {}",
                direct.join(format!("{first}.toml")).display()
            ),
            None => format!("the experiments there are: {}", names_in(&folder).join(", ")),
        }));
    }
    let known = names_in(&folder);
    let suggestion = did_you_mean(name, known.iter().map(String::as_str));
    let what = format!(
        "there is no file `{}` and no experiment of that name in {}{suggestion}",
        shortened(name),
        folder.display()
    );
    Err(Error::usage(what).hint(match known.as_slice() {
        [] => "give the path of a TOML file with [experiment] and [matrix] (docs/recipes.md), or \
            make a project with experiments: `surgcam init DIR`"
            .into(),
        several => format!("the experiments there are: {}", several.join(", ")),
    }))
}

/// The names of the TOML files in a folder, without `.toml`.
fn names_in(folder: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let names: BTreeSet<String> =
        files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.into_iter().collect()
}
