//! One change to one field of a message.

use std::fmt;

use super::grammar::{Node, Shape, parse};

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    /// Nothing.
    None,
    /// A number is zero.
    Zero,
    /// A number has all bits set.
    Ones,
    /// A number is one more.
    Next,
    /// A number is one less.
    Before,
    /// A number of two bytes is a GREASE value.
    Grease,
    /// The field is not there; lengths around it are right.
    Missing,
    /// The field is there twice; lengths around it are right.
    Twice,
    /// The content is empty.
    Empty,
    /// The content is one byte longer.
    Longer,
    /// The content is one byte shorter.
    Shorter,
    /// A bit of the content's first byte is flipped.
    Flipped,
    /// A vector's content is there twice.
    Doubled,
    /// A vector's elements are the other way round.
    Reversed,
    /// The length prefix takes more bytes than it needs.
    WidePrefix,
    /// The length prefix begins with the bits 11.
    ReservedPrefix,
    /// The length is one too much.
    LengthPlus,
    /// The length is one too little.
    LengthMinus,
    /// The message ends before the field.
    Cut,
    /// A byte follows the message.
    Trailing,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Zero,
        Self::Ones,
        Self::Next,
        Self::Before,
        Self::Grease,
        Self::Missing,
        Self::Twice,
        Self::Empty,
        Self::Longer,
        Self::Shorter,
        Self::Flipped,
        Self::Doubled,
        Self::Reversed,
        Self::WidePrefix,
        Self::ReservedPrefix,
        Self::LengthPlus,
        Self::LengthMinus,
        Self::Cut,
        Self::Trailing,
    ];
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A changed message.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The field that was changed.
    pub field: &'static str,
    /// What was done to it.
    pub mutation: Mutation,
    /// The message.
    pub bytes: Vec<u8>,
}

/// All mutants of a message, or `None` if it is not sound.
#[must_use]
pub fn mutants(shape: Shape, bytes: &[u8]) -> Option<Vec<Mutant>> {
    let root = parse(shape, bytes)?.root;
    debug_assert_eq!(Writing::plain(&root), bytes, "what was read is written again");
    let mut fields = Vec::new();
    collect(&root, &mut fields);
    let mut mutants = Vec::new();
    for (number, field) in fields.iter().enumerate() {
        for mutation in Mutation::ALL {
            if mutation == Mutation::Trailing && number > 0 {
                continue;
            }
            let mutant = Writing::with(&root, number, mutation);
            if mutant != bytes {
                mutants.push(Mutant { field, mutation, bytes: mutant });
            }
        }
    }
    Some(mutants)
}

/// The names of the fields, in the order of the wire.
fn collect(node: &Node, fields: &mut Vec<&'static str>) {
    match node {
        Node::Fixed { name, .. } | Node::Opaque { name, .. } => fields.push(name),
        Node::List { name, items } => {
            fields.push(name);
            items.iter().for_each(|item| collect(item, fields));
        }
        Node::Struct(items) => items.iter().for_each(|item| collect(item, fields)),
    }
}

/// A message as it is written, with the change to one field.
struct Writing {
    /// How many fields were begun.
    count: usize,
    edit: Option<(usize, Mutation)>,
}

impl Writing {
    fn plain(root: &Node) -> Vec<u8> {
        let mut out = Vec::new();
        Self { count: 0, edit: None }.write(root, &mut out);
        out
    }

