//! What was printed, and whether a secret can be read in it.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;

use crate::crypto::Secret;
use crate::error::Error;

/// So many bytes of a secret in a row are a leak.
const WINDOW: usize = 8;

/// Everything that was printed, by whom.
#[derive(Default)]
pub(super) struct Shown {
    texts: Vec<(String, String)>,
    /// The names of all types of which a value was printed.
    pub(super) types: BTreeSet<String>,
}

impl Shown {
    pub(super) fn show<T: Debug + ?Sized>(&mut self, value: &T) {
        let name = std::any::type_name::<T>();
        let debug = format!("{value:?}");
        self.types.extend(words(name).chain(words(&debug)).map(str::to_owned));
        self.texts.push((name.to_owned(), debug));
        self.texts.push((name.to_owned(), format!("{value:#?}")));
        self.texts.push((name.to_owned(), format!("{value:02x?}")));
    }

    /// Prints an error and its causes.
    pub(super) fn fail<T: Debug>(&mut self, result: Result<T, Error>) {
        let error = result.map(|value| panic!("no error: {value:?}")).unwrap_err();
        self.show(&error);
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            self.texts.push((format!("{error:?}"), error.to_string()));
            self.show(error);
            cause = error.source();
        }
    }

    /// Nothing that was printed has a part of these secrets in it.
    pub(super) fn ensure_no_leak<'a>(&self, secrets: impl IntoIterator<Item = &'a [u8]>) {
        let secrets = Secrets::new(secrets);
        for (what, text) in &self.texts {
            assert!(!secrets.leak_in(text), "{what} shows a secret: {text}");
        }
    }
}

pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The windows of all secrets.
struct Secrets(HashSet<[u8; WINDOW]>);

impl Secrets {
    fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let windows = secrets.into_iter().flat_map(|secret| secret.windows(WINDOW));
        Self(windows.filter_map(|window| window.try_into().ok()).collect())
    }

    /// Whether a text has a part of a secret in it, in whatever way bytes are usually written.
    fn leak_in(&self, text: &str) -> bool {
        let has = |bytes: &Vec<u8>| bytes.windows(WINDOW).any(|window| self.0.contains(window));
        readings(text).iter().any(has)
    }
}

/// The bytes that a text may stand for.
fn readings(text: &str) -> Vec<Vec<u8>> {
    let mut found = vec![unescaped(text)];
    let no_digit = |c: char| !c.is_ascii_hexdigit();
    for run in text.split(no_digit).filter(|run| run.len() >= 2 * WINDOW) {
        found.extend([run, &run[1..]].map(from_hex));
    }
    let decimal = |word: &str| word.parse::<u8>().ok();
    let hex = |word: &str| u8::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    found.extend(lists(text, decimal));
    found.extend(lists(text, hex));
    found
}

fn from_hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks_exact(2).map(pair).collect()
}

/// The runs of words that are bytes.
fn lists(text: &str, byte: impl Fn(&str) -> Option<u8>) -> Vec<Vec<u8>> {
    let bytes: Vec<Option<u8>> = words(text).map(byte).collect();
    let runs = bytes.split(Option::is_none).filter(|run| run.len() >= WINDOW);
    runs.map(|run| run.iter().copied().flatten().collect()).collect()
}

/// The characters as bytes, with the escapes of strings and byte strings taken back.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (byte, used) = escape(rest).unwrap_or((u32::from(first), first.len_utf8()));
        bytes.extend(u8::try_from(byte));
        rest = &rest[used..];
    }
    bytes
}

/// The escape that a text begins with, and its length.
fn escape(text: &str) -> Option<(u32, usize)> {
    let code = text.strip_prefix('\\')?;
    let number = |digits: Option<&str>| u32::from_str_radix(digits?, 16).ok();
    match code.chars().next()? {
        'x' => Some((number(code.get(1..3))?, 4)),
        'u' => {
            let (digits, _) = code.strip_prefix("u{")?.split_once('}')?;
            Some((number(Some(digits))?, digits.len() + 4))
        }
        'n' => Some((10, 2)),
        'r' => Some((13, 2)),
        't' => Some((9, 2)),
        '0' => Some((0, 2)),
        other => Some((u32::from(other), 1 + other.len_utf8())),
    }
}

#[test]
fn a_leak_is_found_however_it_is_written() {
    let secret: Vec<u8> = (0..32u8).map(|i| i.wrapping_mul(151).wrapping_add(89)).collect();
    let secrets = Secrets::new([secret.as_slice()]);
    let half = &secret[9..20];
    let hex: String = half.iter().map(|byte| format!("{byte:02x}")).collect();
    let written = [
        format!("{half:?}"),
        format!("Key {{ generation: 7, bytes: {half:#?} }}"),
        format!("{half:02x?} {half:#04x?}"),
        format!("{half:X?}"),
        hex.clone(),
        hex.to_uppercase(),
        format!("a{hex}"),
        half.escape_ascii().to_string(),
        format!("{:?}", half.iter().map(|byte| char::from(*byte)).collect::<String>()),
        half.iter().map(|byte| char::from(*byte)).collect(),
    ];
    for text in &written {
        // As it is inside a longer text.
        let text = format!("Epoch {{ number: 12, secret: {text}, ok: true }}");
        assert!(secrets.leak_in(&text), "{text}");
    }
    for text in ["[redacted]", &format!("{:?}", &secret[..7]), &format!("{:?}", Secret::new(half))]
    {
        assert!(!secrets.leak_in(text), "{text}");
    }
}
