//! Just enough of Python's pickle format to find tensors in a PyTorch file.
//!
//! Nothing is executed: a call of anything but PyTorch's own tensor builders yields
//! [`Value::Opaque`]. What a pickle holds lies in the tables of a [`Pickle`], and a [`Value`] says
//! where: a value that is used a thousand times is there once, nothing is walked or dropped from
//! within itself, and [`machine`] limits how much there can be.

mod machine;

use std::io::Read;

use tch::Kind;

type Outcome<T> = Result<T, String>;

/// Reads one pickle from the stream, up to its STOP.
pub fn read(stream: &mut impl Read) -> Outcome<Pickle> {
    machine::run(stream)
}

/// What one pickle holds.
#[derive(Debug, Default)]
pub struct Pickle {
    root: Value,
    texts: Vec<Box<str>>,
    /// Lists and tuples.
    sequences: Vec<Sequence>,
    dicts: Vec<Dict>,
    storages: Vec<Storage>,
    tensors: Vec<Tensor>,
}

/// A value, or its place in a table of the [`Pickle`] that it belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Value {
    Integer(i64),
    Global(Global),
    Text(u32),
    Tuple(u32),
    List(u32),
    Dict(u32),
    Storage(u32),
    Tensor(TensorId),
    /// Something that is of no use here.
    #[default]
    Opaque,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorId(u32);

/// A class or function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    /// FloatStorage, HalfStorage, ...
    Storage(Kind),
    /// One that is of no use here.
    Other,
}

impl Global {
    fn of(module: &str, name: &str) -> Self {
        match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            _ => storage_kind(name).map_or(Global::Other, Global::Storage),
        }
    }
}

fn storage_kind(name: &str) -> Option<Kind> {
    Some(match name {
        "FloatStorage" => Kind::Float,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "DoubleStorage" => Kind::Double,
        "LongStorage" => Kind::Int64,
        "IntStorage" => Kind::Int,
        "ShortStorage" => Kind::Int16,
        "ByteStorage" => Kind::Uint8,
        "CharStorage" => Kind::Int8,
        "BoolStorage" => Kind::Bool,
        _ => return None,
    })
}

#[derive(Debug)]
struct Sequence {
    items: Vec<Value>,
    /// How deep what it holds was nested when it was put in.
    depth: u32,
}

#[derive(Debug)]
struct Dict {
    entries: Vec<(Value, Value)>,
    depth: u32,
}

#[derive(Debug)]
struct Storage {
    key: u32,
    kind: Option<Kind>,
    length: i64,
}

#[derive(Debug)]
struct Tensor {
    storage: u32,
    offset: i64,
    size: u32,
    stride: u32,
}

/// Raw numbers of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StorageView<'a> {
    /// Names them in the file.
    pub key: &'a str,
    /// `None`: a kind that no weights have.
    pub kind: Option<Kind>,
    /// How many numbers there should be, at least.
    pub length: i64,
}

/// Which of a storage's numbers a tensor has. All of this is what the file claims.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorView<'a> {
    pub storage: StorageView<'a>,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

impl Pickle {
    /// The value that was pickled.
    pub fn root(&self) -> Value {
        self.root
    }

    pub fn text(&self, value: Value) -> Option<&str> {
        if let Value::Text(place) = value { Some(&self.texts[place as usize]) } else { None }
    }

    pub fn list(&self, value: Value) -> Option<&[Value]> {
        if let Value::List(place) = value {
            Some(&self.sequences[place as usize].items)
        } else {
            None
        }
    }

    /// The entries of a dict whose keys are text; of anything else none.
    pub fn entries(&self, value: Value) -> impl Iterator<Item = (&str, Value)> {
        let entries = if let Value::Dict(place) = value {
            self.dicts[place as usize].entries.as_slice()
        } else {
            &[]
        };
        entries.iter().filter_map(|&(key, value)| Some((self.text(key)?, value)))
    }

