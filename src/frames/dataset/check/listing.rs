//! The files of a folder that no recipe describes yet.
//!
//! The walk is bounded in depth and in the number of entries, and no link leads it out of the
//! folder.

use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use surgcam_engine::error::{AtPath, Error, Result};

/// More entries than this are not listed. All of Cholec80 at 1 fps has 184,000 pictures.
const MOST_ENTRIES: usize = 1_000_000;
/// The layouts that are known have files at most four folders deep.
const DEEPEST: usize = 8;

#[derive(Debug, Default)]
pub struct Listing {
    /// Paths below the root, folder by folder, sorted.
    pub files: Vec<String>,
    /// What was not looked at, in words.
    pub notes: Vec<String>,
}

impl Listing {
    pub fn of(root: &Path) -> Result<Self> {
        Listing::limited(root, MOST_ENTRIES)
    }

    fn limited(root: &Path, most: usize) -> Result<Self> {
        let real_root = root.canonicalize().at_path("find the folder", root)?;
        if !real_root.is_dir() {
            return Err(Error::failure("is not a folder").at_path(root));
        }
        let mut listing = Listing::default();
        let (mut unreadable, mut links, mut odd_names) = (0, 0, 0);
        let walk = WalkDir::new(root).min_depth(1).max_depth(DEEPEST).sort_by_file_name();
        for (count, entry) in walk.into_iter().filter_entry(|entry| !is_hidden(entry)).enumerate() {
            if count == most {
                listing
                    .notes
                    .push(format!("only the first {most} files and folders were looked at"));
                break;
            }
            let Ok(entry) = entry else {
                unreadable += 1;
                continue;
            };
            if entry.path_is_symlink() {
                if !leads_to_a_file_in(entry.path(), &real_root) {
                    links += 1;
                    continue;
                }
            } else if !entry.file_type().is_file() {
                continue;
            }
            match entry.path().strip_prefix(root).ok().and_then(Path::to_str) {
                Some(relative) => listing.files.push(relative.to_string()),
                None => odd_names += 1,
            }
        }
        for (count, what) in [
            (unreadable, "files or folders cannot be read"),
            (links, "links were not followed, because they lead to a folder or out of this one"),
            (odd_names, "files have names that are not valid UTF-8"),
        ] {
            if count > 0 {
                listing.notes.push(format!("{count} {what}"));
            }
        }
        Ok(listing)
    }

    /// The files with one of these endings, which are given in small letters.
    pub fn with_ending<'a>(&'a self, endings: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
        self.files.iter().map(String::as_str).filter(move |file| has_ending(file, endings))
    }
}

pub fn has_ending(file: &str, endings: &[&str]) -> bool {
    let ending = Path::new(file).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// Files of version control and thumbnails do not belong to the data.
fn is_hidden(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
}

fn leads_to_a_file_in(link: &Path, real_root: &Path) -> bool {
    link.canonicalize().is_ok_and(|target| target.starts_with(real_root) && target.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_files_of_the_folder_alone() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::fs::create_dir_all(root.join(".git")).unwrap();
        for file in ["root/a/1.png", "root/.git/2.png", "outside.png"] {
            std::fs::write(place.path().join(file), "x").unwrap();
        }
        symlink(root.join("a/1.png"), root.join("inside.png")).unwrap();
        symlink(place.path().join("outside.png"), root.join("out.png")).unwrap();
        symlink(place.path(), root.join("up")).unwrap();
        let listing = Listing::of(&root).unwrap();
        assert_eq!(listing.files, ["a/1.png", "inside.png"]);
        assert!(listing.notes[0].starts_with("2 links were not followed"), "{:?}", listing.notes);
        let short = Listing::limited(&root, 1).unwrap();
        assert!(short.notes[0].contains("only the first 1 files"), "{:?}", short.notes);
        assert!(Listing::of(&root.join("a/1.png")).is_err());
    }
}
