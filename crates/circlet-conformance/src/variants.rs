//! Every error that a peer can cause is one that a test has seen: the tests name each variant.

use std::collections::BTreeSet;
use std::path::Path;

use crate::lexer::{Token, tokens};
use crate::sources::{read, root, source_files};

/// The variants in the list of violations: each has the id of its rule behind its name.
fn violations(source: &str) -> Vec<String> {
    let tokens: Vec<Token> = code(source).collect();
    let variant = |pair: &[Token]| match pair {
        [Token::Word(name), Token::Text(id)] if id.starts_with("V-") => Some(name.clone()),
        _ => None,
    };
    tokens.windows(2).filter_map(variant).collect()
}

/// The variants of an enum: the names directly inside of its braces.
fn variants(source: &str, name: &str) -> Vec<String> {
    let tokens: Vec<Token> = code(source).collect();
    let head = ["enum", name].map(|word| Token::Word(word.to_owned()));
    let begin = tokens.windows(2).position(|pair| *pair == head).unwrap();
    let mut found = Vec::new();
    let mut depth = 0;
    for token in tokens.into_iter().skip(begin + 2) {
        match token {
            Token::Mark('{' | '(' | '[') => depth += 1,
            Token::Mark('}' | ')' | ']') if depth == 1 => break,
            Token::Mark('}' | ')' | ']') => depth -= 1,
            Token::Word(word) if depth == 1 => found.push(word),
            _ => {}
        }
    }
    found
}

/// What a test's code names as `Kind::Variant`.
fn named(source: &str, kind: &str, found: &mut BTreeSet<String>) {
    let tokens: Vec<Token> = code(source).collect();
    for window in tokens.windows(4) {
        if let [Token::Word(first), Token::Mark(':'), Token::Mark(':'), Token::Word(variant)] =
            window
            && first == kind
        {
            found.insert(variant.clone());
        }
    }
}

fn code(source: &str) -> impl Iterator<Item = Token> {
    let tokens = tokens(source).into_iter().map(|(_, token)| token);
    tokens.filter(|token| !matches!(token, Token::Comment { .. }))
}

/// Whether a file holds nothing but tests.
fn is_test(root: &Path, path: &Path) -> bool {
    let parts = path.strip_prefix(root).unwrap_or(path).iter();
    parts.into_iter().any(|part| part == "tests" || part == "tests.rs")
}

/// The variants that no test names.
fn unseen(kind: &str, variants: Vec<String>) -> Vec<String> {
    let root = root().unwrap();
    let mut seen = BTreeSet::new();
    for path in source_files(&root).unwrap().iter().filter(|path| is_test(&root, path)) {
        named(&read(path).unwrap(), kind, &mut seen);
    }
    variants.into_iter().filter(|variant| !seen.contains(variant)).collect()
}

#[test]
fn every_violation_is_seen_by_a_test() {
    let source = read(&root().unwrap().join("crates/circlet/src/violation.rs")).unwrap();
    let variants = violations(&source);
    assert!(variants.len() > 80, "{variants:?}");
    assert_eq!(unseen("Violation", variants), [""; 0]);
}

#[test]
fn every_refusal_is_seen_by_a_test() {
    let source = read(&root().unwrap().join("crates/circlet/src/error.rs")).unwrap();
    for kind in ["Refused", "Unready"] {
        let variants = variants(&source, kind);
        assert!(variants.len() > 8, "{variants:?}");
        assert_eq!(unseen(kind, variants), [""; 0]);
    }
}

#[test]
fn variants_are_told_from_what_is_around_them() {
    let source = "
        use x::Refused;
        /// Not `Other::A`.
        pub enum Other {
            /// B, C.
            #[error(\"{0}, D\")]
            A(#[from] Last),
            E { f: u8 },
            G,
        }
        enum Last { H }";
    assert_eq!(variants(source, "Other"), ["A", "E", "G"]);
    assert_eq!(violations("x! { A \"V-1\" \"2\" \"b\"; C \"V-3\" \"4\" \"D\"; }"), ["A", "C"]);
    let mut found = BTreeSet::new();
    named("// Other::A\nassert(x, Other::E { f: 1 }, y::Other::G)", "Other", &mut found);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["E", "G"]);
}
