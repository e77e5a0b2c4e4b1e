//! Label spaces: which classes a model tells apart, and in which order (METHOD 1). Recipes declare
//! them and map the names of each data set to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use surgcam_engine::error::{Error, Result};
use surgcam_engine::suggestion::nearest;

/// The RGB colours of boxes, by class index (METHOD 1).
pub const CLASS_COLOURS: [[u8; 3]; 11] = [
    [255, 0, 0],
    [0, 0, 255],
    [0, 255, 0],
    [255, 255, 255],
    [255, 255, 0],
    [255, 0, 255],
    [0, 255, 255],
    [69, 139, 116],
    [156, 102, 31],
    [255, 20, 147],
    [255, 97, 3],
];

/// With more names than this, an unknown one is not compared with them, and the message does not
/// list them all: each of a million frames may have another unknown name.
const MOST_COMPARED: usize = 100;

/// The classes of a model in the order of its logits. The tissue is always the last one and always
/// present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSpace {
    pub classes: Vec<String>,
}

impl LabelSpace {
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// The index of the tissue: the last one.
    pub fn tissue(&self) -> usize {
        self.classes.len() - 1
    }

    pub fn index_of(&self, class: &str) -> Option<usize> {
        self.classes.iter().position(|name| name == class)
    }
}

/// Translates the names that a data set uses to class indices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassMap {
    pub space: LabelSpace,
    /// The name of a class by the data set's name for it. When a recipe is read, it is checked that
    /// each class is in some label space.
    pub names: BTreeMap<String, String>,
}

impl ClassMap {
    /// The index of the class that the data set calls `name`. `Ok(None)`: this label space does not
    /// have the class. `Err`: the recipe does not map the name.
    pub fn class(&self, name: &str) -> Result<Option<usize>> {
        let class = self.names.get(&normalized(name)).ok_or_else(|| {
            let known: Vec<&str> =
                self.names.keys().map(String::as_str).take(MOST_COMPARED).collect();
            let more = match self.names.len() - known.len() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let near = if more.is_empty() {
                nearest(&normalized(name), known.iter().copied())
            } else {
                None
            };
            let hint = match near {
                Some(near) => format!(
                    "did you mean `{near}`? Otherwise add it to the `classes` table of the data \
                     recipe"
                ),
                None => "add it to the `classes` table of the data recipe".to_string(),
            };
            Error::failure(format!(
                "`{name}` is not a class that the recipe maps (it maps {}{more})",
                known.join(", ")
            ))
            .hint(hint)
        })?;
        Ok(self.space.index_of(class))
    }
}

/// The form in which names are compared: lower case with underscores. Data sets write
/// `bipolar_forceps` as well as `Bipolar Forceps`.
pub fn normalized(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_of_another_label_space_is_dropped_and_an_unknown_name_is_an_error() {
        let map = ClassMap {
            space: LabelSpace { classes: vec!["suction".into(), "tissue".into()] },
            names: BTreeMap::from([
                ("irrigator".into(), "suction".into()),
                ("hook".into(), "hook".into()),
            ]),
        };
        assert_eq!(map.class("Irrigator").unwrap(), Some(0));
        assert_eq!(map.class("hook").unwrap(), None);
        assert!(map.class("laser").unwrap_err().to_string().contains("`laser` is not a class"));
        assert!(
            map.class("Irigator").unwrap_err().to_string().contains("did you mean `irrigator`?")
        );
        let many = (0..130).map(|number| (format!("c{number:03}"), "hook".to_string())).collect();
        let error = ClassMap { names: many, ..map }.class("laser").unwrap_err().to_string();
        assert!(error.contains("c098, c099, and 30 more)"), "{error}");
    }
}
