//! Just enough of Python's pickle format to find tensors in a PyTorch file.
//!
//! Nothing is executed: a call of anything but PyTorch's own tensor builders yields [`Value::Opaque`].

use std::collections::HashMap;
use std::io::Read;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Integer(i64),
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// `module name` of a class or function.
    Global(String),
    Storage(Storage),
    Tensor(TensorView),
    /// Something that is of no use here.
    Opaque,
}

/// Raw numbers of a file, by their key in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    pub key: String,
    /// PyTorch's name: FloatStorage, HalfStorage, ...
    pub kind: String,
    pub length: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TensorView {
    pub storage: Storage,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

type Outcome<T> = Result<T, String>;

/// Deeper nesting than any checkpoint has is an attack or an accident.
const MOST_ITEMS: usize = 4_000_000;

/// Reads one pickle from the stream, up to its STOP.
pub fn read(stream: &mut impl Read) -> Outcome<Value> {
    Machine { stream, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }.run()
}

struct Machine<'a, R> {
    stream: &'a mut R,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
}

impl<R: Read> Machine<'_, R> {
    fn run(mut self) -> Outcome<Value> {
        loop {
            if self.stack.len() > MOST_ITEMS {
                return Err("the pickle holds more items than a checkpoint".into());
            }
            let [code] = self.bytes()?;
            match code {
                b'.' => return self.pop(),
                0x80 => drop(self.bytes::<1>()?),
                0x95 => drop(self.bytes::<8>()?),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'J' => self.integer::<4>()?,
                b'K' => self.integer::<1>()?,
                b'M' => self.integer::<2>()?,
                0x8a => self.long()?,
                b'G' => {
                    self.bytes::<8>()?;
                    self.stack.push(Value::Opaque);
                }
                b'X' | b'T' | b'B' => self.text(4)?,
                0x8c | b'U' | b'C' => self.text(1)?,
                b'c' => {
                    let name = format!("{} {}", self.line()?, self.line()?);
                    self.stack.push(Value::Global(name));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else { return Err("a global without a name".into()) };
                    self.stack.push(Value::Global(format!("{module} {name}")));
                }
                b'}' => self.stack.push(Value::Dict(Vec::new())),
                b']' | 0x8f => self.stack.push(Value::List(Vec::new())),
                b')' => self.stack.push(Value::Tuple(Vec::new())),
                b't' => {
                    let items = self.since_mark()?;
                    self.stack.push(Value::Tuple(items));
                }
                0x85..=0x87 => {
                    let start = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or("a tuple of nothing")?;
                    let items = self.stack.split_off(start);
                    self.stack.push(Value::Tuple(items));
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(vec![key, value]);
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(items);
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item]);
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.append(items);
                }
                b'q' => {
                    let [index] = self.bytes()?;
                    self.remember(u32::from(index))?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.bytes()?);
                    self.remember(index)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let [index] = self.bytes()?;
                    self.recall(u32::from(index))?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.bytes()?);
                    self.recall(index)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.stack.push(persistent(id));
                }
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    self.stack.push(call(&function, arguments));
                }
                // State of an object: of no use here.
                b'b' => drop(self.pop()?),
                other => return Err(format!("the pickle has an operation 0x{other:02x} that no checkpoint needs")),
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map_err(|_| "the pickle is cut short")?;
        Ok(bytes)
    }

    fn integer<const N: usize>(&mut self) -> Outcome<()> {
        let bytes: [u8; N] = self.bytes()?;
        let mut wide = [0; 4];
        wide[..N].copy_from_slice(&bytes);
        // Only the four-byte form is signed.
        self.stack.push(Value::Integer(i64::from(i32::from_le_bytes(wide))));
        Ok(())
    }

    fn long(&mut self) -> Outcome<()> {
        let [length] = self.bytes()?;
        let mut bytes = Vec::new();
        for _ in 0..length {
            let [byte] = self.bytes()?;
            bytes.push(byte);
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        let value = if bytes.len() <= 8 {
            wide[..bytes.len()].copy_from_slice(&bytes);
            Value::Integer(i64::from_le_bytes(wide))
        } else {
            // PyTorch's magic number is one of ten bytes.
            Value::Opaque
        };
        self.stack.push(value);
        Ok(())
    }

    fn text(&mut self, length_bytes: usize) -> Outcome<()> {
        let length = if length_bytes == 1 {
            let [length] = self.bytes()?;
            u64::from(length)
        } else {
            u64::from(u32::from_le_bytes(self.bytes()?))
        };
        let mut bytes = Vec::new();
        (&mut *self.stream).take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 != length {
            return Err("the pickle is cut short".into());
        }
        self.stack.push(Value::Text(String::from_utf8_lossy(&bytes).into_owned()));
        Ok(())
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = Vec::new();
        loop {
            match self.bytes()? {
                [b'\n'] => return Ok(String::from_utf8_lossy(&line).into_owned()),
                [byte] if line.len() < 1000 => line.push(byte),
                _ => return Err("a name longer than any".into()),
            }
        }
    }

    fn pop(&mut self) -> Outcome<Value> {
        self.stack.pop().ok_or_else(|| "the pickle takes from an empty stack".into())
    }

    fn since_mark(&mut self) -> Outcome<Vec<Value>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or("the pickle has no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn set_items(&mut self, items: Vec<Value>) {
        if let Some(Value::Dict(dict)) = self.stack.last_mut() {
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                dict.push((key, value));
            }
        }
    }

    fn append(&mut self, items: Vec<Value>) {
        if let Some(Value::List(list)) = self.stack.last_mut() {
            list.extend(items);
        }
    }

    fn remember(&mut self, index: u32) -> Outcome<()> {
        let value = self.stack.last().cloned().ok_or("the pickle remembers nothing")?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Outcome<()> {
        let value = self.memo.get(&index).cloned().ok_or("the pickle recalls what it never remembered")?;
        self.stack.push(value);
        Ok(())
    }
}

