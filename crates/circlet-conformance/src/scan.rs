//! What a source file says of rows: where they are enforced, and which tests show them.

use crate::id::{id_of_name, ids_in};
use crate::lexer::{Comment, Token, tokens};

/// What was found, over files.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) places: Vec<Place>,
    pub(crate) tests: Vec<Test>,
    /// Every id that occurs, and where.
    pub(crate) named: Vec<(String, String)>,
    /// Ids that are malformed, with their place.
    pub(crate) wrong: Vec<String>,
}

/// Where a row is enforced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) id: String,
    pub(crate) file: String,
    /// The function, or the type that a comment is about.
    pub(crate) item: String,
}

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) file: String,
    /// The modules within the file, and the name.
    pub(crate) path: String,
    /// The rows that it shows.
    pub(crate) ids: Vec<String>,
}

impl Test {
    /// What the table and the results call it.
    pub(crate) fn name(&self) -> String {
        format!("{}::{}", self.file, self.path)
    }
}

impl Scan {
    pub(crate) fn merge(&mut self, other: Self) {
        self.places.extend(other.places);
        self.tests.extend(other.tests);
        self.named.extend(other.named);
        self.wrong.extend(other.wrong);
    }
}

/// Looks through one file, named as seen from the root of the repository.
pub(crate) fn scan(file: &str, source: &str) -> Scan {
    let mut scanner = Scanner {
        file,
        enforces: enforces(file),
        tokens: tokens(source),
        next: 0,
        scopes: Vec::new(),
        pending: None,
        nesting: 0,
        held: Vec::new(),
        is_test: false,
        found: Scan::default(),
    };
    scanner.run();
    scanner.found.places.sort();
    scanner.found.places.dedup();
    scanner.found
}

/// Whether code in the file can enforce a rule: the library without its tests, its kit for tests,
/// and the list of violations.
fn enforces(file: &str) -> bool {
    let Some(path) = file.strip_prefix("crates/circlet/src/") else { return false };
    let test = path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testing"));
    !test && !matches!(path, "violation.rs" | "mutation.rs" | "testing.rs" | "lib.rs")
}

struct Scanner<'a> {
    file: &'a str,
    enforces: bool,
    tokens: Vec<(usize, Token)>,
    next: usize,
    /// What each open brace belongs to.
    scopes: Vec<Scope>,
    /// The item whose brace has not been seen yet.
    pending: Option<Scope>,
    /// Open parentheses and brackets.
    nesting: usize,
    /// Ids in the comments above the next item.
    held: Vec<String>,
    /// Whether `#[test]` stands above the next item.
    is_test: bool,
    found: Scan,
}

