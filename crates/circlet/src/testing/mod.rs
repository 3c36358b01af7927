//! For tests, ours and yours: everything seeded, faults on demand, groups in one line, and a member
//! that keeps no rules. No stability promise: what is here may change in any release.
//!
//! # Testing an application
//!
//! ```
//! use circlet::crypto::CipherSuite;
//! use circlet::testing::{FailingStorage, Fault, TestGroup, clients};
//!
//! # fn main() -> Result<(), circlet::Error> {
//! // Clients in one group, with generators, stores and a clock that a test controls.
//! let test = clients(CipherSuite(1), 3)?;
//! test.clock.advance(3600);
//! let wire = test.groups[0].send(b"hello")?;
//! test.groups[1].receive(&wire)?;
//!
//! // A group as a value, without stores.
//! let mut group = TestGroup::new(CipherSuite(1), 3)?;
//! group.send(0, b"hello")?; // everybody reads it
//! let dave = group.add(1, "dave")?; // everybody agrees
//! group.propose(dave, None)?; // an Update
//! group.update(2)?; // commits it
//! group.remove(0, dave)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Attacking one's own client
//!
//! A [`TestMember`] joins the group of a real client, and says there what no sound client would:
//!
//! ```
//! use std::sync::Arc;
//!
//! use circlet::Client;
//! use circlet::codec::Encode;
//! use circlet::crypto::providers::DefaultProvider;
//! use circlet::crypto::{CipherSuite, Suite};
//! use circlet::group::Settings;
//! use circlet::message::{MlsMessage, Proposal};
//! use circlet::testing::{FixedClock, TestMember};
//!
//! # fn main() -> Result<(), circlet::Error> {
//! // With a fixed clock, since a test member's key packages are of testing::NOW.
//! let alice = Client::builder("alice").clock(FixedClock::default()).build()?;
//! let group = alice.create_group()?;
//!
//! let suite = Suite::new(Arc::new(DefaultProvider::new()), CipherSuite(1))?;
//! let mut eve = TestMember::new(Settings::new(suite), "eve", 7)?;
//! let key_package = MlsMessage::KeyPackage(eve.key_package()?).to_bytes()?;
//! eve.join(&group.invite([key_package])?.confirm()?.welcome())?;
//!
//! // She commits her own removal, which nobody may.
//! let own = eve.leaf();
//! let forged = eve.insider()?.commit().proposals([Proposal::Remove(own)]).private()?;
//! assert!(group.receive(&forged).is_err());
//! group.receive(eve.send(b"hello")?)?; // as a member should
//! # Ok(())
//! # }
//! ```
//!
//! # Writing an attack
//!
//! An [`Insider`] knows what a member knows. Whatever it makes is right in all but what the test
//! changes, tags and signatures included, so that a receiver can refuse it for one reason only. A
//! refused message leaves the value as it was, which its [`Fingerprint`] shows, and what is genuine is
//! taken afterwards.
//!
//! ```
//! use circlet::Error;
//! use circlet::crypto::CipherSuite;
//! use circlet::rules::Violation;
//! use circlet::testing::TestGroup;
//! use circlet::tree::LeafNodeSource;
//!
//! # fn main() -> Result<(), Error> {
//! let mut group = TestGroup::new(CipherSuite(1), 3)?;
//! let mut eve = group.insider(1)?;
//! let commit = eve.commit().leaf(|leaf| leaf.source = LeafNodeSource::Update).public()?;
//! let error = group.refuses(0, &commit);
//! assert!(matches!(error, Error::Violation(Violation::PathLeafSource)));
//!
//! // What is not changed is accepted, and the group goes on with the insider in it.
//! let commit = eve.commit().private()?;
//! group.broadcast(1, &commit)?;
//! group.members[1].enter(commit.next.into_state()?);
//! group.agree();
//! # Ok(())
//! # }
//! ```

mod clients;
mod determinism;
mod fingerprint;
mod group;
mod insider;
mod member;
mod spying;
mod storage;

#[cfg(test)]
mod tests;

pub use clients::{TestClients, clients};
pub use determinism::{FixedClock, NOW, SeededRng};
pub use fingerprint::Fingerprint;
pub use group::{Committed, TestGroup, TestGroupBuilder, default_capabilities};
pub use insider::{
    CommitForgery, Forged, ForgedCommit, ForgedLeaf, ForgedWelcome, Frame, GroupInfoForgery,
    Insider, KeyPackageForgery, KnownProposal, LeafForgery, Node, Outsider, PathSeal, PathStep,
    WelcomeForgery, encode_nodes, external_senders, nodes_hash, sign_group_info, tree_nodes,
};
pub use member::{Heard, TestMember, TestPsks};
pub use spying::{Hooks, NoHooks, Spying};
pub use storage::{FailingStorage, Fault, dump};

use crate::crypto::Signature;
use crate::error::Error;
use crate::message::{KeyPackage, KeyPackageContent};
use crate::tree::{Extension, Extensions, LeafNode, LeafNodeContent};

/// A list of extensions as it is, the same type twice or not.
#[must_use]
pub fn extensions_unchecked(list: Vec<Extension>) -> Extensions {
    Extensions::unchecked(list)
}

/// A leaf with this signature, whatever it is.
///
/// # Errors
/// Something is too long to encode.
pub fn leaf_with_signature(
    content: LeafNodeContent,
    signature: Signature,
) -> Result<LeafNode, Error> {
    Ok(LeafNode::with_signature(content, signature)?)
}

/// A KeyPackage with this signature, whatever it is.
///
/// # Errors
/// Something is too long to encode.
pub fn key_package_with_signature(
    content: KeyPackageContent,
    signature: Signature,
) -> Result<KeyPackage, Error> {
    Ok(KeyPackage::with_signature(content, signature)?)
}
