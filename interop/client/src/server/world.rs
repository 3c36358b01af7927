use std::collections::BTreeMap;
use std::sync::Arc;

use circlet::crypto::providers::DefaultProvider;
use circlet::crypto::{CipherSuite, CryptoProvider, Suite};
use circlet::group::{Grease, JoinKeys, OldGroup, Policy, Settings};
use circlet::identity::{Credential, SigningKey};
use circlet::tree::Extensions;

use super::Fault;
use super::member::{Member, NewLeaf};
use super::psks::Psks;
use crate::proto;

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where random values of no meaning go.
    pub grease: Grease,
    /// The suites that it says it supports; of these, those that the provider has. All of that if
    /// there are none.
    pub suites: Vec<u16>,
    /// Whether the group after a ReInit is joined even if its Welcome does not have the pre-shared
    /// key of the old one. RFC 9420 section 11.2 demands it, so that this is for measuring what else
    /// a peer does that leaves it out.
    pub unbound_reinit: bool,
}

/// All that the actors of one process have, by the ids that were handed out. One counter serves
/// them all, so that no id means two things.
#[derive(Debug)]
pub struct World {
    provider: Arc<dyn CryptoProvider>,
    pub(super) options: Options,
    last_id: u32,
    /// For actors that have neither state nor pending join.
    pub(super) common: Psks,
    pub(super) members: BTreeMap<u32, Member>,
    pub(super) joins: BTreeMap<u32, Join>,
    pub(super) successors: BTreeMap<u32, Successor>,
    pub(super) signers: BTreeMap<u32, SigningKey>,
}

/// A key package that was handed out, for one join.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) leaf: NewLeaf,
    pub(super) psks: Psks,
    pub(super) settings: Settings,
}

/// What a member keeps of a group that was closed, for the one that takes its place.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) old: OldGroup,
    pub(super) leaf: NewLeaf,
    pub(super) settings: Settings,
    pub(super) psks: Psks,
    pub(super) handshake: circlet::group::HandshakeFormat,
}

impl Default for Options {
    /// Everything.
    fn default() -> Self {
        Self { grease: Grease::Everywhere, suites: Vec::new(), unbound_reinit: false }
    }
}

impl World {
    /// With nobody in it.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            provider: Arc::new(DefaultProvider::new()),
            options,
            last_id: 0,
            common: Psks::default(),
            members: BTreeMap::new(),
            joins: BTreeMap::new(),
            successors: BTreeMap::new(),
            signers: BTreeMap::new(),
        }
    }

    /// The code points of the suites that are supported.
    #[must_use]
    pub fn suites(&self) -> Vec<u16> {
        let wanted = &self.options.suites;
        let all = self.provider.suites().iter().map(|spec| spec.suite.0);
        all.filter(|suite| wanted.is_empty() || wanted.contains(suite)).collect()
    }

    /// The groups of this server let in who proposes its own Add, and keys for any time: who they
    /// are is the runner's business.
    pub(super) fn settings(&self, suite: u32) -> Result<Settings, Fault> {
        let id = u16::try_from(suite).ok().filter(|id| self.suites().contains(id));
        let id = id.ok_or(Fault::CipherSuite(suite))?;
        let suite = Suite::new(Arc::clone(&self.provider), CipherSuite(id))?;
        let policy =
            Policy { total_lifetime: u64::MAX, new_member_proposals: true, ..Policy::default() };
        Ok(Settings { policy, grease: self.options.grease, ..Settings::new(suite) })
    }

    /// An id that nothing else has had.
    pub(super) fn next_id(&mut self) -> Result<u32, Fault> {
        self.last_id = self.last_id.checked_add(1).ok_or(Fault::NoIds)?;
        Ok(self.last_id)
    }

    pub(super) fn member(&mut self, state_id: u32) -> Result<&mut Member, Fault> {
        self.members.get_mut(&state_id).ok_or(Fault::NoState(state_id))
    }

    pub(super) fn add_member(&mut self, member: Member) -> Result<u32, Fault> {
        let id = self.next_id()?;
        self.members.insert(id, member);
        Ok(id)
    }

    /// A key package for a join, and the id of that.
    pub(super) fn add_join(
        &mut self,
        settings: Settings,
        identity: Vec<u8>,
    ) -> Result<(u32, JoinKeys, SigningKey), Fault> {
        let leaf = NewLeaf::generate(&settings, Credential::basic(identity))?;
        let (keys, signer) = (leaf.keys.clone(), leaf.signer.clone());
        let join = Join { leaf, psks: self.common.of_actor(), settings };
        let id = self.next_id()?;
        self.joins.insert(id, join);
        Ok((id, keys, signer))
    }
}

/// A list of extensions, no type twice (RFC 9420 section 13.4).
pub(super) fn extensions(list: Vec<proto::Extension>) -> Result<Extensions, Fault> {
    let mut extensions = Extensions::new();
    for proto::Extension { extension_type, extension_data } in list {
        let number = u16::try_from(extension_type);
        let number = number.map_err(|_| Fault::ExtensionType(extension_type))?;
        let extension_type = circlet::tree::ExtensionType(number);
        if extensions.find(extension_type).is_some() {
            return Err(Fault::ExtensionTwice(number));
        }
        extensions.set(circlet::tree::Extension { extension_type, data: extension_data });
    }
    Ok(extensions)
}

/// A field that is absent if it is empty.
pub(super) fn present(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.is_empty() { None } else { Some(bytes) }
}
