//! Why decoders differ: what each library judges while it reads, and what it leaves for later.

use std::collections::BTreeSet;

use super::verdict::{Verdict, Verdicts};

/// Something in sound bytes that not every library takes while it reads. Each is a row in
/// DIFFERENCES.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// An MLSMessage of another version than mls10.
    MessageVersion,
    /// A KeyPackage of another version, alone in its message.
    KeyPackageVersion,
    /// A KeyPackage of another version in an Add, or a GroupContext of another version.
    InnerVersion,
    /// A KeyPackage, Welcome, GroupContext or ReInit of a cipher suite that is not the RFC's.
    CipherSuite,
    /// A credential of a type that is neither basic nor X.509.
    CredentialType,
    /// An X.509 credential that is not a list of certificates.
    Certificates,
    /// A proposal of the reserved type 0, with a body of one `opaque<V>`.
    ReservedProposalType,
    /// A proposal of another type that is not the RFC's, with a body of one `opaque<V>`.
    ProposalType,
    /// An extension of one of the RFC's types with another content.
    ExtensionContent,
    /// An extension of one of the RFC's types in a GroupContext or GroupInfo that it is not for.
    ExtensionPlace,
    /// A leaf index of 2^24 or more.
    LeafIndex,
    /// Nodes that are no tree: an even number, a blank one at the end, or one in the other kind's
    /// place.
    TreeShape,
    /// Bytes behind a ratchet tree.
    BehindTree,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::MessageVersion,
        Self::KeyPackageVersion,
        Self::InnerVersion,
        Self::CipherSuite,
        Self::CredentialType,
        Self::Certificates,
        Self::ReservedProposalType,
        Self::ProposalType,
        Self::ExtensionContent,
        Self::ExtensionPlace,
        Self::LeafIndex,
        Self::TreeShape,
        Self::BehindTree,
    ];

    /// What Circlet, OpenMLS and mls-rs make of it.
    fn verdicts(self) -> [Verdict; 3] {
        use Verdict::{Alters, Reads, Refuses};
        match self {
            Self::MessageVersion | Self::KeyPackageVersion => [Refuses, Refuses, Reads],
            Self::InnerVersion | Self::CredentialType | Self::ProposalType | Self::TreeShape => {
                [Refuses, Reads, Reads]
            }
            Self::CipherSuite | Self::ExtensionContent | Self::ExtensionPlace => {
                [Reads, Refuses, Reads]
            }
            Self::Certificates => [Refuses, Reads, Refuses],
            Self::LeafIndex => [Reads, Reads, Refuses],
            Self::ReservedProposalType => [Refuses, Reads, Alters],
            Self::BehindTree => [Refuses, Refuses, Alters],
        }
    }
}

/// What the libraries make of bytes with these in them: each the worst of what they make of one. Of
/// bytes that are not sound, all refuse.
pub(super) fn expected(remarks: Option<&BTreeSet<Reason>>) -> Verdicts {
    let Some(remarks) = remarks else { return Verdicts([Verdict::Refuses; 3]) };
    let mut verdicts = [Verdict::Reads; 3];
    for reason in remarks {
        for (verdict, of_one) in verdicts.iter_mut().zip(reason.verdicts()) {
            *verdict = of_one.max(*verdict);
        }
    }
    Verdicts(verdicts)
}
