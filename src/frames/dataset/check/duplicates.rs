//! Finds pictures with the same content. Files of different sizes differ, so a file is only read if
//! another one has the same size, and never if it is too large for a picture. It is read a piece at
//! a time.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::vision::picture;
use surgcam_engine::store::digest::Digest;

/// Groups of at least two pictures with the same content, by their places in the list, in rising
/// order. Files that cannot be read are left out, because the check of single pictures reports
/// them.
pub fn same_content(root: &Path, pictures: &[PathBuf]) -> Vec<Vec<usize>> {
    let size = |place: usize| {
        let length = std::fs::metadata(root.join(&pictures[place])).ok()?.len();
        (length <= picture::FILE_BYTES).then_some(length)
    };
    let of_one_size = gathered((0..pictures.len()).map(|place| (size(place), place)).collect());
    let alike: Vec<usize> = of_one_size.into_iter().flatten().collect();
    let digests: Vec<(Option<Digest>, usize)> = alike
        .into_par_iter()
        .map(|place| (Digest::of_file(&root.join(&pictures[place])).ok(), place))
        .collect();
    gathered(digests)
}

/// The places of each key that has several.
fn gathered<K: Eq + Hash>(keyed: Vec<(Option<K>, usize)>) -> Vec<Vec<usize>> {
    let mut by_key: HashMap<K, Vec<usize>> = HashMap::new();
    for (key, place) in keyed {
        if let Some(key) = key {
            by_key.entry(key).or_default().push(place);
        }
    }
    let mut groups: Vec<Vec<usize>> =
        by_key.into_values().filter(|places| places.len() > 1).collect();
    groups.iter_mut().for_each(|places| places.sort_unstable());
    groups.sort_unstable();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_the_same_bytes_are_found() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("a", "one"), ("b", "two"), ("c", "one"), ("d", "three")] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        for name in ["huge", "as_huge"] {
            // Without content: it takes no room, but its bytes would take a minute to read.
            std::fs::File::create(folder.path().join(name)).unwrap().set_len(1 << 34).unwrap();
        }
        let pictures = ["a", "b", "c", "d", "absent", "a", "huge", "as_huge"].map(PathBuf::from);
        assert_eq!(same_content(folder.path(), &pictures), [vec![0, 2, 5]]);
    }
}
