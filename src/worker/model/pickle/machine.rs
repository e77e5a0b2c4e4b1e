//! The machine that a pickle is a program for: a stack, marks in it, and a memo of values to use
//! again.

use std::collections::HashMap;
use std::io::{self, Read};

use super::{Dict, Global, Outcome, Pickle, Sequence, Storage, Tensor, TensorId, Value};

/// Values, marks and remembered values together. A large checkpoint with its optimizer has some
/// hundred thousand.
const MOST_VALUES: usize = 2_000_000;
/// Tuples, lists and dicts in each other. A checkpoint with its optimizer has less than ten.
const DEEPEST: u32 = 1000;
/// Bytes of one text. A longer one cannot be the name of a tensor; it may be an array that somebody
/// saved beside the weights.
const LONGEST_TEXT: u64 = 4096;
/// Bytes of all texts that are kept.
const MOST_TEXT: usize = 64 << 20;
/// Bytes of the name of a class or a module.
const LONGEST_LINE: usize = 1000;
/// How many dimensions a tensor may have.
const MOST_DIMENSIONS: usize = 16;

const CUT_SHORT: &str = "the pickle is cut short";

/// Reads up to the pickle's STOP.
pub fn run(stream: &mut impl Read) -> Outcome<Pickle> {
    let pickle = Pickle::default();
    Machine {
        stream,
        pickle,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        counted: 0,
        text_bytes: 0,
    }
    .run()
}

struct Machine<'a, R> {
    stream: &'a mut R,
    pickle: Pickle,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    /// Towards [`MOST_VALUES`].
    counted: usize,
    /// Towards [`MOST_TEXT`].
    text_bytes: usize,
}

