use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::codec::{DecodeContext, Encode, Limits};
use crate::crypto::{CipherSuite, Suite};
use crate::error::{Error, Refused, Unready};
use crate::identity::CredentialType;
use crate::mutation::off;
use crate::rules::leaf::{
    ensure_lifetime_received, ensure_lifetime_to_send, ensure_senders_are_supported,
};
use crate::rules::{Violation, ensure};
use crate::tree::{Extensions, LeafNode, LeafNodeSource, RatchetTree};

/// What a group is computed with: its cipher suite, the limits, the registered types and the
/// application's policy. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cipher suite over a provider.
    pub suite: Suite,
    /// Limits and registered types.
    pub context: Arc<DecodeContext>,
    /// What the application allows of all that RFC 9420 does.
    pub policy: Policy,
    /// Where random values of no meaning go (section 13.5).
    pub grease: Grease,
}

/// What the application allows of all that RFC 9420 does. Members that differ in it may disagree
/// about a Commit: choose it for the whole group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The greatest total lifetime in seconds of a key package that is added (section 7.2).
    /// Default a year of 365 days. A Commit that adds one with a longer lifetime is refused: a
    /// member that allows less than the others is left behind by it.
    pub total_lifetime: u64,
    /// By how many seconds the clock of whoever made a key package may differ from this client's
    /// (section 7.2): so much before its lifetime begins and after it ends it is still accepted.
    /// Default 0, since makers let it begin early, as
    /// [`key_package_lifetime`](crate::client::ClientBuilder::key_package_lifetime) does; more for
    /// peers that don't. A Commit's lifetimes are held against the clock only where
    /// [`check_received_lifetimes`](crate::client::ClientBuilder::check_received_lifetimes) asks.
    pub clock_skew: u64,
    /// Whether somebody may join by an external Commit (section 12.4.3.2). Default true: the
    /// validator judges who it is, and members decide who gets a GroupInfo.
    pub external_joins: bool,
    /// Whether an external Commit may remove an old leaf of the one who joins. Default true.
    pub external_rejoins: bool,
    /// Whether an external Commit has to have a pre-shared key, external or of this group's own
    /// past, so that a stolen signature key is not enough. Default false.
    pub external_psk_required: bool,
    /// Whether somebody who is no member may propose its own Add (section 12.1.8). Default false:
    /// anybody can make such a proposal who has seen a message of the group, and the next Commit of
    /// any member would take it. Allow it with a validator that knows who may come
    /// ([`CredentialUse::SelfAdd`](crate::identity::CredentialUse::SelfAdd)).
    pub new_member_proposals: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            total_lifetime: 365 * 24 * 3600,
            clock_skew: 0,
            external_joins: true,
            external_rejoins: true,
            external_psk_required: false,
            new_member_proposals: false,
        }
    }
}

/// Where random values of no meaning go, so that nobody gets used to refusing what they don't know
/// (RFC 9420 section 13.5). Default [`Self::Everywhere`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grease {
    /// Nowhere.
    None,
    /// Into the lists of capabilities alone, for peers that refuse unknown extensions.
    Capabilities,
    /// Into the lists of capabilities and the extensions of leaves, KeyPackages and GroupInfos.
    #[default]
    Everywhere,
}

impl Settings {
    /// A suite with the default limits and policy, and no registered types.
    #[must_use]
    pub fn new(suite: Suite) -> Self {
        Self {
            suite,
            context: Arc::default(),
            policy: Policy::default(),
            grease: Grease::default(),
        }
    }

    /// The extensions of a group: nothing is sent that others with the same limits could not read,
    /// and nothing accepted that makes every message expensive.
    pub(super) fn ensure_extensions(&self, extensions: &Extensions) -> Result<(), Refused> {
        let limits = self.limits();
        if extensions.len() > limits.extensions {
            return Err(Refused::Extensions(limits.extensions));
        }
        let length = extensions.to_bytes().map_or(usize::MAX, |bytes| bytes.len());
        if length > limits.extensions_bytes {
            return Err(Refused::ExtensionsLength(limits.extensions_bytes));
        }
        // One that can't be read is an error of its own.
        let senders = extensions.external_senders(&self.context).ok().flatten();
        if senders.is_some_and(|senders| senders.len() > limits.external_senders) {
            return Err(Refused::ExternalSenders(limits.external_senders));
        }
        Ok(())
    }

