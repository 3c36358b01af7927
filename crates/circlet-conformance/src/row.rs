//! `rows.txt`: what the RFC demands, one row per demand.

use std::collections::BTreeMap;

use crate::id::split;
use crate::problem::Problem;

/// All rows, by section.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) sections: Vec<Section>,
}

/// A section of the RFC.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

/// One demand.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// M (must), S (should) or I (implied).
    pub(crate) level: char,
    pub(crate) demand: String,
    pub(crate) note: Option<Note>,
}

/// Why no rule that could be switched off stands for a row, and what does; or what of a row that is
/// shown is not as one might think.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// It can't be tested, or not here: the reason.
    Untested(String),
    /// A computation: the vectors that compare its result.
    Value(String),
    /// The type that makes the violation impossible.
    Type(String),
    /// The row misreads the RFC: the RFC's words.
    Wrong(String),
    /// The row is enforced and shown, with this exception.
    But(String),
}

impl Note {
    fn parse(line: &str) -> Option<Self> {
        let (kind, text) = line.split_once(": ")?;
        let kind = match kind {
            "untested" => Self::Untested,
            "value" => Self::Value,
            "type" => Self::Type,
            "wrong" => Self::Wrong,
            "but" => Self::But,
            _ => return None,
        };
        Some(kind(text.trim().to_owned()))
    }
}

impl Rows {
    /// # Errors
    /// Whatever is not well-formed: all of it.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let mut rows = Self { sections: Vec::new() };
        let mut wrong = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if let Err(what) = rows.line(line) {
                wrong.push(format!("rows.txt:{}: {what}", index + 1));
            }
        }
        if wrong.is_empty() { Ok(rows) } else { Err(Problem::Wrong(wrong)) }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    /// The place of each id in the order of the table.
    pub(crate) fn order(&self) -> BTreeMap<&str, usize> {
        self.all().enumerate().map(|(place, row)| (row.id.as_str(), place)).collect()
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(heading) = line.strip_prefix("## ") {
            let (number, title) = heading.split_once(' ').ok_or("a section without a title")?;
            let (number, title) = (number.to_owned(), title.to_owned());
            self.sections.push(Section { number, title, rows: Vec::new() });
            return Ok(());
        }
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let section = self.sections.last_mut().ok_or("a row before the first section")?;
        if let Some(note) = line.strip_prefix("    ") {
            let note =
                Note::parse(note).ok_or("a note is untested, value, type, wrong or but: TEXT")?;
            let row = section.rows.last_mut().ok_or("a note before the first row")?;
            return match row.note.replace(note) {
                None => Ok(()),
                Some(_) => Err(format!("{} has two notes", row.id)),
            };
        }
        let row = Row::parse(line)?;
        let (of, number) = split(&row.id).ok_or_else(|| format!("{} is no id", row.id))?;
        let next = section.rows.len() + 1;
        if of != section.number || usize::try_from(number) != Ok(next) {
            return Err(format!("{} is not row {next} of section {}", row.id, section.number));
        }
        section.rows.push(row);
        Ok(())
    }
}

impl Row {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.splitn(3, ' ');
        let (id, level, demand) = (words.next(), words.next(), words.next());
        let level = level
            .and_then(|level| ['M', 'S', 'I'].into_iter().find(|known| level.chars().eq([*known])));
        match (id, level, demand.map(str::trim)) {
            (Some(id), Some(level), Some(demand)) if !demand.is_empty() => {
                Ok(Self { id: id.to_owned(), level, demand: demand.to_owned(), note: None })
            }
            _ => Err("a row is an id, M, S or I, and what it demands".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sources;

    #[test]
    fn every_row_of_the_checklist_is_there_once() {
        let rows = sources::rows(&sources::root().unwrap()).unwrap();
        let ids: BTreeSet<&str> = rows.all().map(|row| row.id.as_str()).collect();
        assert_eq!(ids.len(), 384);
        assert_eq!(rows.all().count(), 384);
        let level = |wanted| rows.all().filter(|row| row.level == wanted).count();
        assert_eq!((level('M'), level('S'), level('I')), (239, 27, 118));
        assert_eq!(rows.sections.len(), 65);
    }

    #[test]
    fn rows_and_notes() {
        let text = "# c\n\n## 7.3 Leaves\nV-7.3-01 M One.\n    value: a.json\nV-7.3-02 S Two.\n";
        let rows = Rows::parse(text).unwrap();
        let [section] = &rows.sections[..] else { panic!("one section") };
        assert_eq!((section.number.as_str(), section.title.as_str()), ("7.3", "Leaves"));
        assert_eq!(section.rows[0].note, Some(Note::Value("a.json".into())));
        assert_eq!((section.rows[1].level, section.rows[1].demand.as_str()), ('S', "Two."));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [
            ("V-7.3-01 M One.", 1),
            ("## 7.3 Leaves\nV-7.3-02 M Two.", 2),
            ("## 7.3 Leaves\nV-7.4-01 M Two.", 2),
            ("## 7.3 Leaves\nV-7.3-01 X One.", 2),
            ("## 7.3 Leaves\nV-7.3-01 M", 2),
            ("## 7.3 Leaves\nV-7.3-01 M One.\nV-7.3-01 M One.", 3),
            ("## 7.3 Leaves\nV-7.3-01 M One.\n    because: no", 3),
            ("## 7.3 Leaves\nV-7.3-01 M One.\n    type: a\n    type: b", 4),
        ] {
            let Err(Problem::Wrong(wrong)) = Rows::parse(text) else { panic!("{text}") };
            assert!(wrong[0].starts_with(&format!("rows.txt:{line}: ")), "{wrong:?}");
        }
    }
}