impl<R: Read> Machine<'_, R> {
    fn run(mut self) -> Outcome<Pickle> {
        loop {
            let [code] = self.bytes()?;
            match code {
                b'.' => {
                    self.pickle.root = self.pop()?;
                    return Ok(self.pickle);
                }
                0x80 => drop(self.bytes::<1>()?),
                0x95 => drop(self.bytes::<8>()?),
                b'(' => {
                    self.count()?;
                    self.marks.push(self.stack.len());
                }
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                // None, true, false.
                b'N' | 0x88 | 0x89 => self.push(Value::Opaque)?,
                b'J' => self.integer::<4>()?,
                b'K' => self.integer::<1>()?,
                b'M' => self.integer::<2>()?,
                0x8a => self.long()?,
                b'G' => {
                    self.bytes::<8>()?;
                    self.push(Value::Opaque)?;
                }
                b'X' | b'T' | b'B' => {
                    let length = u32::from_le_bytes(self.bytes()?);
                    self.text(length.into())?;
                }
                0x8c | b'U' | b'C' => {
                    let [length] = self.bytes()?;
                    self.text(length.into())?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(Global::of(&module, &name)))?;
                }
                0x93 => self.global_of_texts()?,
                b'}' => self.new_dict()?,
                b']' | 0x8f => self.new_sequence(Vec::new(), Value::List)?,
                b')' => self.new_sequence(Vec::new(), Value::Tuple)?,
                b't' => {
                    let items = self.since_mark()?;
                    self.new_sequence(items, Value::Tuple)?;
                }
                0x85..=0x87 => {
                    let start = self
                        .stack
                        .len()
                        .checked_sub(usize::from(code - 0x84))
                        .ok_or("a tuple of nothing")?;
                    let items = self.stack.drain(start..).collect();
                    self.new_sequence(items, Value::Tuple)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(&items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
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
                    let storage = self.storage(id);
                    self.push(storage)?;
                }
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    self.call(function, arguments)?;
                }
                // State of an object: of no use here.
                b'b' => drop(self.pop()?),
                other => {
                    return Err(format!(
                        "the pickle has an operation 0x{other:02x} that no checkpoint needs"
                    ));
                }
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map_err(|_| CUT_SHORT)?;
        Ok(bytes)
    }

    /// Before anything is kept, so that memory is limited whatever the pickle says.
    fn count(&mut self) -> Outcome<()> {
        self.counted += 1;
        if self.counted > MOST_VALUES {
            return Err(format!("the pickle has more values than any checkpoint ({MOST_VALUES})"));
        }
        Ok(())
    }

    fn push(&mut self, value: Value) -> Outcome<()> {
        self.count()?;
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Outcome<Value> {
        self.stack.pop().ok_or_else(|| "the pickle takes from an empty stack".into())
    }

    fn since_mark(&mut self) -> Outcome<Vec<Value>> {
        let mark = self
            .marks
            .pop()
            .filter(|&mark| mark <= self.stack.len())
            .ok_or("the pickle has no mark")?;
        Ok(self.stack.drain(mark..).collect())
    }

    fn integer<const N: usize>(&mut self) -> Outcome<()> {
        let bytes: [u8; N] = self.bytes()?;
        let mut wide = [0; 4];
        wide[..N].copy_from_slice(&bytes);
        // Only the four-byte form is signed.
        self.push(Value::Integer(i64::from(i32::from_le_bytes(wide))))
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
        self.push(value)
    }

    fn text(&mut self, length: u64) -> Outcome<()> {
        if length > LONGEST_TEXT {
            let passed = io::copy(&mut (&mut *self.stream).take(length), &mut io::sink())
                .map_err(|error| error.to_string())?;
            return if passed == length { self.push(Value::Opaque) } else { Err(CUT_SHORT.into()) };
        }
        let mut bytes = vec![0; length as usize];
        self.stream.read_exact(&mut bytes).map_err(|_| CUT_SHORT)?;
        let text: Box<str> = String::from_utf8_lossy(&bytes).into();
        self.text_bytes += text.len();
        if self.text_bytes > MOST_TEXT {
            return Err(format!(
                "the pickle has more text than any checkpoint ({MOST_TEXT} bytes)"
            ));
        }
        let place = self.pickle.texts.len() as u32;
        self.push(Value::Text(place))?;
        self.pickle.texts.push(text);
        Ok(())
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = Vec::new();
        loop {
            match self.bytes()? {
                [b'\n'] => return Ok(String::from_utf8_lossy(&line).into_owned()),
                [byte] if line.len() < LONGEST_LINE => line.push(byte),
                _ => return Err("the pickle has a name longer than any".into()),
            }
        }
    }

    fn global_of_texts(&mut self) -> Outcome<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let (Some(module), Some(name)) = (self.pickle.text(module), self.pickle.text(name)) else {
            return Err("the pickle has a global without a name".into());
        };
        let global = Global::of(module, name);
        self.push(Value::Global(global))
    }

    fn new_dict(&mut self) -> Outcome<()> {
        let place = self.pickle.dicts.len() as u32;
        self.push(Value::Dict(place))?;
        self.pickle.dicts.push(Dict { entries: Vec::new(), depth: 1 });
        Ok(())
    }

    fn new_sequence(&mut self, items: Vec<Value>, value: fn(u32) -> Value) -> Outcome<()> {
        let depth = self.depth_around(&items)?;
        let place = self.pickle.sequences.len() as u32;
        self.push(value(place))?;
        self.pickle.sequences.push(Sequence { items, depth });
        Ok(())
    }

    /// How deep something is nested that holds these.
    fn depth_around(&self, items: &[Value]) -> Outcome<u32> {
        let depth = 1 + items.iter().map(|&item| self.pickle.depth(item)).max().unwrap_or(0);
        if depth > DEEPEST {
            Err(format!("the pickle's values are nested deeper than {DEEPEST} times"))
        } else {
            Ok(depth)
        }
    }

    /// `items`: keys and values in turns, for the dict on the stack. Anything else there takes
    /// none.
    fn set_items(&mut self, items: &[Value]) -> Outcome<()> {
        let depth = self.depth_around(items)?;
        if let Some(&Value::Dict(place)) = self.stack.last() {
            let dict = &mut self.pickle.dicts[place as usize];
            dict.depth = dict.depth.max(depth);
            dict.entries.extend(items.as_chunks::<2>().0.iter().map(|&[key, value]| (key, value)));
        }
        Ok(())
    }

    /// To the list on the stack. Anything else there takes none.
    fn append(&mut self, items: &[Value]) -> Outcome<()> {
        let depth = self.depth_around(items)?;
        if let Some(&Value::List(place)) = self.stack.last() {
            let list = &mut self.pickle.sequences[place as usize];
            list.depth = list.depth.max(depth);
            list.items.extend_from_slice(items);
        }
        Ok(())
    }

    fn remember(&mut self, index: u32) -> Outcome<()> {
        self.count()?;
        let value = *self.stack.last().ok_or("the pickle remembers nothing")?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Outcome<()> {
        let value = *self.memo.get(&index).ok_or("the pickle recalls what it never remembered")?;
        self.push(value)
    }

    /// `("storage", type, key, location, length, ...)`.
    fn storage(&mut self, id: Value) -> Value {
        let Value::Tuple(place) = id else { return Value::Opaque };
        let &[tag, Value::Global(class), Value::Text(key), _, Value::Integer(length), ..] =
            self.pickle.sequences[place as usize].items.as_slice()
        else {
            return Value::Opaque;
        };
        if self.pickle.text(tag) != Some("storage") {
            return Value::Opaque;
        }
        let kind = if let Global::Storage(kind) = class { Some(kind) } else { None };
        self.pickle.storages.push(Storage { key, kind, length });
        Value::Storage(self.pickle.storages.len() as u32 - 1)
    }

    fn call(&mut self, function: Value, arguments: Value) -> Outcome<()> {
        let (Value::Global(function), Value::Tuple(arguments)) = (function, arguments) else {
            return self.push(Value::Opaque);
        };
        match function {
            Global::OrderedDict => self.new_dict(),
            Global::RebuildTensor => {
                let tensor = self.tensor(arguments)?;
                self.push(tensor)
            }
            Global::RebuildParameter => {
                let tensor = self.pickle.sequences[arguments as usize]
                    .items
                    .first()
                    .copied()
                    .unwrap_or_default();
                self.push(tensor)
            }
            Global::Storage(_) | Global::Other => self.push(Value::Opaque),
        }
    }

    /// `(storage, offset, size, stride, ...)`.
    fn tensor(&mut self, arguments: u32) -> Outcome<Value> {
        let &[
            Value::Storage(storage),
            Value::Integer(offset),
            Value::Tuple(size),
            Value::Tuple(stride),
            ..,
        ] = self.pickle.sequences[arguments as usize].items.as_slice()
        else {
            return Ok(Value::Opaque);
        };
        if [size, stride]
            .iter()
            .any(|&tuple| self.pickle.sequences[tuple as usize].items.len() > MOST_DIMENSIONS)
        {
            return Err(format!("a tensor has more than {MOST_DIMENSIONS} dimensions"));
        }
        self.pickle.tensors.push(Tensor { storage, offset, size, stride });
        Ok(Value::Tensor(TensorId(self.pickle.tensors.len() as u32 - 1)))
    }
}
