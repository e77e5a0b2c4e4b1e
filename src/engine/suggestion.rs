//! "Did you mean ...?": the known name that is most like an unknown one.

/// In bytes. Longer names are not compared.
const LONGEST_COMPARED: usize = 100;

/// The known name most like `unknown`, if any is similar enough.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if unknown.len() > LONGEST_COMPARED {
        return None;
    }
    known
        .into_iter()
        .filter(|name| *name != unknown && name.len() <= LONGEST_COMPARED)
        .map(|name| {
            (
                strsim::normalized_damerau_levenshtein(
                    &unknown.to_lowercase(),
                    &name.to_lowercase(),
                ),
                name,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.4)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// "; did you mean `x`?" or nothing.
pub fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(unknown, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_like_it_is_suggested() {
        let known = ["grasper", "hook", "scissors"];
        assert_eq!(did_you_mean("Graspr", known), "; did you mean `grasper`?");
        assert_eq!(did_you_mean("endoscope", ["hook"]), "");
        assert_eq!(nearest(&"h".repeat(101), known), None);
    }
}
