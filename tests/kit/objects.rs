//! Objects of a place's store, found and broken.

use std::path::{Path, PathBuf};

use super::Place;

/// The largest file of an object.
pub fn a_file_of(object: &Path) -> PathBuf {
    let files = walkdir::WalkDir::new(object)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file());
    files.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().into_path()
}

/// Changes one byte and nothing else: not the size, not the time of modification. What a disk does,
/// not a program.
pub fn flip_a_byte(path: &Path) {
    let before = std::fs::metadata(path).unwrap();
    let mut permissions = before.permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a test's own file")]
    permissions.set_readonly(false);
    std::fs::set_permissions(path, permissions).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    if bytes.is_empty() {
        bytes.push(1);
    } else {
        bytes[middle] ^= 1;
    }
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
}

/// Every output in the store, each object once: stage kind, output name, its place.
pub fn objects(place: &Place) -> Vec<(String, String, PathBuf)> {
    let mut found = Vec::new();
    for kind in place.entries("records") {
        for record in std::fs::read_dir(&kind).unwrap().flatten() {
            let record: serde_json::Value =
                serde_json::from_slice(&std::fs::read(record.path()).unwrap()).unwrap();
            for (name, output) in record["outputs"].as_object().unwrap() {
                let kind = record["parts"]["kind"].as_str().unwrap().to_string();
                found.push((
                    kind,
                    name.clone(),
                    object_path(place, &output["digest"].as_str().unwrap()["sha256:".len()..]),
                ));
            }
        }
    }
    found.sort_by(|a, b| a.2.cmp(&b.2));
    found.dedup_by(|a, b| a.2 == b.2);
    found
}

/// The digest of an output of some stage of this kind.
pub fn digest_of(place: &Place, kind: &str) -> String {
    let object = objects(place).into_iter().find(|(of, _, _)| of == kind).unwrap().2;
    object.file_name().unwrap().to_str().unwrap().to_string()
}

pub fn object_path(place: &Place, digest: &str) -> PathBuf {
    place.path("store/objects").join(&digest[..2]).join(digest)
}
