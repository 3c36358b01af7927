//! Ids of rows in running text and in names of functions.

/// The ids in `text`, in their order. `V-7.9-01 to V-7.9-03` names three rows.
///
/// # Errors
/// Something looks like an id and is none; or the ends of a range don't fit.
pub(crate) fn ids_in(text: &str) -> Result<Vec<String>, String> {
    let mut ids: Vec<String> = Vec::new();
    let mut rest = text;
    let mut range = false;
    while let Some(start) = rest.find("V-") {
        let (before, found) = rest.split_at(start);
        let glued = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
        let length = found.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'));
        let (word, after) = found.split_at(length.unwrap_or(found.len()));
        let word = word.trim_end_matches(['.', '-']);
        rest = after;
        if glued || !numbered(word) {
            range = false;
            continue;
        }
        let (section, number) = split(word).ok_or_else(|| format!("{word} is no id of a row"))?;
        if range && joined(before) {
            let last = ids.last().and_then(|id| split(id));
            let (_, from) = last
                .filter(|(other, from)| *other == section && *from < number)
                .ok_or_else(|| format!("the range that ends with {word} does not fit"))?;
            ids.extend((from + 1..=number).map(|number| id(section, number)));
            range = false;
        } else {
            ids.push(id(section, number));
            range = true;
        }
    }
    Ok(ids)
}

/// The id that a test's name begins with: `v_7_3_10_…` shows V-7.3-10.
pub(crate) fn id_of_name(name: &str) -> Option<String> {
    let parts = name.strip_prefix("v_")?.split('_');
    let numeric: Vec<&str> = parts.take_while(|part| part.parse::<u32>().is_ok()).collect();
    let (number, section) = numeric.split_last()?;
    Some(format!("V-{}-{number}", section.join(".")))
}

/// The section and the number of an id: `V-7.3-10` is 7.3 and 10.
pub(crate) fn split(id: &str) -> Option<(&str, u32)> {
    let (section, number) = id.strip_prefix("V-")?.rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let fits = section.split('.').all(digits) && digits(number) && number.len() == 2;
    fits.then_some((section, number.parse().ok()?))
}

fn id(section: &str, number: u32) -> String {
    format!("V-{section}-{number:02}")
}

/// Whether a word that begins with `V-` goes on like an id: a digit, and a second hyphen.
fn numbered(word: &str) -> bool {
    let body = word.strip_prefix("V-").unwrap_or_default();
    body.starts_with(|c: char| c.is_ascii_digit()) && body.contains('-')
}

/// Whether what stands between two ids joins them to a range.
fn joined(between: &str) -> bool {
    matches!(between.trim(), "to" | "–")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        let ids = |text: &str| ids_in(text).unwrap().join(" ");
        assert_eq!(ids("V-7.3-03 and V-7.3-04: what"), "V-7.3-03 V-7.3-04");
        assert_eq!(
            ids("V-12.4.3.1-09, V-7.1-01 to V-7.1-03,\nV-8.0-01."),
            "V-12.4.3.1-09 V-7.1-01 V-7.1-02 V-7.1-03 V-8.0-01"
        );
        assert_eq!(ids("(V-2) TRUST-ME V-x X_V-1.0-01 V-12.2-05 to hold"), "V-12.2-05");
    }

    #[test]
    fn what_is_almost_an_id_is_wrong() {
        for text in ["V-7.3-4", "V-7.3-004", "V-7..3-04", "V-7.3-0x", "V-7.3-03-04"] {
            assert!(ids_in(text).is_err(), "{text}");
        }
        for text in ["V-7.3-04 to V-7.3-03", "V-7.3-04 to V-7.4-05"] {
            assert!(ids_in(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_tests() {
        let id = |name: &str| id_of_name(name).unwrap_or_default();
        assert_eq!(id("v_7_3_10_leaf_source"), "V-7.3-10");
        assert_eq!(id("v_12_4_3_1_13"), "V-12.4.3.1-13");
        assert_eq!(id("very_7_3_10"), "");
    }
}