    /// A leaf, wherever one is made or comes from: the tree is sent to everybody who joins.
    pub(super) fn ensure_leaf_length(&self, leaf: &LeafNode) -> Result<(), Refused> {
        let limit = self.limits().leaf_bytes;
        if leaf.as_bytes().len() <= limit { Ok(()) } else { Err(Refused::Leaf(limit)) }
    }

    /// V-12.1.8-05: a list of external senders is read strictly wherever it is set, and each has a
    /// key of the group's suite; the same one may be there twice. Of a group that has a list
    /// already, a joiner asks no more than that it can be read: a key that is none signs nothing.
    pub(super) fn check_external_senders(&self, extensions: &Extensions) -> Result<(), Error> {
        if off("V-12.1.8-05") {
            return Ok(());
        }
        for sender in extensions.external_senders(&self.context)?.into_iter().flatten() {
            let valid = self.suite.check_signature_key(&sender.signature_key).is_ok();
            ensure(valid, Violation::InvalidSignatureKey)?;
        }
        Ok(())
    }

    /// What this client asks of a list of external senders before it proposes or commits it.
    pub(super) fn ensure_senders_are_readable(
        &self,
        extensions: &Extensions,
        tree: &RatchetTree,
    ) -> Result<(), Error> {
        let senders = extensions.external_senders(&self.context)?.unwrap_or_default();
        let types: Vec<CredentialType> =
            senders.iter().map(|sender| sender.credential.credential_type()).collect();
        Ok(ensure_senders_are_supported(tree, &types)?)
    }

    /// V-6.3.1-07: nothing is sent that this client itself would refuse to read for its length.
    pub(super) fn sendable(&self, bytes: Vec<u8>) -> Result<Vec<u8>, Refused> {
        let (limit, actual) = (self.limits().message_bytes, bytes.len());
        match actual <= limit || off("V-6.3.1-07") {
            true => Ok(bytes),
            false => Err(Refused::MessageTooLong { limit, actual }),
        }
    }

    /// V-7.2-09: a leaf that is added lives for no longer than the policy allows. Those that are in
    /// a tree already were accepted by who was a member then.
    pub(super) fn ensure_total_lifetime(&self, leaf: &LeafNode) -> Result<(), Refused> {
        let limit = self.policy.total_lifetime;
        match &leaf.source {
            LeafNodeSource::KeyPackage(lifetime)
                if lifetime.total() > limit && !off("V-7.2-09") =>
            {
                Err(Refused::TotalLifetime(limit))
            }
            _ => Ok(()),
        }
    }

    /// The lifetime of a leaf that this client adds.
    pub(super) fn ensure_lifetime_to_send(
        &self,
        leaf: &LeafNode,
        now: u64,
    ) -> Result<(), Violation> {
        ensure_lifetime_to_send(leaf, self.around(now))
    }

    /// The lifetime of a leaf that somebody else adds.
    pub(super) fn ensure_lifetime_received(
        &self,
        leaf: &LeafNode,
        now: u64,
    ) -> Result<(), Violation> {
        ensure_lifetime_received(leaf, self.around(now))
    }

    /// V-7.2-10: whoever made a lifetime may have a clock that differs.
    fn around(&self, now: u64) -> RangeInclusive<u64> {
        let skew = if off("V-7.2-10") { 0 } else { self.policy.clock_skew };
        now.saturating_sub(skew)..=now.saturating_add(skew)
    }

    /// V-5.1-04: that the provider has a suite that a peer names is found out before anything is
    /// done with what the peer sent.
    pub(crate) fn ensure_supported(&self, suite: CipherSuite) -> Result<(), Unready> {
        self.suite.sibling(suite).map(drop).map_err(|_| Unready::UnsupportedSuite(suite))
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.context.limits
    }
}
