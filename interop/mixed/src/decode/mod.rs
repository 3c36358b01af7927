//! What the three decoders make of the same bytes: the working group's messages, and whatever is
//! one change to one field away from them.

mod grammar;
mod mutate;
mod reasons;
mod verdict;

use std::collections::BTreeMap;

use circlet::codec::DecodeContext;

pub use grammar::Shape;
pub use mutate::{Mutant, Mutation, mutants};
pub use reasons::Reason;
pub use verdict::{Verdict, Verdicts};

/// What no [`Reason`] explains: the field, what was done to it, and what the libraries made of that.
pub type Unexplained = (&'static str, Mutation, Verdicts);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Messages and trees that were changed.
    pub samples: usize,
    /// Changed ones.
    pub mutants: usize,
    /// Those that all could read.
    pub read: usize,
    /// Those that all refused.
    pub refused: usize,
    /// How often libraries differed for each reason.
    pub explained: BTreeMap<Reason, usize>,
    /// The others: how many, and the first.
    pub unexplained: BTreeMap<Unexplained, (usize, Vec<u8>)>,
}

impl Seen {
    /// Shows a sample and all its mutants to the three decoders.
    ///
    /// # Errors
    /// The sample is not sound.
    pub fn look_at(&mut self, shape: Shape, bytes: &[u8]) -> Result<(), String> {
        let mutants = mutants(shape, bytes).ok_or("not by the grammar")?;
        self.samples += 1;
        let whole = Mutant { field: "whole", mutation: Mutation::None, bytes: bytes.to_vec() };
        self.compare(shape, whole);
        for mutant in mutants {
            self.mutants += 1;
            self.compare(shape, mutant);
        }
        Ok(())
    }

    fn compare(&mut self, shape: Shape, mutant: Mutant) {
        let Mutant { field, mutation, bytes } = mutant;
        let verdicts = Verdicts::of(shape, &bytes, &DecodeContext::default());
        let remarks = grammar::parse(shape, &bytes).map(|parsed| parsed.remarks);
        if verdicts != reasons::expected(remarks.as_ref()) {
            let kind = (field, mutation, verdicts);
            self.unexplained.entry(kind).or_insert_with(|| (0, bytes)).0 += 1;
        } else if !verdicts.agree() {
            for reason in remarks.into_iter().flatten() {
                *self.explained.entry(reason).or_default() += 1;
            }
        } else if verdicts.0.contains(&Verdict::Reads) {
            self.read += 1;
        } else {
            self.refused += 1;
        }
    }

    /// Looks at an entry of the working group's `messages.json`: whatever has no frame of its own
    /// gets that of a PublicMessage.
    ///
    /// # Errors
    /// As for [`Self::look_at`], with the field's name; a field is missing or no hex.
    pub fn look_at_entry(&mut self, entry: &serde_json::Value) -> Result<(), String> {
        for field in MESSAGES {
            self.look_at(Shape::Message, &hex(entry, field)?)
                .map_err(|why| format!("{field}: {why}"))?;
        }
        for (field, proposal_type) in PROPOSALS {
            let framed = framed_proposal(proposal_type, &hex(entry, field)?);
            self.look_at(Shape::Message, &framed).map_err(|why| format!("{field}: {why}"))?;
        }
        let commit = framed_commit(&hex(entry, "commit")?);
        self.look_at(Shape::Message, &commit).map_err(|why| format!("commit: {why}"))?;
        let tree = hex(entry, "ratchet_tree")?;
        self.look_at(Shape::Tree, &tree).map_err(|why| format!("ratchet_tree: {why}"))
    }
}

const MESSAGES: [&str; 7] = [
    "mls_welcome",
    "mls_group_info",
    "mls_key_package",
    "public_message_application",
    "public_message_proposal",
    "public_message_commit",
    "private_message",
];

const PROPOSALS: [(&str, u16); 7] = [
    ("add_proposal", 1),
    ("update_proposal", 2),
    ("remove_proposal", 3),
    ("pre_shared_key_proposal", 4),
    ("re_init_proposal", 5),
    ("external_init_proposal", 6),
    ("group_context_extensions_proposal", 7),
];

fn hex(entry: &serde_json::Value, field: &str) -> Result<Vec<u8>, String> {
    let text = entry.get(field).and_then(serde_json::Value::as_str);
    let text = text.ok_or_else(|| format!("{field} is missing"))?;
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes = (0..text.len()).step_by(2).map(byte).collect::<Option<_>>();
    bytes.ok_or_else(|| format!("{field} is no hex"))
}

/// The frame of a member's PublicMessage up to its content (RFC 9420 section 6.2): group "id",
/// epoch 1, leaf 0, no authenticated data.
const HEAD: [u8; 21] = [0, 1, 0, 1, 2, b'i', b'd', 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0];

fn framed_proposal(proposal_type: u16, body: &[u8]) -> Vec<u8> {
    let mut message = HEAD.to_vec();
    message.push(2);
    message.extend(proposal_type.to_be_bytes());
    message.extend_from_slice(body);
    // The signature and the membership tag.
    for tag in [[3; 32], [5; 32]] {
        message.push(32);
        message.extend(tag);
    }
    message
}

fn framed_commit(commit: &[u8]) -> Vec<u8> {
    let mut message = HEAD.to_vec();
    message.push(3);
    message.extend_from_slice(commit);
    // The signature, the confirmation tag and the membership tag.
    for tag in [[3; 32], [4; 32], [5; 32]] {
        message.push(32);
        message.extend(tag);
    }
    message
}
