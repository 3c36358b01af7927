use std::collections::{BTreeMap, BTreeSet};

/// Bounds on what a client accepts and keeps. Passing one is an error of its own, never a panic
/// or a silent cut.
///
/// ```
/// use circlet::codec::Limits;
/// let limits = Limits { message_bytes: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.past_epochs, 5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest message that is read, in bytes. Default 64 MiB: a Welcome to 100,000 members
    /// with its tree inside has about 45 MB.
    pub message_bytes: usize,
    /// The longest group id, in bytes. It is in the key of every row of the group. Default 1,024.
    pub group_id_bytes: usize,
    /// The longest credential, in bytes. It goes with every message of its member. Default 64 KiB.
    pub credential_bytes: usize,
    /// The longest leaf, in bytes: its credential, capabilities and extensions together. It is in
    /// every tree that a Welcome has inside. Default 256 KiB.
    pub leaf_bytes: usize,
    /// The greatest number of leaves of a tree, blank ones included. Default 2^20.
    pub leaves: u32,
    /// The greatest number of proposals in one Commit. Default 65,536.
    pub proposals: usize,
    /// The greatest number of extensions in one list. Default 256.
    pub extensions: usize,
    /// The longest list of extensions of a group, in bytes. It is signed and hashed with every
    /// message. Default 1 MiB.
    pub extensions_bytes: usize,
    /// The greatest number of external senders of a group. Default 256.
    pub external_senders: usize,
    /// The greatest number of proposals waiting for a Commit. Default 16,384.
    pub cached_proposals: usize,
    /// The greatest number of proposals of one sender that wait for a Commit, so that one member
    /// can't shut the others' out. Default 1,024.
    pub cached_proposals_per_sender: usize,
    /// The greatest number of proposals of new members, all of them together, that wait for a
    /// Commit: nobody answers for those. Default 16.
    pub cached_proposals_of_new_members: usize,
    /// The greatest length in bytes of all proposals together that wait for a Commit. Default
    /// 64 MiB.
    pub cached_proposal_bytes: usize,
    /// The greatest length in bytes of all proposals of one sender that wait for a Commit; all new
    /// members count as one. Default 8 MiB.
    pub cached_proposal_bytes_per_sender: usize,
    /// The greatest number of pre-shared keys in one Commit. Default 256.
    pub psks: usize,
    /// How many generations a message may be ahead of its sender's ratchet. Default 10,000.
    pub generation_jump: u32,
    /// How many skipped message keys are kept per sender and epoch, the newest. Default 1,000.
    pub skipped_keys_per_sender: usize,
    /// How many skipped message keys are kept per group over all its epochs; the oldest are
    /// dropped first. Default 20,000.
    pub skipped_keys: usize,
    /// For how many past epochs late messages can still be read and resumption PSKs are kept
    /// (RFC 9420 sections 8.6 and 15.3). Default 5.
    pub past_epochs: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 << 20,
            group_id_bytes: 1_024,
            credential_bytes: 64 << 10,
            leaf_bytes: 256 << 10,
            leaves: 1 << 20,
            proposals: 65_536,
            extensions: 256,
            extensions_bytes: 1 << 20,
            external_senders: 256,
            cached_proposals: 16_384,
            cached_proposals_per_sender: 1_024,
            cached_proposals_of_new_members: 16,
            cached_proposal_bytes: 64 << 20,
            cached_proposal_bytes_per_sender: 8 << 20,
            psks: 256,
            generation_jump: 10_000,
            skipped_keys_per_sender: 1_000,
            skipped_keys: 20_000,
            past_epochs: 5,
        }
    }
}

/// What the registry says of a proposal type (RFC 9420 section 17.4), for one that an application
/// defines. All members must say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomProposal {
    /// Whether a Commit with such a proposal needs a path. Default true.
    pub path_required: bool,
    /// Whether external senders may send it. Default false.
    pub external: bool,
}

impl Default for CustomProposal {
    fn default() -> Self {
        Self { path_required: true, external: false }
    }
}

/// What a [`Reader`](super::Reader) must know beside the bytes: the limits, and the extension,
/// proposal and credential types that the application registered.
///
/// Bodies of proposals and credentials have no length on the wire. A registered type's body is
/// one `opaque<V>`; a type that is neither the RFC's nor registered can't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodeContext {
    /// The bounds.
    pub limits: Limits,
    /// Application-defined extension types. Any extension can be read: these are the ones that the
    /// application knows what to do with, and so are among its client's capabilities.
    pub extension_types: BTreeSet<u16>,
    /// Application-defined proposal types whose body is `opaque<V>`.
    pub proposal_types: BTreeMap<u16, CustomProposal>,
    /// Application-defined credential types whose body is `opaque<V>`.
    pub credential_types: BTreeSet<u16>,
}