    pub fn view(&self, tensor: TensorId) -> TensorView<'_> {
        let tensor = &self.tensors[tensor.0 as usize];
        TensorView {
            storage: self.storage_view(&self.storages[tensor.storage as usize]),
            offset: tensor.offset,
            size: self.integers(tensor.size),
            stride: self.integers(tensor.stride),
        }
    }

    /// Every storage that is mentioned.
    pub fn storages(&self) -> impl Iterator<Item = StorageView<'_>> {
        self.storages.iter().map(|storage| self.storage_view(storage))
    }

    fn storage_view(&self, storage: &Storage) -> StorageView<'_> {
        StorageView {
            key: &self.texts[storage.key as usize],
            kind: storage.kind,
            length: storage.length,
        }
    }

    /// The integers of a tuple; any other value becomes -1.
    fn integers(&self, tuple: u32) -> Vec<i64> {
        let integer = |value: &Value| if let Value::Integer(number) = value { *number } else { -1 };
        self.sequences[tuple as usize].items.iter().map(integer).collect()
    }

    /// How deep a value is nested: 0 for what holds no others.
    fn depth(&self, value: Value) -> u32 {
        match value {
            Value::Tuple(place) | Value::List(place) => self.sequences[place as usize].depth,
            Value::Dict(place) => self.dicts[place as usize].depth,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use proptest::prelude::*;

    fn problem(bytes: &[u8]) -> String {
        read(&mut &bytes[..]).unwrap_err()
    }

    #[test]
    fn a_call_of_anything_else_is_not_made() {
        // cos\nsystem\n(S'...'  as protocol 2: GLOBAL, text, TUPLE1, REDUCE, STOP
        let evil = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
        assert_eq!(read(&mut &evil[..]).unwrap().root(), Value::Opaque);
    }

    #[test]
    fn numbers_and_dicts_are_read() {
        // {"a": 1, "b": -2}
        let bytes = b"\x80\x02}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bJ\xfe\xff\xff\xffu.";
        let pickle = read(&mut &bytes[..]).unwrap();
        let entries: Vec<(&str, Value)> = pickle.entries(pickle.root()).collect();
        assert_eq!(entries, [("a", Value::Integer(1)), ("b", Value::Integer(-2))]);
    }

    #[test]
    fn what_is_put_into_a_remembered_list_later_is_in_it() {
        // EMPTY_LIST, BINPUT 0, BININT1, APPEND, POP, and once more through BINGET 0.
        let pickle = read(&mut &b"]q\x00K\x01a0h\x00K\x02a."[..]).unwrap();
        assert_eq!(pickle.list(pickle.root()).unwrap(), [Value::Integer(1), Value::Integer(2)]);
    }

    /// Each list has the one before ten times: 10^60 values, if they were copied.
    #[test]
    fn shared_values_are_not_copied() {
        let bomb = surgcam_testkit::pytorch::memo_bomb(60);
        let begun = Instant::now();
        let pickle = read(&mut bomb.as_slice()).unwrap();
        assert_eq!(pickle.list(pickle.root()).unwrap().len(), 10);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn values_nested_in_a_million_tuples_are_refused() {
        let deep = [b"N".to_vec(), b"\x85".repeat(1_000_000), b".".to_vec()].concat();
        assert!(problem(&deep).contains("nested deeper than"), "{}", problem(&deep));
        // Lists that hold each other on the stack are as deep, and are dropped without recursion.
        let lists = [b"]".repeat(1_000_000), b"a".repeat(999_999), b".".to_vec()].concat();
        assert!(problem(&lists).contains("nested deeper than"), "{}", problem(&lists));
        let marks = [b"(".repeat(500_000), b"t".repeat(500_000), b".".to_vec()].concat();
        assert!(problem(&marks).contains("nested deeper than"), "{}", problem(&marks));
    }

    #[test]
    fn more_values_or_text_than_a_checkpoint_has_are_refused() {
        for code in [b'N', b']', b'('] {
            assert!(problem(&[code].repeat(5_000_000)).contains("more values than"), "{code}");
        }
        let remembered = [b"N".to_vec(), b"\x94".repeat(5_000_000)].concat();
        assert!(problem(&remembered).contains("more values than"));
        let text = [b"X\x00\x10\x00\x00".to_vec(), vec![b'x'; 4096]].concat();
        assert!(problem(&text.repeat(20_000)).contains("more text than"));
    }

    #[test]
    fn a_text_longer_than_any_name_is_passed_over() {
        let long =
            [b"X\x40\x42\x0f\x00".to_vec(), vec![b'x'; 1_000_000], b"K\x07\x86.".to_vec()].concat();
        let pickle = read(&mut long.as_slice()).unwrap();
        let Value::Tuple(place) = pickle.root() else { panic!("a tuple") };
        assert_eq!(pickle.sequences[place as usize].items, [Value::Opaque, Value::Integer(7)]);
        // One that claims 4 GB and has nothing.
        assert!(problem(b"X\xff\xff\xff\xff").contains("cut short"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut bytes.as_slice());
        }
    }
}