    fn with(root: &Node, number: usize, mutation: Mutation) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writing = Self { count: 0, edit: Some((number, mutation)) };
        writing.write(root, &mut out);
        if mutation == Mutation::Trailing {
            out.push(0);
        }
        if mutation == Mutation::Cut {
            return cut_before(root, number);
        }
        out
    }

    fn write(&mut self, node: &Node, out: &mut Vec<u8>) {
        if let Node::Struct(items) = node {
            items.iter().for_each(|item| self.write(item, out));
            return;
        }
        let number = self.count;
        self.count += 1;
        let edit = self.edit.filter(|(at, _)| *at == number).map(|(_, mutation)| mutation);
        let (mut field, vector) = match node {
            Node::Fixed { bytes, .. } | Node::Opaque { bytes, .. } => {
                (bytes.clone(), matches!(node, Node::Opaque { .. }))
            }
            Node::List { items, .. } => (self.items(items, edit), true),
            Node::Struct(_) => (Vec::new(), false),
        };
        change(&mut field, vector, edit);
        let whole = if vector { prefixed(&field, edit) } else { field };
        match edit {
            Some(Mutation::Missing) => {}
            Some(Mutation::Twice) => {
                out.extend_from_slice(&whole);
                out.extend_from_slice(&whole);
            }
            _ => out.extend_from_slice(&whole),
        }
    }

    fn items(&mut self, items: &[Node], edit: Option<Mutation>) -> Vec<u8> {
        let mut parts = Vec::new();
        for item in items {
            let mut part = Vec::new();
            self.write(item, &mut part);
            parts.push(part);
        }
        if edit == Some(Mutation::Reversed) {
            parts.reverse();
        }
        parts.concat()
    }
}

fn change(content: &mut Vec<u8>, vector: bool, edit: Option<Mutation>) {
    let Some(edit) = edit else { return };
    match edit {
        Mutation::Zero if !vector => content.fill(0),
        Mutation::Ones if !vector => content.fill(0xff),
        Mutation::Next if !vector => {
            content.last_mut().into_iter().for_each(|byte| *byte = byte.wrapping_add(1));
        }
        Mutation::Before if !vector => {
            content.last_mut().into_iter().for_each(|byte| *byte = byte.wrapping_sub(1));
        }
        Mutation::Grease if !vector && content.len() == 2 => content.fill(0x0a),
        Mutation::Empty if vector => content.clear(),
        Mutation::Longer => content.push(0),
        Mutation::Shorter => drop(content.pop()),
        Mutation::Flipped if vector => {
            content.first_mut().into_iter().for_each(|byte| *byte ^= 0x40);
        }
        Mutation::Doubled if vector => content.extend_from_within(..),
        _ => {}
    }
}

/// A vector with its length before it (section 2.1.2).
fn prefixed(content: &[u8], edit: Option<Mutation>) -> Vec<u8> {
    let length = match edit {
        Some(Mutation::LengthPlus) => content.len() + 1,
        Some(Mutation::LengthMinus) => content.len().saturating_sub(1),
        _ => content.len(),
    };
    let [.., third, second, first, last] = length.to_be_bytes();
    let needed = match length {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        _ => 4,
    };
    let size = if edit == Some(Mutation::WidePrefix) { (needed * 2).min(4) } else { needed };
    let mut out = match size {
        1 => vec![last],
        2 => vec![0x40 | first, last],
        _ => vec![0x80 | third, second, first, last],
    };
    if edit == Some(Mutation::ReservedPrefix) {
        out.first_mut().into_iter().for_each(|byte| *byte |= 0xc0);
    }
    out.extend_from_slice(content);
    out
}

/// The message up to a field.
fn cut_before(root: &Node, number: usize) -> Vec<u8> {
    let whole = Writing::plain(root);
    let mut starts = Vec::new();
    starts_of(root, 0, &mut starts);
    let end = starts.get(number).copied().unwrap_or_default();
    whole.get(..end).unwrap_or_default().to_vec()
}

/// Where each field begins; gives where the node ends.
fn starts_of(node: &Node, at: usize, starts: &mut Vec<usize>) -> usize {
    match node {
        Node::Fixed { bytes, .. } => {
            starts.push(at);
            at + bytes.len()
        }
        Node::Opaque { bytes, .. } => {
            starts.push(at);
            at + prefixed(bytes, None).len()
        }
        Node::List { items, .. } => {
            starts.push(at);
            let content: Vec<u8> = items.iter().flat_map(Writing::plain).collect();
            let mut place = at + prefixed(&content, None).len() - content.len();
            for item in items {
                place = starts_of(item, place, starts);
            }
            place
        }
        Node::Struct(items) => items.iter().fold(at, |place, item| starts_of(item, place, starts)),
    }
}
