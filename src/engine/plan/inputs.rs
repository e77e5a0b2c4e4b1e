//! The inputs of a kind of stage, each named once: for the planner, which says where they come
//! from, and for the worker, which reads them.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// The inputs of a stage. `S` is what is known of each input: a source while planning, a digest
/// while working.
pub trait NamedInputs<S>: Sized {
    /// The inputs by the names that are in the stage's key. An input that is not given is absent.
    fn into_named(self) -> BTreeMap<String, S>;

    /// Takes the inputs that it knows out of `named`. Fails if one that it needs is absent.
    fn take_from(named: &mut BTreeMap<String, S>) -> Result<Self>;

    /// Like [`NamedInputs::take_from`], but an unknown input is an error, too.
    fn from_named(mut named: BTreeMap<String, S>) -> Result<Self> {
        let inputs = Self::take_from(&mut named)?;
        match named.keys().next() {
            None => Ok(inputs),
            Some(unknown) => Err(Error::failure(format!(
                "the stage has an input `{unknown}` that its kind does not know"
            ))),
        }
    }
}

/// The inputs of a kind that reads nothing from other stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoInputs;

impl<S> NamedInputs<S> for NoInputs {
    fn into_named(self) -> BTreeMap<String, S> {
        BTreeMap::new()
    }

    fn take_from(_named: &mut BTreeMap<String, S>) -> Result<Self> {
        Ok(NoInputs)
    }
}

/// How often an input can be given: `S` must be given once, `Option<S>` may be absent, and `Vec<S>`
/// is any number of inputs under numbered names (`pack`, `pack-2`, `pack-3`).
pub trait InputForm<S>: Sized {
    fn put(self, name: &str, named: &mut BTreeMap<String, S>);
    fn take(name: &str, named: &mut BTreeMap<String, S>) -> Result<Self>;
}

impl<S> InputForm<S> for S {
    fn put(self, name: &str, named: &mut BTreeMap<String, S>) {
        named.insert(name.to_string(), self);
    }

    fn take(name: &str, named: &mut BTreeMap<String, S>) -> Result<Self> {
        named.remove(name).ok_or_else(|| missing(name))
    }
}

impl<S> InputForm<S> for Option<S> {
    fn put(self, name: &str, named: &mut BTreeMap<String, S>) {
        if let Some(given) = self {
            named.insert(name.to_string(), given);
        }
    }

    fn take(name: &str, named: &mut BTreeMap<String, S>) -> Result<Self> {
        Ok(named.remove(name))
    }
}

impl<S> InputForm<S> for Vec<S> {
    fn put(self, name: &str, named: &mut BTreeMap<String, S>) {
        named.extend(
            self.into_iter().enumerate().map(|(place, given)| (numbered(name, place), given)),
        );
    }

    fn take(name: &str, named: &mut BTreeMap<String, S>) -> Result<Self> {
        let mut given = Vec::new();
        while let Some(next) = named.remove(&numbered(name, given.len())) {
            given.push(next);
        }
        Ok(given)
    }
}

/// The error for an input that must be there.
pub fn missing(name: &str) -> Error {
    Error::failure(format!("the stage has no input `{name}`"))
}

fn numbered(name: &str, place: usize) -> String {
    if place == 0 { name.to_string() } else { format!("{name}-{}", place + 1) }
}

/// The name of an input from that of its field: `heat_maps` is the input `heat-maps`.
pub fn name_of_field(field: &str) -> String {
    field.replace('_', "-")
}

/// Declares the inputs of a kind: a struct that is generic over what is known of each input. A
/// field's name is the input's name, and its type says how often it can be given (see
/// [`plan::inputs::InputForm`](crate::plan::inputs::InputForm)).
///
/// ```
/// surgcam_engine::inputs! {
///     pub struct SumInputs<S> {
///         first: S,
///         more: Vec<S>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! inputs {
    (
        $(#[$about:meta])* $visibility:vis struct $inputs:ident<$held:ident> {
            $($(#[$of_field:meta])* $field:ident: $form:ty),+ $(,)?
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone)]
        $visibility struct $inputs<$held> {
            $($(#[$of_field])* pub $field: $form,)+
        }

        impl<$held> $crate::plan::inputs::NamedInputs<$held> for $inputs<$held> {
            fn into_named(self) -> ::std::collections::BTreeMap<String, $held> {
                let mut named = ::std::collections::BTreeMap::new();
                $(<$form as $crate::plan::inputs::InputForm<$held>>::put(
                    self.$field,
                    &$crate::plan::inputs::name_of_field(stringify!($field)),
                    &mut named,
                );)+
                named
            }

            fn take_from(
                named: &mut ::std::collections::BTreeMap<String, $held>,
            ) -> $crate::error::Result<Self> {
                Ok($inputs {
                    $($field: <$form as $crate::plan::inputs::InputForm<$held>>::take(
                        &$crate::plan::inputs::name_of_field(stringify!($field)),
                        named,
                    )?,)+
                })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    inputs! {
        struct Everything<S> {
            heat_maps: S,
            checkpoint: Option<S>,
            pack: Vec<S>,
        }
    }

    fn named(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| (name.to_string(), format!("of {name}"))).collect()
    }

    #[test]
    fn inputs_have_the_names_of_their_fields_and_come_back_by_them() {
        let all = named(&["heat-maps", "checkpoint", "pack", "pack-2", "pack-3"]);
        let inputs = Everything::from_named(all.clone()).unwrap();
        assert_eq!((inputs.heat_maps.as_str(), inputs.pack.len()), ("of heat-maps", 3));
        assert_eq!(inputs.pack[2], "of pack-3");
        assert_eq!(inputs.into_named(), all);
        let few = named(&["heat-maps"]);
        assert_eq!(
            Everything::from_named(few.clone()).unwrap().into_named(),
            few,
            "what is not given is absent"
        );
    }

    #[test]
    fn an_input_that_is_missing_or_not_known_is_an_error_that_names_it() {
        let error = |names: &[&str]| Everything::from_named(named(names)).unwrap_err().to_string();
        assert!(error(&["pack"]).contains("no input `heat-maps`"));
        assert!(error(&["heat-maps", "pack-3"]).contains("`pack-3`"), "numbers have no gap");
    }
}
