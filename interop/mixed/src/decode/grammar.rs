//! The fields of a message, by the structures of RFC 9420: enough to change one of them and to
//! write the lengths around it anew, and to tell what the libraries may differ about.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::reasons::Reason;

/// What is mutated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// An MLSMessage (section 6).
    Message,
    /// A ratchet tree (section 12.4.3.3).
    Tree,
}

/// A field or a structure.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// A number or enumeration of fixed size.
    Fixed { name: &'static str, bytes: Vec<u8> },
    /// `opaque<V>`.
    Opaque { name: &'static str, bytes: Vec<u8> },
    /// A vector of structures.
    List { name: &'static str, items: Vec<Node> },
    /// Fields one after the other.
    Struct(Vec<Node>),
}

/// Sound bytes.
pub(super) struct Parsed {
    pub(super) root: Node,
    pub(super) remarks: BTreeSet<Reason>,
}

/// Reads bytes; `None` if they are not sound.
pub(super) fn parse(shape: Shape, bytes: &[u8]) -> Option<Parsed> {
    let mut parser = Parser { rest: bytes, remarks: BTreeSet::new() };
    let root = match shape {
        Shape::Message => parser.message(),
        Shape::Tree => parser.tree(),
    }?;
    if shape == Shape::Tree && !parser.rest.is_empty() {
        parser.remarks.insert(Reason::BehindTree);
        parser.rest = &[];
    }
    parser.rest.is_empty().then_some(Parsed { root, remarks: parser.remarks })
}

struct Parser<'a> {
    rest: &'a [u8],
    remarks: BTreeSet<Reason>,
}

type Field = Option<Node>;

impl<'a> Parser<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn vector(&mut self) -> Option<&'a [u8]> {
        let first = *self.rest.first()?;
        let size = 1_usize << (first >> 6);
        let mut length = 0;
        for (place, byte) in self.take(size)?.iter().enumerate() {
            let byte = if place == 0 { byte & 0x3f } else { *byte };
            length = length << 8 | usize::from(byte);
        }
        // Section 2.1.2: no more bytes than are needed.
        let least = match size {
            1 => 0,
            2 => 0x40,
            4 => 0x4000,
            _ => return None,
        };
        if length < least { None } else { self.take(length) }
    }

    fn fixed(&mut self, name: &'static str, size: usize) -> Field {
        Some(Node::Fixed { name, bytes: self.take(size)?.to_vec() })
    }

    fn opaque(&mut self, name: &'static str) -> Field {
        Some(Node::Opaque { name, bytes: self.vector()?.to_vec() })
    }

    fn list(&mut self, name: &'static str, item: impl Fn(&mut Parser<'a>) -> Field) -> Field {
        let content = self.vector()?;
        let rest = std::mem::replace(&mut self.rest, content);
        let mut items = Vec::new();
        while !self.rest.is_empty() {
            items.push(item(self)?);
        }
        self.rest = rest;
        Some(Node::List { name, items })
    }

    fn numbers(&mut self, name: &'static str) -> Field {
        self.list(name, |parser| parser.fixed(name, 2))
    }

    /// The number of `size` bytes that is next.
    fn peek(&self, size: usize) -> Option<u64> {
        let bytes = self.rest.get(..size)?;
        Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// An enumeration of one byte.
    fn value(&mut self, name: &'static str, values: RangeInclusive<u64>) -> Field {
        if values.contains(&self.peek(1)?) { self.fixed(name, 1) } else { None }
    }

    /// A version that may be another one.
    fn version(&mut self, name: &'static str, reason: Reason) -> Field {
        if self.peek(2)? != 1 {
            self.remarks.insert(reason);
        }
        self.fixed(name, 2)
    }

    /// A cipher suite that may be unknown.
    fn suite(&mut self, name: &'static str) -> Field {
        if !(1..=7).contains(&self.peek(2)?) {
            self.remarks.insert(Reason::CipherSuite);
        }
        self.fixed(name, 2)
    }

    /// A leaf index that may be large.
    fn leaf_index(&mut self, name: &'static str) -> Field {
        if self.peek(4)? >= 1 << 24 {
            self.remarks.insert(Reason::LeafIndex);
        }
        self.fixed(name, 4)
    }

    fn message(&mut self) -> Field {
        let mut fields = vec![self.version("MLSMessage.version", Reason::MessageVersion)?];
        let format = self.peek(2)?;
        fields.push(self.fixed("MLSMessage.wire_format", 2)?);
        fields.push(match format {
            1 => self.public_message()?,
            2 => self.private_message()?,
            3 => self.welcome()?,
            4 => self.group_info()?,
            5 => self.key_package(Reason::KeyPackageVersion)?,
            _ => return None,
        });
        Some(Node::Struct(fields))
    }

    fn public_message(&mut self) -> Field {
        let mut fields =
            vec![self.opaque("FramedContent.group_id")?, self.fixed("FramedContent.epoch", 8)?];
        let sender = self.peek(1)?;
        fields.push(self.fixed("Sender.sender_type", 1)?);
        match sender {
            1 => fields.push(self.fixed("Sender.leaf_index", 4)?),
            2 => fields.push(self.fixed("Sender.sender_index", 4)?),
            3 | 4 => {}
            _ => return None,
        }
        fields.push(self.opaque("FramedContent.authenticated_data")?);
        let content = self.peek(1)?;
        fields.push(self.fixed("FramedContent.content_type", 1)?);
        match content {
            1 => fields.push(self.opaque("FramedContent.application_data")?),
            2 => fields.push(self.proposal()?),
            3 => fields.push(self.commit()?),
            _ => return None,
        }
        fields.push(self.opaque("FramedContentAuthData.signature")?);
        if content == 3 {
            fields.push(self.opaque("FramedContentAuthData.confirmation_tag")?);
        }
        if sender == 1 {
            fields.push(self.opaque("PublicMessage.membership_tag")?);
        }
        Some(Node::Struct(fields))
    }

    fn private_message(&mut self) -> Field {
        Some(Node::Struct(vec![
            self.opaque("PrivateMessage.group_id")?,
            self.fixed("PrivateMessage.epoch", 8)?,
            self.value("PrivateMessage.content_type", 1..=3)?,
            self.opaque("PrivateMessage.authenticated_data")?,
            self.opaque("PrivateMessage.encrypted_sender_data")?,
            self.opaque("PrivateMessage.ciphertext")?,
        ]))
    }

    fn welcome(&mut self) -> Field {
        Some(Node::Struct(vec![
            self.suite("Welcome.cipher_suite")?,
            self.list("Welcome.secrets", |parser| {
                Some(Node::Struct(vec![
                    parser.opaque("EncryptedGroupSecrets.new_member")?,
                    parser.ciphertext()?,
                ]))
            })?,
            self.opaque("Welcome.encrypted_group_info")?,
        ]))
    }

    fn ciphertext(&mut self) -> Field {
        Some(Node::Struct(vec![
            self.opaque("HPKECiphertext.kem_output")?,
            self.opaque("HPKECiphertext.ciphertext")?,
        ]))
    }

    fn group_info(&mut self) -> Field {
        Some(Node::Struct(vec![
            self.version("GroupContext.version", Reason::InnerVersion)?,
            self.suite("GroupContext.cipher_suite")?,
            self.opaque("GroupContext.group_id")?,
            self.fixed("GroupContext.epoch", 8)?,
            self.opaque("GroupContext.tree_hash")?,
            self.opaque("GroupContext.confirmed_transcript_hash")?,
            self.extensions("GroupContext.extensions")?,
            self.extensions("GroupInfo.extensions")?,
            self.opaque("GroupInfo.confirmation_tag")?,
            self.leaf_index("GroupInfo.signer")?,
            self.opaque("GroupInfo.signature")?,
        ]))
    }

    fn key_package(&mut self, reason: Reason) -> Field {
        Some(Node::Struct(vec![
            self.version("KeyPackage.version", reason)?,
            self.suite("KeyPackage.cipher_suite")?,
            self.opaque("KeyPackage.init_key")?,
            self.leaf_node()?,
            self.extensions("KeyPackage.extensions")?,
            self.opaque("KeyPackage.signature")?,
        ]))
    }

    fn leaf_node(&mut self) -> Field {
        let mut fields =
            vec![self.opaque("LeafNode.encryption_key")?, self.opaque("LeafNode.signature_key")?];
        let credential = self.peek(2)?;
        fields.push(self.fixed("Credential.credential_type", 2)?);
        fields.push(match credential {
            1 => self.opaque("Credential.identity")?,
            2 => self.certificates()?,
            _ => {
                self.remarks.insert(Reason::CredentialType);
                self.opaque("Credential of another type")?
            }
        });
        fields.push(self.numbers("Capabilities.versions")?);
        fields.push(self.numbers("Capabilities.cipher_suites")?);
        fields.push(self.numbers("Capabilities.extensions")?);
        fields.push(self.numbers("Capabilities.proposals")?);
        fields.push(self.numbers("Capabilities.credentials")?);
        let source = self.peek(1)?;
        fields.push(self.fixed("LeafNode.leaf_node_source", 1)?);
        match source {
            1 => {
                fields.push(self.fixed("Lifetime.not_before", 8)?);
                fields.push(self.fixed("Lifetime.not_after", 8)?);
            }
            2 => {}
            3 => fields.push(self.opaque("LeafNode.parent_hash")?),
            _ => return None,
        }
        fields.push(self.extensions("LeafNode.extensions")?);
        fields.push(self.opaque("LeafNode.signature")?);
        Some(Node::Struct(fields))
    }

    /// Certificates, or whatever is in their place.
    fn certificates(&mut self) -> Field {
        let rest = self.rest;
        let list =
            self.list("Credential.certificates", |parser| parser.opaque("Certificate.cert_data"));
        if list.is_some() {
            return list;
        }
        self.rest = rest;
        self.remarks.insert(Reason::Certificates);
        self.opaque("Credential.certificates")
    }

    fn extensions(&mut self, name: &'static str) -> Field {
        let seen = RefCell::new(BTreeSet::new());
        self.list(name, |parser| {
            let extension_type = parser.peek(2)?;
            // Section 13.4: no type twice.
            if !seen.borrow_mut().insert(extension_type) {
                return None;
            }
            if is_out_of_place(name, extension_type) {
                parser.remarks.insert(Reason::ExtensionPlace);
            }
            let head = parser.fixed("Extension.extension_type", 2)?;
            let rest = parser.rest;
            let content = parser.vector()?;
            if !is_content_of(extension_type, content) {
                parser.remarks.insert(Reason::ExtensionContent);
            }
            parser.rest = rest;
            Some(Node::Struct(vec![head, parser.opaque("Extension.extension_data")?]))
        })
    }

    fn proposal(&mut self) -> Field {
        let proposal_type = self.peek(2)?;
        let head = self.fixed("Proposal.proposal_type", 2)?;
        let body = match proposal_type {
            1 => self.key_package(Reason::InnerVersion)?,
            2 => self.leaf_node()?,
            3 => self.leaf_index("Remove.removed")?,
            4 => self.psk_id()?,
            5 => Node::Struct(vec![
                self.opaque("ReInit.group_id")?,
                self.fixed("ReInit.version", 2)?,
                self.suite("ReInit.cipher_suite")?,
                self.extensions("ReInit.extensions")?,
            ]),
            6 => self.opaque("ExternalInit.kem_output")?,
            7 => self.extensions("GroupContextExtensions.extensions")?,
            _ => {
                self.remarks.insert(Reason::ProposalType);
                self.opaque("Proposal of another type")?
            }
        };
        Some(Node::Struct(vec![head, body]))
    }

    fn psk_id(&mut self) -> Field {
        let psk_type = self.peek(1)?;
        let mut fields = vec![self.fixed("PreSharedKeyID.psktype", 1)?];
        match psk_type {
            1 => fields.push(self.opaque("PreSharedKeyID.psk_id")?),
            2 => {
                fields.push(self.value("PreSharedKeyID.usage", 1..=3)?);
                fields.push(self.opaque("PreSharedKeyID.psk_group_id")?);
                fields.push(self.fixed("PreSharedKeyID.psk_epoch", 8)?);
            }
            _ => return None,
        }
        fields.push(self.opaque("PreSharedKeyID.psk_nonce")?);
        Some(Node::Struct(fields))
    }

    fn commit(&mut self) -> Field {
        let proposals = self.list("Commit.proposals", |parser| {
            let held = parser.peek(1)?;
            let head = parser.fixed("ProposalOrRef.type", 1)?;
            let body = match held {
                1 => parser.proposal()?,
                2 => parser.opaque("ProposalOrRef.reference")?,
                _ => return None,
            };
            Some(Node::Struct(vec![head, body]))
        })?;
        let present = self.peek(1)? == 1;
        let mut fields = vec![proposals, self.value("Commit.path present", 0..=1)?];
        if present {
            fields.push(self.leaf_node()?);
            fields.push(self.list("UpdatePath.nodes", |parser| {
                Some(Node::Struct(vec![
                    parser.opaque("UpdatePathNode.encryption_key")?,
                    parser.list("UpdatePathNode.encrypted_path_secret", Parser::ciphertext)?,
                ]))
            })?);
        }
        Some(Node::Struct(fields))
    }

    fn external_sender(&mut self) -> Field {
        let key = self.opaque("ExternalSender.signature_key")?;
        let head = self.fixed("Credential.credential_type", 2)?;
        Some(Node::Struct(vec![key, head, self.opaque("Credential of an external sender")?]))
    }

    fn tree(&mut self) -> Field {
        let node = self.list("tree.nodes", Parser::optional_node)?;
        if let Node::List { items, .. } = &node
            && !is_shape_of_tree(items)
        {
            self.remarks.insert(Reason::TreeShape);
        }
        Some(node)
    }

    fn optional_node(&mut self) -> Field {
        let present = self.peek(1)? == 1;
        let mut fields = vec![self.value("Node present", 0..=1)?];
        if present {
            let node_type = self.peek(1)?;
            fields.push(self.fixed("Node.node_type", 1)?);
            match node_type {
                1 => fields.push(self.leaf_node()?),
                2 => {
                    fields.push(self.opaque("ParentNode.encryption_key")?);
                    fields.push(self.opaque("ParentNode.parent_hash")?);
                    fields.push(self.list("ParentNode.unmerged_leaves", |parser| {
                        parser.leaf_index("ParentNode.unmerged_leaves")
                    })?);
                }
                _ => return None,
            }
        }
        Some(Node::Struct(fields))
    }
}

