//! The recipes and experiments that this program was built with.

/// The path of each file below the project's folder, and its text.
macro_rules! with_texts {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../", $path)))),*]
    };
}

pub const FILES: &[(&str, &str)] = with_texts![
    "recipes/data/cholec80-first-40.toml",
    "recipes/data/cholec80.toml",
    "recipes/data/cholect50.toml",
    "recipes/data/coco.toml",
    "recipes/data/endovis18.toml",
    "recipes/data/label-spaces.toml",
    "recipes/data/m2cai16.toml",
    "recipes/data/mixes.toml",
    "recipes/data/sample.toml",
    "recipes/data/table.toml",
    "recipes/data/voc.toml",
    "recipes/data/yolo.toml",
    "recipes/extraction/detector.toml",
    "recipes/extraction/l-fe.toml",
    "recipes/extraction/ln-fe.toml",
    "recipes/extraction/sl-fe.toml",
    "recipes/extraction/yardsticks.toml",
    "recipes/heads/caption.toml",
    "recipes/heads/interaction.toml",
    "recipes/heads/probe.toml",
    "recipes/models/cholec80-first-40.toml",
    "recipes/models/cholec80-pretraining.toml",
    "recipes/models/gc-a-temporal.toml",
    "recipes/models/gc-a.toml",
    "recipes/models/gc-b.toml",
    "recipes/models/gc-c.toml",
    "recipes/models/gc-d-lr-1e-3.toml",
    "recipes/models/gc-d.toml",
    "recipes/models/gc.toml",
    "recipes/models/m2cai16-resnet18.toml",
    "experiments/class-count-sweep.toml",
    "experiments/m2cai16-choice.toml",
    "experiments/m2cai16.toml",
    "experiments/paper.toml",
    "experiments/quickstart.toml",
    "experiments/temporal.toml",
    "experiments/threshold-sweep.toml",
];

/// A shipped file as TOML; empty if there is none at this path.
pub fn table(path: &str) -> toml::Table {
    let found = FILES.iter().find(|(known, _)| *known == path);
    found.and_then(|(_, text)| text.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use walkdir::WalkDir;

    use super::*;

    #[test]
    fn every_recipe_and_experiment_is_in_the_program() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = [
            WalkDir::new(project.join("recipes")),
            WalkDir::new(project.join("experiments")).max_depth(1),
        ];
        let paths = folders.into_iter().flatten().map(|entry| entry.unwrap().into_path());
        let there: BTreeSet<String> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .map(|path| path.strip_prefix(project).unwrap().display().to_string())
            .collect();
        let listed: BTreeSet<String> = FILES.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(listed, there, "src/cli/init/shipped.rs lists them");
    }
}
