//! Where records and objects lie in another place, and which records are there.

use std::path::Path;

use object_store::path::Path as RemotePath;

use super::remote::Remote;
use surgcam_engine::error::{Error, Result};
use surgcam_engine::store::digest::Digest;
use surgcam_engine::store::key::StageKey;
use surgcam_engine::store::name::PlainName;

impl Remote {
    pub(super) fn record_path(&self, kind: &PlainName, key: &StageKey) -> RemotePath {
        self.at(&["records", kind.as_str(), &format!("{}.json", key.hex())])
    }

    /// The place of an object, or of a file within an object that is a folder.
    pub(super) fn object_parts(&self, digest: &Digest, within: Option<&Path>) -> RemotePath {
        let hex = digest.hex();
        let inner: Vec<String> = within
            .into_iter()
            .flat_map(Path::components)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let mut parts = vec!["objects", &hex[..2], &hex];
        parts.extend(inner.iter().map(String::as_str));
        self.at(&parts)
    }

    /// Kind and key of every record there, by the names of their files. A file whose name is not
    /// that of a record gives an error, and so does anything that is not a regular file.
    pub fn records(&self) -> Result<Vec<Result<(PlainName, StageKey)>>> {
        let folder = self.at(&["records"]);
        let files = self.list(&folder)?.into_iter().map(|(location, _)| location);
        let named = files.filter(|file| file.extension() == Some("json"));
        let named = named
            .map(|file| kind_and_key(&folder, &file).map_err(|error| error.at(self.place(&file))));
        Ok(named.chain(self.not_files(&folder).into_iter().map(Err)).collect())
    }
}

fn kind_and_key(folder: &RemotePath, file: &RemotePath) -> Result<(PlainName, StageKey)> {
    let parts: Vec<String> = file
        .prefix_match(folder)
        .into_iter()
        .flatten()
        .map(|part| part.as_ref().to_string())
        .collect();
    let [kind, name] = parts.as_slice() else {
        return Err(Error::failure("a record lies in the folder of its kind, not here"));
    };
    let key = format!("sha256:{}", name.strip_suffix(".json").unwrap_or(name)).parse()?;
    Ok((PlainName::try_from(kind.clone())?, StageKey(key)))
}