/// Whether the content of an extension is what its type says (sections 5.3.3, 11.1, 12.1.8.1,
/// 12.4.3.2 and 12.4.3.3); of other types anything is.
fn is_content_of(extension_type: u64, content: &[u8]) -> bool {
    let mut parser = Parser { rest: content, remarks: BTreeSet::new() };
    let read = match extension_type {
        1 | 4 => parser.opaque("").map(drop),
        2 => parser.list("", Parser::optional_node).map(drop),
        3 => (0..3).try_for_each(|_| parser.numbers("").map(drop)),
        5 => parser.list("", Parser::external_sender).map(drop),
        10 => Some(()),
        _ => return true,
    };
    read.is_some() && parser.rest.is_empty()
}

/// Whether OpenMLS has a list of extensions of which this type can't be a member (section 17.3).
fn is_out_of_place(list: &str, extension_type: u64) -> bool {
    match list {
        "GroupContext.extensions" | "ReInit.extensions" => matches!(extension_type, 1 | 2 | 4 | 10),
        "GroupInfo.extensions" => matches!(extension_type, 1 | 3 | 5 | 10),
        _ => false,
    }
}

/// Whether these are the nodes of a tree without blank ones at its end, leaves in the even places
/// and parents in the odd ones (section 12.4.3.3).
fn is_shape_of_tree(nodes: &[Node]) -> bool {
    let kind = |node: &Node| match node {
        Node::Struct(fields) => match fields.get(1) {
            Some(Node::Fixed { bytes, .. }) => bytes.first().copied(),
            _ => None,
        },
        _ => None,
    };
    let in_place = |(place, node): (usize, &Node)| match kind(node) {
        Some(1) => place % 2 == 0,
        Some(_) => place % 2 == 1,
        None => true,
    };
    nodes.len() % 2 == 1
        && nodes.last().is_some_and(|last| kind(last).is_some())
        && nodes.iter().enumerate().all(in_place)
}
