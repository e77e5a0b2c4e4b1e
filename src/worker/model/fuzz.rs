//! Weights files that were mutated: whatever they hold, they are read or refused, within limits.

use std::io::Cursor;
use std::path::Path;

use super::checkpoint::wanted_tensors;
use super::pickle;
use super::pytorch_file::{from_legacy, from_zip};
use super::wanted::Wanted;

use surgcam_testkit::fuzzing::{files_below, in_limited_process};
use surgcam_testkit::pytorch::{Described, memo_bomb, state_dict, zip_form};

/// A zip file and a legacy one.
fn files() -> Vec<Vec<u8>> {
    files_below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/weights")))
}

/// The tensors that are asked for of [`files`] and of the files that are made here.
fn wanted() -> Wanted {
    Wanted::new(&[("layer1.0.conv1.weight", &[3, 2]), ("fc.bias", &[2])])
}

/// A state dict with what is wanted and with a tensor that claims much.
fn pickled() -> Vec<u8> {
    state_dict(&[
        Described {
            name: "layer1.0.conv1.weight",
            key: "0",
            length: 6,
            size: &[3, 2],
            stride: &[1, 3],
        },
        Described { name: "fc.bias", key: "1", length: 2, size: &[2], stride: &[1] },
        Described { name: "vast", key: "1", length: 2, size: &[1 << 40, 1 << 20], stride: &[0, 0] },
    ])
}

#[test]
fn fuzz_pickles() {
    // The legacy file begins with pickles, one after the other.
    let seeds = [files(), vec![pickled(), memo_bomb(30)]].concat();
    in_limited_process("model::fuzz::fuzz_pickles", &seeds, |input| {
        let mut stream = input;
        while let Ok(read) = pickle::read(&mut stream) {
            for (_, value) in read.entries(read.root()) {
                if let pickle::Value::Tensor(tensor) = value {
                    let _ = read.view(tensor);
                }
            }
        }
    });
}

#[test]
fn fuzz_whole_files() {
    in_limited_process("model::fuzz::fuzz_whole_files", &files(), |input| {
        let length = input.len() as u64;
        let _ = wanted_tensors(Cursor::new(input), length, &wanted());
        let _ = from_zip(Cursor::new(input), length, &wanted());
        let _ = from_legacy(Cursor::new(input), length, &wanted());
    });
}

/// The pickle is mutated and then put into a sound archive, whose checksums would refuse it
/// otherwise.
#[test]
fn fuzz_pickles_of_zip_files() {
    in_limited_process("model::fuzz::fuzz_pickles_of_zip_files", &[pickled()], |input| {
        let file = zip_form(input, &[("0", &[0; 24]), ("1", &[1; 8])]);
        let length = file.len() as u64;
        let _ = wanted_tensors(Cursor::new(file), length, &wanted());
    });
}

#[test]
fn fuzz_safetensors() {
    let header = concat!(
        r#"{"__metadata__":{"format":"pt"},"#,
        r#""fc.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
        r#""layer1.0.conv1.weight":{"dtype":"F16","shape":[3,2],"data_offsets":[8,20]}}"#
    );
    let seed = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 20]].concat();
    let length = seed.len() as u64;
    assert_eq!(wanted_tensors(Cursor::new(&seed), length, &wanted()).unwrap().len(), 2);
    in_limited_process("model::fuzz::fuzz_safetensors", &[seed], |input| {
        let length = input.len() as u64;
        let _ = wanted_tensors(Cursor::new(input), length, &wanted());
        // With a length that fits, whatever became of the header.
        let Some(header) = input.get(8..) else { return };
        let end = header.iter().rposition(|byte| *byte == b'}').map_or(0, |place| place + 1);
        let fitting = [&(end as u64).to_le_bytes()[..], header].concat();
        let length = fitting.len() as u64;
        let _ = wanted_tensors(Cursor::new(fitting), length, &wanted());
    });
}
