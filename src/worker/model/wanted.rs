//! What a weights file must contain. Names and shapes are compared before a number is read or
//! memory is reserved for it.

use std::collections::{HashMap, HashSet};

use surgcam_engine::error::{Error, Result};
use surgcam_pipeline::settings::Architecture;

use super::lstm::INPUT_WEIGHT;
use super::network_shape::{LSTM, is_of_head, network_shape};

/// Tensors by torchvision's names, in the network's order, each with its shape.
pub struct Wanted(Vec<(String, Vec<i64>)>);

impl Wanted {
    /// Those of a network. `needs_head`: otherwise a head is neither needed nor kept.
    pub fn of(architecture: Architecture, needs_head: bool) -> Self {
        let tensors = network_shape(architecture).tensors().into_iter();
        Wanted(tensors.filter(|(name, _)| needs_head || !is_of_head(name)).collect())
    }

    #[cfg(test)]
    pub fn new(tensors: &[(&str, &[i64])]) -> Self {
        Wanted(tensors.iter().map(|(name, size)| (name.to_string(), size.to_vec())).collect())
    }

    /// Finds each of them among the offered tensors, whose names are those of torchvision or of the
    /// authors. A tensor that is missing or has another shape is an error. If several have the same
    /// name, the last one counts, as in Python's dicts.
    pub fn choose<'a, T>(
        &self,
        offered: impl IntoIterator<Item = (&'a str, T)>,
        shape: impl Fn(&T) -> Vec<i64>,
    ) -> Result<Vec<(String, T)>> {
        let names: HashSet<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let mut found: HashMap<String, T> = HashMap::new();
        let wants_plain_head = names.contains("fc.weight") && !names.contains(INPUT_WEIGHT);
        for (name, tensor) in offered {
            // Their linear layer can have the right shape, and nothing else would tell.
            if wants_plain_head && torchvision_name(name).is_some_and(|name| name.starts_with(LSTM))
            {
                return Err(Error::failure("the weights are of a classifier that sees clips")
                    .hint("set model.clip_length to the number of frames in its clips"));
            }
            if let Some(name) = torchvision_name(name).filter(|name| names.contains(name.as_str()))
            {
                found.insert(name, tensor);
            }
        }
        let mut chosen = Vec::new();
        for (name, wanted) in &self.0 {
            let tensor = found.remove(name).ok_or_else(|| missing(name))?;
            let size = shape(&tensor);
            if size != *wanted {
                return Err(wrong_shape(name, &size, wanted));
            }
            chosen.push((name.clone(), tensor));
        }
        Ok(chosen)
    }
}

/// The authors' names to torchvision's: `module.layer1...`, `fc.1.weight` (a dropout stands before
/// it). `None`: of no use here.
fn torchvision_name(name: &str) -> Option<String> {
    let name = name.strip_prefix("module.").unwrap_or(name);
    if name.ends_with("num_batches_tracked") {
        return None;
    }
    Some(match name.strip_prefix("fc.1.") {
        Some(part) => format!("fc.{part}"),
        None => name.to_string(),
    })
}

fn missing(name: &str) -> Error {
    let hint = if name.starts_with(LSTM) {
        "these are weights of a classifier of single frames: set model.clip_length = 1"
    } else {
        "is this the backbone that the recipe names?"
    };
    Error::failure(format!("the weights have no tensor `{name}`")).hint(hint)
}

fn wrong_shape(name: &str, found: &[i64], wanted: &[i64]) -> Error {
    if let ([found, found_rest @ ..], [wanted, wanted_rest @ ..]) = (found, wanted)
        && name.starts_with("fc.")
        && found_rest == wanted_rest
    {
        return Error::failure(format!(
            "the weights have {found} classes, the recipe's label space has {wanted}"
        ))
        .hint("choose the label space of these weights (endovis-9 or endovis-11)");
    }
    let found = if found.len() > 2 * wanted.len() {
        format!("{} dimensions", found.len())
    } else {
        format!("the shape {found:?}")
    };
    Error::failure(format!("the tensor `{name}` has {found}, the shape {wanted:?} is needed"))
        .hint("is this the backbone that the recipe names?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_names_become_torchvisions() {
        assert_eq!(torchvision_name("module.fc.1.weight").as_deref(), Some("fc.weight"));
        assert_eq!(
            torchvision_name("module.layer1.0.conv1.weight").as_deref(),
            Some("layer1.0.conv1.weight")
        );
        assert_eq!(torchvision_name("bn1.num_batches_tracked"), None);
    }

    #[test]
    fn a_missing_tensor_and_another_shape_are_told_in_the_users_words() {
        let wanted = Wanted::new(&[("conv1.weight", &[4, 3]), ("fc.bias", &[9])]);
        let problem = |offered: &[(&str, &[i64])]| {
            let offered = offered.iter().map(|(name, size)| (*name, size.to_vec()));
            wanted.choose(offered, Vec::clone).unwrap_err().to_string()
        };
        assert!(problem(&[("fc.bias", &[9])]).contains("no tensor `conv1.weight`"));
        let said = problem(&[("conv1.weight", &[1 << 32, 3]), ("fc.bias", &[9])]);
        assert!(said.contains("[4294967296, 3]") && said.contains("[4, 3] is needed"), "{said}");
        let said = problem(&[("module.conv1.weight", &[4, 3]), ("module.fc.1.bias", &[11])]);
        assert!(
            said.contains("the weights have 11 classes, the recipe's label space has 9"),
            "{said}"
        );
        let odd: [&[i64]; 3] = [&[], &[9, 1], &[1; 100]];
        for odd in odd {
            let said = problem(&[("conv1.weight", &[4, 3]), ("fc.bias", odd)]);
            assert!(said.contains("`fc.bias`") && said.len() < 200, "{said}");
        }
    }

    #[test]
    fn of_equal_names_the_last_counts_and_others_are_left() {
        let wanted = Wanted::new(&[("fc.bias", &[9])]);
        let offered = [("fc.bias", 1), ("epoch", 2), ("module.fc.bias", 3)];
        assert_eq!(wanted.choose(offered, |_| vec![9]).unwrap(), [("fc.bias".to_string(), 3)]);
    }
}
