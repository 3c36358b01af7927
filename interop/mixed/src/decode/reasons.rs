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
    /// A proposal of a type that is not the RFC's, with a body of one `opaque<V>`.
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
    pub const ALL: [Self; 12] = [
        Self::MessageVersion,
        Self::KeyPackageVersion,
        Self::InnerVersion,
        Self::CipherSuite,
        Self::CredentialType,
        Self::Certificates,
        Self::ProposalType,
        Self::ExtensionContent,
        Self::ExtensionPlace,
        Self::LeafIndex,
        Self::TreeShape,
        Self::BehindTree,
    ];

    /// Who refuses it while it reads: Circlet, OpenMLS, mls-rs.
    fn refused_by(self) -> [bool; 3] {
        match self {
            Self::MessageVersion | Self::KeyPackageVersion | Self::BehindTree => {
                [true, true, false]
            }
            Self::InnerVersion | Self::CredentialType | Self::ProposalType | Self::TreeShape => {
                [true, false, false]
            }
            Self::CipherSuite | Self::ExtensionContent | Self::ExtensionPlace => {
                [false, true, false]
            }
            Self::Certificates => [true, false, true],
            Self::LeafIndex => [false, false, true],
        }
    }
}

/// What the libraries make of bytes with these in them; of bytes that are not sound, all refuse.
pub(super) fn expected(remarks: Option<&BTreeSet<Reason>>) -> Verdicts {
    let Some(remarks) = remarks else { return Verdicts([Verdict::Refuses; 3]) };
    let mut verdicts = [Verdict::Reads; 3];
    for reason in remarks {
        for (verdict, refuses) in verdicts.iter_mut().zip(reason.refused_by()) {
            if refuses {
                *verdict = Verdict::Refuses;
            }
        }
    }
    Verdicts(verdicts)
}
