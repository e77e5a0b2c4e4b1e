//! The folder of a data set, and the digest of the files in it.

use std::path::{Path, PathBuf};

use super::naming::{Keys, read};
use super::planner::{Outside, Planner};
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::{Store, stat};
use surgcam_frames::dataset::source::SourceLayout;
use surgcam_recipe::library::Resolved;
use surgcam_recipe::schema::DataRecipe;

impl Planner<'_> {
    /// The folder of a data set, which must exist unless the plan is only to find mistakes.
    pub(super) fn data_root(
        &self,
        data: &Resolved<DataRecipe>,
        keys: &mut Keys,
    ) -> Result<PathBuf> {
        let recipe = &data.value;
        let root = read!(keys, recipe.root);
        if matches!(self.outside, Outside::Assumed) {
            return Ok(self.project.join(root.as_deref().unwrap_or(Path::new(""))));
        }
        self.existing_root(data)
    }

    /// The folder of a data set, which must exist.
    pub(super) fn existing_root(&self, data: &Resolved<DataRecipe>) -> Result<PathBuf> {
        let root = &data.value.root;
        let hint = format!(
            "set the folder with --set data.{}.root=..., or under [set] in surgcam.toml",
            data.name
        );
        let Some(root) = root else {
            return Err(Error::usage(format!(
                "data.{} has no root: where its pictures lie is not known",
                data.name
            ))
            .hint(hint));
        };
        let root = self.project.join(root);
        if !root.is_dir() {
            return Err(Error::usage(format!("the root of data.{} is not a folder", data.name))
                .at_path(&root)
                .hint(hint));
        }
        Ok(root)
    }

    /// The digest of the files in the folder that can matter. It is remembered between calls and
    /// between runs.
    pub(super) fn source_digest(&mut self, root: &Path, source: &SourceLayout) -> Result<Digest> {
        let memory_key = format!("{} {:?}", root.display(), source);
        if let Some(digest) = self.source_digests.get(&memory_key) {
            return Ok(*digest);
        }
        let digest = match self.outside {
            Outside::Read(store) => hash_folder(store, root, source)?,
            Outside::Assumed => Digest::of_bytes(memory_key.as_bytes()),
        };
        self.source_digests.insert(memory_key, digest);
        Ok(digest)
    }
}

fn hash_folder(store: &Store, root: &Path, source: &SourceLayout) -> Result<Digest> {
    let files = source.source_files(root)?;
    let digests = stat::digests(store, root, &files)?;
    let listing: String = files
        .iter()
        .zip(digests)
        .map(|(file, digest)| format!("{digest} {}\n", file.display()))
        .collect();
    Ok(Digest::of_bytes(listing.as_bytes()))
}
