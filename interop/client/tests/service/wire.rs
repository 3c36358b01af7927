//! Requests as protocol buffers see them, and what can go wrong in each of their fields.

/// Numbers that a seed repeats.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

#[derive(Clone, Debug)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

/// A field with its number. The service has numbers, bytes and messages, and nothing else.
#[derive(Clone, Debug)]
struct Field(u64, Value);

/// The place of a field: its number, and before that those of the messages around it.
pub(crate) type Path = Vec<u64>;

/// A request with something wrong in one field.
pub(crate) struct Mutant {
    pub(crate) path: Path,
    pub(crate) what: String,
    pub(crate) request: Vec<u8>,
}

/// What can go wrong in each field that is there. `nested` has the paths of fields that are
/// messages.
pub(crate) fn mutants(request: &[u8], nested: &[&[u64]], random: &mut Random) -> Vec<Mutant> {
    within(request, &Vec::new(), nested, random)
}

fn within(message: &[u8], around: &Path, nested: &[&[u64]], random: &mut Random) -> Vec<Mutant> {
    let fields = read(message);
    let mut mutants = Vec::new();
    for (place, Field(number, value)) in fields.iter().enumerate() {
        let path = [around.as_slice(), &[*number]].concat();
        let replaced = |value: Value| {
            let mut fields = fields.clone();
            fields[place] = Field(*number, value);
            write(&fields)
        };
        match value {
            Value::Number(number) => {
                for wrong in [0, 1, 2, number + 1_000, 1 << 16, u64::from(u32::MAX), u64::MAX] {
                    let (what, path) = (format!("{wrong} for {number}"), path.clone());
                    let request = replaced(Value::Number(wrong));
                    mutants.extend((wrong != *number).then_some(Mutant { path, what, request }));
                }
            }
            Value::Bytes(bytes) => {
                for (what, wrong) in wrongs(bytes, random) {
                    let (path, request) = (path.clone(), replaced(Value::Bytes(wrong)));
                    mutants.push(Mutant { path, what, request });
                }
                if nested.contains(&path.as_slice()) {
                    for mutant in within(bytes, &path, nested, random) {
                        let request = replaced(Value::Bytes(mutant.request));
                        mutants.push(Mutant { request, ..mutant });
                    }
                }
            }
        }
    }
    mutants
}

/// Truncated, flipped, random and longer bytes.
fn wrongs(bytes: &[u8], random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let mut wrongs = vec![("nothing".to_owned(), Vec::new())];
    if let Some(last) = bytes.len().checked_sub(1) {
        for length in [last, last / 2, random.below(bytes.len())] {
            wrongs.push((format!("the first {length} bytes"), bytes[..length].to_vec()));
        }
        for _ in 0..6 {
            let (place, bit) = (random.below(bytes.len()), random.below(8));
            let mut flipped = bytes.to_vec();
            flipped[place] ^= 1 << bit;
            wrongs.push((format!("bit {bit} of byte {place} flipped"), flipped));
        }
        let mut begun = bytes.to_vec();
        let from = begun.len().min(8);
        begun.truncate(from);
        begun.extend(random.bytes(bytes.len()));
        wrongs.push(("random bytes after a good beginning".to_owned(), begun));
    }
    wrongs.push(("random bytes".to_owned(), random.bytes(bytes.len().max(16))));
    wrongs.push(("one byte more".to_owned(), [bytes, &[0]].concat()));
    wrongs.push(("zeros".to_owned(), vec![0; bytes.len() + 1]));
    wrongs.retain(|(_, wrong)| wrong != bytes);
    wrongs
}

/// Requests that are garbage as a whole, and fields that nobody asked for.
pub(crate) fn wholes(request: &[u8], random: &mut Random) -> Vec<Mutant> {
    let mut wholes = wrongs(request, random);
    for number in 1..=9 {
        for value in [Value::Number(random.next()), Value::Bytes(random.bytes(20))] {
            let what = format!("field {number} once more: {value:?}");
            wholes.push((what, [request, &write(&[Field(number, value)])].concat()));
        }
    }
    let path = Path::new;
    wholes.into_iter().map(|(what, request)| Mutant { path: path(), what, request }).collect()
}

fn read(mut message: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = read_number(&mut message);
        let value = match key & 7 {
            0 => Value::Number(read_number(&mut message)),
            2 => {
                let length = read_number(&mut message) as usize;
                let (bytes, rest) = message.split_at(length);
                message = rest;
                Value::Bytes(bytes.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push(Field(key >> 3, value));
    }
    fields
}

fn read_number(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0.. {
        let (first, rest) = message.split_first().unwrap();
        *message = rest;
        number |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut message = Vec::new();
    for Field(number, value) in fields {
        match value {
            Value::Number(value) => {
                write_number(&mut message, number << 3);
                write_number(&mut message, *value);
            }
            Value::Bytes(bytes) => {
                write_number(&mut message, number << 3 | 2);
                write_number(&mut message, bytes.len() as u64);
                message.extend(bytes);
            }
        }
    }
    message
}

fn write_number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

#[test]
fn requests_are_read_and_written_as_they_are() {
    let request = [0x08, 0x96, 0x01, 0x12, 0x03, 0x0a, 0x01, 0x05, 0x12, 0x00];
    assert_eq!(write(&read(&request)), request);
    let mutants = mutants(&request, &[&[2]], &mut Random(1));
    assert!(mutants.iter().any(|mutant| mutant.path == [2, 1]));
    assert!(mutants.iter().all(|mutant| mutant.request != request));
}
