//! Safetensors files: a header with names, shapes and places, and the numbers behind it.

use std::fmt::Display;
use std::io::{Read, Seek, SeekFrom};

use safetensors::tensor::{Dtype, Metadata};
use surgcam_engine::error::{Error, Result};
use tch::{Kind, Tensor};

use super::wanted::Wanted;

/// A header of a ResNet has some ten thousand bytes.
const LARGEST_HEADER: u64 = 8 << 20;

/// A file whose header is read and agrees with the file's length.
pub struct SafetensorsFile<R> {
    source: R,
    header: Metadata,
    /// Where the numbers begin.
    start: u64,
}

impl<R: Read + Seek> SafetensorsFile<R> {
    /// `source`: at its start, with `length` bytes.
    pub fn open(mut source: R, length: u64) -> Result<Self> {
        let mut header_length = [0; 8];
        source.read_exact(&mut header_length).map_err(unreadable)?;
        let header_length = u64::from_le_bytes(header_length);
        if header_length > LARGEST_HEADER {
            return Err(unreadable(format!(
                "its header claims {header_length} bytes, at most {LARGEST_HEADER} are read"
            )));
        }
        let start = 8 + header_length;
        if start > length {
            return Err(unreadable(format!(
                "its header claims {header_length} bytes, the file has {length}: it is cut short"
            )));
        }
        let mut header = vec![0; header_length as usize];
        source.read_exact(&mut header).map_err(unreadable)?;
        // Places without gap or overlap, each as large as its shape: the metadata's own check.
        let header: Metadata = serde_json::from_slice(&header).map_err(unreadable)?;
        let (claimed, there) = (header.data_len() as u64, length - start);
        if claimed != there {
            return Err(unreadable(format!(
                "its header claims {claimed} bytes of numbers, the file has {there}"
            )));
        }
        Ok(SafetensorsFile { source, header, start })
    }

    /// Every tensor.
    pub fn all(mut self) -> Result<Vec<(String, Tensor)>> {
        let names = self.header.offset_keys();
        names.into_iter().map(|name| Ok((name.clone(), self.tensor(&name)?))).collect()
    }

    /// Those that are wanted; no others are read.
    pub fn wanted(mut self, wanted: &Wanted) -> Result<Vec<(String, Tensor)>> {
        let names = self.header.offset_keys();
        let chosen = wanted
            .choose(names.iter().map(|name| (name.as_str(), name)), |name| self.shape(name))?;
        chosen.into_iter().map(|(name, own_name)| Ok((name, self.tensor(own_name)?))).collect()
    }

    fn shape(&self, name: &str) -> Vec<i64> {
        let shape = self.header.info(name).map_or(&[][..], |info| info.shape.as_slice());
        // No tensor that can be read has so large a side that it is cut off here.
        shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX)).collect()
    }

    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let shape = self.shape(name);
        let info = self
            .header
            .info(name)
            .ok_or_else(|| unreadable(format!("it has no tensor `{name}`")))?;
        let kind = kind_of(info.dtype).ok_or_else(|| {
            unreadable(format!("the tensor `{name}` has numbers of the kind {}", info.dtype))
        })?;
        let (begin, end) = info.data_offsets;
        self.source.seek(SeekFrom::Start(self.start + begin as u64)).map_err(unreadable)?;
        let mut numbers = vec![0; end - begin];
        self.source.read_exact(&mut numbers).map_err(unreadable)?;
        Tensor::f_from_data_size(&numbers, &shape, kind).map_err(unreadable)
    }
}

fn unreadable(problem: impl Display) -> Error {
    Error::failure(format!("cannot read it as a safetensors file: {problem}"))
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(header: &str, numbers: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), numbers].concat()
    }

    fn open(bytes: Vec<u8>) -> Result<SafetensorsFile<Cursor<Vec<u8>>>> {
        let length = bytes.len() as u64;
        SafetensorsFile::open(Cursor::new(bytes), length)
    }

    const TWO: &str = concat!(
        r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
        r#""a":{"dtype":"U8","shape":[1,3],"data_offsets":[8,11]}}"#
    );

    #[test]
    fn all_tensors_are_read_or_those_that_are_wanted() {
        let numbers = [&1.5f32.to_le_bytes()[..], &2f32.to_le_bytes(), &[7, 8, 9]].concat();
        let all = open(file(TWO, &numbers)).unwrap().all().unwrap();
        assert_eq!(all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(Vec::<f32>::try_from(&all[0].1).unwrap(), [1.5, 2.0]);
        assert_eq!(Vec::<Vec<u8>>::try_from(&all[1].1).unwrap(), [[7, 8, 9]]);
        let wanted =
            open(file(TWO, &numbers)).unwrap().wanted(&Wanted::new(&[("a", &[1, 3])])).unwrap();
        assert_eq!((wanted.len(), wanted[0].0.as_str()), (1, "a"));
    }

    #[test]
    fn a_header_that_claims_more_than_the_file_has_is_refused() {
        let problem = |bytes: Vec<u8>| open(bytes).err().unwrap().to_string();
        assert!(
            problem(file(TWO, &[0; 10])).contains("claims 11 bytes of numbers, the file has 10")
        );
        assert!(
            problem([u64::MAX.to_le_bytes().to_vec(), vec![b'{']].concat()).contains("at most")
        );
        assert!(
            problem([1000u64.to_le_bytes().to_vec(), vec![b'{']].concat()).contains("cut short")
        );
        let vast =
            r#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#;
        assert!(problem(file(vast, &[0; 4])).contains("claims 4398046511104 bytes"));
        let overlapping = TWO.replace("[8,11]", "[0,3]");
        problem(file(&overlapping, &[0; 8]));
        let unlike = TWO.replace("[1,3]", "[1,4]");
        problem(file(&unlike, &[0; 11]));
    }
}
