//! PyTorch files made by hand, which claim what no PyTorch would write.

use std::io::Write;

/// A tensor of a state dict as a file describes it. Its numbers are floats.
#[derive(Clone)]
pub struct Described<'a> {
    pub name: &'a str,
    /// The storage's key.
    pub key: &'a str,
    /// How many numbers the storage has.
    pub length: i64,
    pub size: &'a [i64],
    pub stride: &'a [i64],
}

/// A pickle of lists that hold the one before ten times: 10^levels values in some bytes, if they
/// were copied.
pub fn memo_bomb(levels: u8) -> Vec<u8> {
    let mut bomb = b"\x80\x02]q\x00".to_vec();
    for level in 0..levels {
        bomb.extend_from_slice(b"](");
        bomb.extend_from_slice(&[b'h', level].repeat(10));
        bomb.extend_from_slice(&[b'e', b'q', level + 1]);
    }
    bomb.push(b'.');
    bomb
}

/// A pickle of a state dict: `OrderedDict` of `_rebuild_tensor_v2` of storages.
pub fn state_dict(tensors: &[Described]) -> Vec<u8> {
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for tensor in tensors {
        text(&mut pickle, tensor.name);
        pickle.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend_from_slice(b"ctorch\nFloatStorage\n");
        text(&mut pickle, tensor.key);
        text(&mut pickle, "cpu");
        integer(&mut pickle, tensor.length);
        // TUPLE and BINPERSID end the storage; the offset is 0.
        pickle.extend_from_slice(b"tQK\x00");
        for sides in [tensor.size, tensor.stride] {
            pickle.push(b'(');
            sides.iter().for_each(|&side| integer(&mut pickle, side));
            pickle.push(b't');
        }
        pickle.extend_from_slice(b"\x89NtR");
    }
    pickle.extend_from_slice(b"u.");
    pickle
}

/// LONG1 of eight bytes.
fn integer(pickle: &mut Vec<u8>, number: i64) {
    pickle.extend_from_slice(&[0x8a, 8]);
    pickle.extend_from_slice(&number.to_le_bytes());
}

/// BINUNICODE.
fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend_from_slice(&(text.len() as u32).to_le_bytes());
    pickle.extend_from_slice(text.as_bytes());
}

/// The zip form: a pickle, and storages by their keys.
pub fn zip_form(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut add = |name: &str, content: &[u8]| {
        archive.start_file(name, options).unwrap();
        archive.write_all(content).unwrap();
    };
    add("archive/data.pkl", pickle);
    storages.iter().for_each(|(key, numbers)| add(&format!("archive/data/{key}"), numbers));
    archive.finish().unwrap().into_inner()
}