/// `("storage", type, key, location, length, ...)`.
fn persistent(id: Value) -> Value {
    let Value::Tuple(parts) = id else { return Value::Opaque };
    match parts.as_slice() {
        [Value::Text(tag), Value::Global(kind), Value::Text(key), _, Value::Integer(length), ..] if tag == "storage" => {
            let kind = kind.split(' ').next_back().unwrap_or_default().to_string();
            Value::Storage(Storage { key: key.clone(), kind, length: *length })
        }
        _ => Value::Opaque,
    }
}

fn call(function: &Value, arguments: Value) -> Value {
    let (Value::Global(name), Value::Tuple(arguments)) = (function, arguments) else { return Value::Opaque };
    match name.as_str() {
        "collections OrderedDict" => Value::Dict(Vec::new()),
        "torch._utils _rebuild_tensor_v2" => match arguments.as_slice() {
            [Value::Storage(storage), Value::Integer(offset), Value::Tuple(size), Value::Tuple(stride), ..] => {
                Value::Tensor(TensorView { storage: storage.clone(), offset: *offset, size: integers(size), stride: integers(stride) })
            }
            _ => Value::Opaque,
        },
        "torch._utils _rebuild_parameter" => arguments.into_iter().next().unwrap_or(Value::Opaque),
        _ => Value::Opaque,
    }
}

fn integers(values: &[Value]) -> Vec<i64> {
    values.iter().map(|value| if let Value::Integer(number) = value { *number } else { -1 }).collect()
}

impl Value {
    /// The entries of a dict whose keys are text.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        let entries = if let Value::Dict(entries) = self { entries.as_slice() } else { &[] };
        entries.iter().filter_map(|(key, value)| if let Value::Text(key) = key { Some((key.as_str(), value)) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_call_of_anything_else_is_not_made() {
        // cos\nsystem\n(S'...'  as protocol 2: GLOBAL, text, TUPLE1, REDUCE, STOP
        let evil = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
        assert_eq!(read(&mut &evil[..]).unwrap(), Value::Opaque);
    }

    #[test]
    fn numbers_and_dicts_are_read() {
        // {"a": 1, "b": -2}
        let bytes = b"\x80\x02}(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bJ\xfe\xff\xff\xffu.";
        let value = read(&mut &bytes[..]).unwrap();
        let entries: Vec<(&str, &Value)> = value.entries().collect();
        assert_eq!(entries, [("a", &Value::Integer(1)), ("b", &Value::Integer(-2))]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut bytes.as_slice());
        }
    }
}
