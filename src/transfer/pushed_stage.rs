//! A stage that tests push and pull.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use surgcam_engine::store::Store;
use surgcam_engine::store::key::KeyParts;
use surgcam_engine::store::name::PlainName;
use surgcam_engine::store::record::{Environment, PeakMemory, RECORD_FORMAT, Record};

use super::remote::Remote;

pub fn pack() -> PlainName {
    PlainName::literal("pack")
}

/// The record of a stage that wrote a file and a folder. Its objects are stored, the record is not.
pub fn record_of(store: &Store, content: &str) -> Record {
    let parts = KeyParts {
        kind: pack(),
        version: 1,
        parameters: serde_json::json!({"content": content}),
        inputs: BTreeMap::new(),
    };
    let key = parts.key();
    let workspace = store.workspace(&key).unwrap();
    fs::write(workspace.path().join("frames"), content).unwrap();
    fs::create_dir(workspace.path().join("folder")).unwrap();
    fs::write(workspace.path().join("folder/one"), "1").unwrap();
    let outputs = store.store_outputs(workspace.path()).unwrap();
    let (started, machine) = (String::new(), Environment::default());
    Record {
        format: RECORD_FORMAT,
        key,
        name: "pack sample".into(),
        parts,
        outputs,
        started,
        seconds: 0.0,
        machine,
        peak_memory: PeakMemory::default(),
    }
}

/// A place with one stage pushed to it, and the record's file there.
pub fn pushed(folder: &Path) -> (Remote, Record, PathBuf) {
    let store = Store::open(&folder.join("store"), None).unwrap();
    let remote = Remote::target(folder.join("there").to_str().unwrap()).unwrap();
    let record = record_of(&store, "abc");
    remote.push(&store, &record, false).unwrap();
    let path = folder.join(format!("there/records/pack/{}.json", record.key.hex()));
    (remote, record, path)
}
