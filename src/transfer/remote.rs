//! Another place that is laid out like a store: a folder, or a bucket that speaks S3.
//!
//! Whoever can write to such a place is not trusted: what is read has a limit to its length, and
//! names become paths here only as plain parts below a folder that the reader chose. A place that
//! is pulled from is never written to.

use std::fs;
use std::path::PathBuf;

use object_store::ObjectStore;
use object_store::path::Path as RemotePath;
use url::Url;

use surgcam_engine::error::{AtPath, Error, Result};
use surgcam_engine::store::{FORMAT_FILE, LAYOUT, LONGEST_FORMAT, check_layout};

/// A place that stores are pushed to or pulled from.
pub struct Remote {
    pub(super) store: Box<dyn ObjectStore>,
    pub(super) prefix: RemotePath,
    /// Where it is on this machine, if it is a folder.
    pub(super) folder: Option<PathBuf>,
    name: String,
    pub(super) runtime: tokio::runtime::Runtime,
}

enum Address {
    Folder(PathBuf),
    Bucket(Url),
}

impl Address {
    fn parse(text: &str) -> Result<Self> {
        match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => {
                url.to_file_path().map(Address::Folder).map_err(|()| {
                    Error::usage("this address names no folder of this machine")
                        .at(text)
                        .hint("name it as in file:///folder")
                })
            }
            Ok(url) if url.has_host() => Ok(Address::Bucket(url)),
            _ => Ok(Address::Folder(PathBuf::from(text))),
        }
    }
}

impl Remote {
    /// A place to pull from: a folder, a `file://` address, or `s3://bucket/prefix` with the usual
    /// AWS_* variables. It must have a store. A store that was copied without its file FORMAT is
    /// recognised by its records.
    pub fn source(address: &str) -> Result<Self> {
        let parsed = Address::parse(address)?;
        if let Address::Folder(folder) = &parsed
            && !folder.is_dir()
        {
            return Err(no_store(address));
        }
        let remote = Self::connect(address, parsed)?;
        match remote.layout()? {
            Some(text) => check_layout(&text)
                .map_err(|error| error.at(address).hint("pull with the program that made it"))?,
            None if remote.has_any(&remote.at(&["records"]))? => {}
            None => return Err(no_store(address)),
        }
        Ok(remote)
    }

    /// A place to push to. A folder is created if it does not exist. The file FORMAT is written, so
    /// that others can pull from the place or use it as a shared store.
    pub fn target(address: &str) -> Result<Self> {
        let parsed = Address::parse(address)?;
        if let Address::Folder(folder) = &parsed {
            fs::create_dir_all(folder)
                .at_path("create the folder", folder)
                .map_err(Error::as_usage)?;
        }
        let remote = Self::connect(address, parsed)?;
        match remote.layout()? {
            Some(text) => check_layout(&text)
                .map_err(|error| error.at(address).hint("push to another place"))?,
            None => remote.put(&remote.at(&[FORMAT_FILE]), LAYOUT.into())?,
        }
        Ok(remote)
    }

    fn connect(name: &str, address: Address) -> Result<Self> {
        if matches!(address, Address::Bucket(_)) && !cfg!(feature = "s3") {
            return Err(Error::usage("this surgcam was built without S3")
                .at(name)
                .hint("build it with `cargo build -p surgcam --features s3`, or name a folder"));
        }
        let (url, folder) = match address {
            Address::Bucket(url) => (url, None),
            Address::Folder(folder) => {
                let absolute =
                    folder.canonicalize().at_path("find", &folder).map_err(Error::as_usage)?;
                let url = Url::from_directory_path(&absolute);
                (
                    url.map_err(|()| {
                        Error::usage("this folder cannot be an address").at_path(&absolute)
                    })?,
                    Some(absolute),
                )
            }
        };
        // Variables that are not valid text cannot be AWS's.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let variables = variables
            .filter(|(name, _)| name.starts_with("AWS_"))
            .map(|(name, value)| (name.to_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(&url, variables).map_err(|error| {
            Error::usage(format!("cannot use `{name}`: {error}"))
                .hint("name a folder, or s3://bucket/prefix")
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::failure(format!("cannot start the transfer: {error}")))?;
        Ok(Remote { store, prefix, folder, name: name.to_string(), runtime })
    }

    /// The text of the file FORMAT there.
    fn layout(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.read(&self.at(&[FORMAT_FILE]), LONGEST_FORMAT)?)
    }

    pub(super) fn at(&self, parts: &[&str]) -> RemotePath {
        parts.iter().fold(self.prefix.clone(), |path, part| path.join(*part))
    }

    /// The name of a file there, for messages.
    pub(super) fn place(&self, path: &RemotePath) -> String {
        format!("{} ({path})", self.name)
    }

    pub(super) fn failed(
        &self,
        action: &str,
        path: &RemotePath,
        error: &object_store::Error,
    ) -> Error {
        Error::failure(format!("cannot {action}: {error}")).at(self.place(path)).hint(
            "check the address, the AWS_* variables and the connection; what was transferred \
             stays, the same command goes on",
        )
    }
}

fn no_store(address: &str) -> Error {
    Error::usage("there is no store here")
        .at(address)
        .hint("check the address; `surgcam store push ADDRESS` makes a store there")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_place_that_is_no_store_is_not_pulled_from_and_stays_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        let problem =
            |folder: &Path| Remote::source(folder.to_str().unwrap()).err().unwrap().to_string();
        let absent = place.path().join("typo/there");
        assert!(problem(&absent).contains("there is no store here"));
        assert!(!absent.exists() && !place.path().join("typo").exists());
        fs::write(place.path().join("notes"), "").unwrap();
        assert!(problem(place.path()).contains("there is no store here"));
        fs::write(place.path().join(FORMAT_FILE), "surgcam-store 99").unwrap();
        assert!(problem(place.path()).contains("made by a newer surgcam"));
        assert!(Remote::target(place.path().to_str().unwrap()).is_err(), "nothing is pushed there");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_store_without_its_format_file_is_known_by_its_records() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("records/pack")).unwrap();
        fs::write(place.path().join("records/pack/one.json"), "{}").unwrap();
        assert!(Remote::source(place.path().to_str().unwrap()).is_ok());
        assert!(!place.path().join(FORMAT_FILE).exists());
    }
}