#[derive(Clone, Debug)]
enum Scope {
    Function(String),
    Module(String),
    Item(String),
    Block,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some((line, token)) = self.tokens.get(self.next).cloned() {
            self.next += 1;
            match token {
                Token::Comment { kind, text } => self.comment(line, kind, &text),
                Token::Text(text) => self.text(line, &text),
                Token::Mark('#') => self.attribute(),
                Token::Mark('{') => {
                    let scope = self.pending.take().unwrap_or(Scope::Block);
                    self.scopes.push(scope);
                }
                Token::Mark('}') => {
                    self.drop_held();
                    self.scopes.pop();
                }
                Token::Mark('(' | '[') => self.nesting += 1,
                Token::Mark(')' | ']') => self.nesting = self.nesting.saturating_sub(1),
                // Not that of `[u8; 32]`.
                Token::Mark(';') if self.nesting == 0 || self.pending.is_none() => {
                    self.pending = None;
                    self.drop_held();
                }
                Token::Mark(',') if self.pending.is_none() => self.drop_held(),
                Token::Mark(_) => {}
                Token::Word(word) => self.word(&word),
            }
        }
        self.drop_held();
    }

    fn ids(&mut self, line: usize, text: &str) -> Vec<String> {
        let place = format!("{}:{line}", self.file);
        match ids_in(text) {
            Ok(ids) => {
                self.found.named.extend(ids.iter().map(|id| (id.clone(), place.clone())));
                ids
            }
            Err(what) => {
                self.found.wrong.push(format!("{place}: {what}"));
                Vec::new()
            }
        }
    }

    fn comment(&mut self, line: usize, kind: Comment, text: &str) {
        let ids = self.ids(line, text);
        match (kind, self.function()) {
            (Comment::Inner, _) => {}
            (Comment::Plain, Some(function)) => self.enforced(ids, &function),
            _ => self.held.extend(ids),
        }
    }

    /// A string: `off("V-…")` and the like.
    fn text(&mut self, line: usize, text: &str) {
        if text.starts_with("V-") {
            let ids = self.ids(line, text);
            if let Some(function) = self.function() {
                self.enforced(ids, &function);
            }
        }
    }

    /// Passes over `#[…]`, which may be `#[test]`.
    fn attribute(&mut self) {
        let mut depth = 0;
        let mut words = Vec::new();
        while let Some((_, token)) = self.tokens.get(self.next) {
            match token {
                Token::Mark('[') => depth += 1,
                Token::Mark(']') => depth -= 1,
                Token::Mark('!') if depth == 0 => {}
                Token::Word(word) => words.push(word.clone()),
                _ if depth == 0 => return,
                _ => {}
            }
            self.next += 1;
            if depth == 0 && !words.is_empty() {
                break;
            }
        }
        self.is_test |= words == ["test"];
    }

    fn word(&mut self, word: &str) {
        let Some((_, Token::Word(name))) = self.tokens.get(self.next) else { return };
        let name = name.clone();
        match word {
            "fn" => {
                self.next += 1;
                self.begin_function(&name);
            }
            "mod" => self.pending = Some(Scope::Module(name)),
            "struct" | "enum" | "trait" | "union" | "type" => self.begin_item(&name),
            // Not a function's, and no parameter of one.
            "const" | "static" if name != "fn" && self.pending.is_none() => self.begin_item(&name),
            _ => {}
        }
    }

    fn begin_item(&mut self, name: &str) {
        let ids = std::mem::take(&mut self.held);
        self.enforced(ids, name);
        self.is_test = false;
        if self.function().is_none() {
            self.pending = Some(Scope::Item(name.to_owned()));
        }
    }

    fn begin_function(&mut self, name: &str) {
        let mut ids = std::mem::take(&mut self.held);
        if std::mem::take(&mut self.is_test) {
            ids.extend(id_of_name(name));
            ids.sort();
            ids.dedup();
            let place = format!("{}, {name}", self.file);
            self.found.named.extend(ids.iter().map(|id| (id.clone(), place.clone())));
            let path = self.modules().chain([name]).collect::<Vec<_>>().join("::");
            self.found.tests.push(Test { file: self.file.to_owned(), path, ids });
        } else {
            self.enforced(ids, name);
        }
        self.pending = Some(Scope::Function(name.to_owned()));
    }

    /// Comments that no item follows are about what they are in.
    fn drop_held(&mut self) {
        let ids = std::mem::take(&mut self.held);
        let inner = self.scopes.iter().rev().find_map(|scope| match scope {
            Scope::Function(name) | Scope::Item(name) => Some(name.clone()),
            _ => None,
        });
        if let Some(item) = inner {
            self.enforced(ids, &item);
        }
    }

    fn enforced(&mut self, ids: Vec<String>, item: &str) {
        let in_test = self.modules().any(|module| module == "tests");
        if !self.enforces || in_test {
            return;
        }
        let place = |id| Place { id, file: self.file.to_owned(), item: item.to_owned() };
        self.found.places.extend(ids.into_iter().map(place));
    }

    /// The innermost function.
    fn function(&self) -> Option<String> {
        self.scopes.iter().rev().find_map(|scope| match scope {
            Scope::Function(name) => Some(name.clone()),
            _ => None,
        })
    }

    fn modules(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().filter_map(|scope| match scope {
            Scope::Module(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "crates/circlet/src/rules/leaf.rs";

    fn places(file: &str, source: &str) -> String {
        let found = scan(file, source);
        assert_eq!(found.wrong, [""; 0]);
        let place = |place: &Place| format!("{} {}", place.id, place.item);
        found.places.iter().map(place).collect::<Vec<_>>().join(", ")
    }

    fn tests(file: &str, source: &str) -> String {
        let test = |test: &Test| format!("{}: {}", test.path, test.ids.join(" "));
        scan(file, source).tests.iter().map(test).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_doc_comment_is_about_the_function_below() {
        let source = "
            use x::{y, z};
            /// V-7.1-01 and V-7.1-02: what
            /// holds, and V-7.3-01 to
            /// V-7.3-03.
            #[allow(dead_code, reason = \"a; b, V {\")]
            pub(crate) const fn check<'a, const N: usize>(x: &'a [u8; 3], y: char) -> bool {
                let z = '{';
                // V-7.5-01
                true
            }
            fn other() {}";
        assert_eq!(
            places(LIBRARY, source),
            "V-7.1-01 check, V-7.1-02 check, V-7.3-01 check, V-7.3-02 check, V-7.3-03 check, V-7.5-01 check"
        );
    }

    #[test]
    fn comments_and_strings_inside_are_about_the_function_around() {
        let source = "
            impl X {
                fn outer(&self) -> bool {
                    // V-7.1-01: so.
                    if a { b(|| { off(\"V-7.1-02\") }) }
                    /// V-7.1-03
                    fn inner() {}
                    ensure_row(\"V-7.1-04\", \"not V-7.1-05\")
                }
            }";
        assert_eq!(
            places(LIBRARY, source),
            "V-7.1-01 outer, V-7.1-02 outer, V-7.1-03 inner, V-7.1-04 outer"
        );
    }

    #[test]
    fn types_and_their_fields_count_by_the_type() {
        let source = "
            /// V-7.1-01.
            pub struct A { x: u8 }
            enum B {
                /// V-7.1-02.
                C,
                /// V-7.1-03.
                D { e: u8 },
            }
            /// V-7.1-04.
            const F: u8 = 3;
            trait G {
                /// V-7.1-05.
                fn h();
            }";
        assert_eq!(
            places(LIBRARY, source),
            "V-7.1-01 A, V-7.1-02 B, V-7.1-03 B, V-7.1-04 F, V-7.1-05 h"
        );
    }

    #[test]
    fn tests_are_found_with_their_module_and_ids() {
        let source = "
            /// V-7.1-01: rule.
            fn rule() {}
            #[cfg(test)]
            mod tests {
                /// V-7.1-03: helps.
                fn helper() { off(\"V-7.1-04\"); }
                /// V-7.1-02: so.
                #[test]
                fn v_7_1_01_rule() {}
                #[test]
                #[ignore = \"long\"]
                fn other() {}
            }";
        assert_eq!(places(LIBRARY, source), "V-7.1-01 rule");
        assert_eq!(
            tests(LIBRARY, source),
            "tests::v_7_1_01_rule: V-7.1-01 V-7.1-02, tests::other: "
        );
        let generated = "proptest! { #[test] fn v_7_1_01(x in 0..9) { a(x); } }";
        assert_eq!(tests(LIBRARY, generated), "v_7_1_01: V-7.1-01");
    }

    #[test]
    fn only_the_library_enforces() {
        for file in [
            "crates/circlet/src/tree/tests/rules.rs",
            "crates/circlet/src/codec/tests.rs",
            "crates/circlet/src/testing/member.rs",
            "crates/circlet/src/violation.rs",
            "crates/circlet/tests/cost.rs",
            "crates/circlet-vectors/src/cli.rs",
        ] {
            assert_eq!(places(file, "/// V-7.1-01\nfn a() {}"), "", "{file}");
        }
    }

    #[test]
    fn every_id_is_noted_with_its_line() {
        let found = scan("a.rs", "//! V-1.0-01\n\n// V-1.0-2\nfn a() {}");
        assert_eq!(found.named, [("V-1.0-01".to_owned(), "a.rs:1".to_owned())]);
        assert_eq!(found.wrong, ["a.rs:3: V-1.0-2 is no id of a row"]);
    }
}
